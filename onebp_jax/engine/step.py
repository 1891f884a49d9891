"""One training step, pure: `make_step(method) -> (init, step)` and `step(state, batch) -> (state, info)`.

    draw negatives -> read rows -> one loss, one backward pass, only to the towers that read gradients
    -> the encoder's parameters, then the tower that needs no partner are updated
    -> the other tower sees its partner's *new* rows and is updated

Everything that reads a table comes before the one scatter that writes it, so that a donated table is never copied.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from onebp_jax.engine.backward import TOWERS, backward, view_of
from onebp_jax.engine.collectives import SINGLE_DEVICE, Collectives
from onebp_jax.types import (
    Array,
    Batch,
    Encoder,
    Info,
    Interactions,
    Method,
    Purpose,
    Signal,
    State,
    Tables,
    Updater,
    step_key,
)

Init = Callable[[Array, Interactions], State]
Step = Callable[[State, Batch], tuple[State, Info]]


def check_method(method: Method) -> tuple[str, str]:
    """Which tower moves first: the one whose updater needs no partner rows; the items where neither does.

    Raises:
      ValueError: an updater that reads what no signal has; two that would wait for each other; a loss that compares other
        vectors than the encoder makes.
    """
    for tower in TOWERS:
        if unknown := set(getattr(method, f"{tower}_updater").reads) - {"grads", "targets"}:
            raise ValueError(f"the {tower} updater reads {sorted(unknown)[0]!r}, expected grads, targets or both")
    waits = [tower for tower in TOWERS if "targets" in getattr(method, f"{tower}_updater").reads]
    if len(waits) == 2:
        raise ValueError(
            "both updaters read targets, so each tower would have to wait for the other: give one of them "
            'an updater that reads gradients only (reads=("grads",)), such as gradient(adam(1e-3))'
        )
    compared = getattr(method.loss, "geometry", None)
    if compared not in (None, method.encoder.geometry):
        raise ValueError(
            f"the loss compares vectors by {compared!r} and the encoder's are ranked by {method.encoder.geometry!r}: what is "
            "trained would not be what is ranked; use a loss and an encoder of one geometry"
        )
    return ("user", "item") if waits == ["item"] else ("item", "user")


def partner_rows(encoder: Encoder, tables: Tables, tower: str, ids: Array, data: Interactions, take: Callable) -> Array:
    """`[b, ...]`: what the updater of the other tower averages."""
    if encoder.partner is None:
        return take(getattr(tables, tower), ids)
    return encoder.partner(tables, tower, ids, data)


def _updaters(method: Method) -> dict[str, Updater]:
    return dict(zip(TOWERS, (method.user_updater, method.item_updater), strict=True))


def ready(method: Method, data: Interactions) -> Interactions:
    """The data with what the encoder prepares; raises ValueError where they make the method impossible."""
    for each in filter(None, (method, method.pre_step)):
        each.sampler.check(data)
    return data.replace(prepared=method.encoder.prepare(data))


def first_tables(method: Method, key: Array, data: Interactions) -> State:
    """The state that training begins with, but for what samplers carry: a pure function, to be compiled for many devices."""
    encoder, updaters = method.encoder, _updaters(method)
    tables = encoder.init(step_key(key, Purpose.INIT, 0), data)
    has_params = bool(jax.tree.leaves(tables.params))
    if has_params and method.tx is None:
        raise ValueError(
            "the encoder has parameters that are no table, and the method no transformation for them: give it a tx, or "
            "choose a transform that keeps no moment a row"
        )
    opts = [updaters[tower].init(getattr(tables, tower)) for tower in TOWERS]
    params_opt = method.tx.init(tables.params) if has_params else ()
    state = State(*tables[:2], *opts, (), key, jnp.int32(0), None, tables.params, params_opt)
    if method.pre_step:
        first = [
            updater.init(table) for updater, table in zip(_updaters(method.pre_step).values(), tables[:2], strict=True)
        ]
        state = state._replace(pre_step=(*first, ()))
    return state


def with_samplers(method: Method, state: State, data: Interactions) -> State:
    """A state of `first_tables`, with what samplers carry; they see the data on the host."""
    carried = lambda each: each.sampler.init(data, view_of(each.encoder, state.tables, data))
    if method.pre_step:
        state = state._replace(pre_step=(*state.pre_step[:2], carried(method.pre_step)))
    return state._replace(sampler=carried(method))


def make_step(method: Method, collectives: Collectives = SINGLE_DEVICE) -> tuple[Init, Step]:
    """The two pure functions that train a method.

    Args:
      method: encoder, sampler, loss and the two updaters.
      collectives: over which devices; the step is then for a program that runs on each of them (see `onebp_jax.parallel`),
        and its `batch` is the whole one on all of them.

    Returns:
      `init(key, data) -> State`; it raises ValueError where the data make the method impossible. Its
      `data` is the given one with what the encoder prepared.
      `step(state, batch) -> (State, Info)`; jit, scan, vmap and donate it as you like, it holds no Python state.

    Raises:
      ValueError: two updaters that would wait for each other; a loss that does not fit the encoder.
    """
    encoder, sampler, updaters, order = method.encoder, method.sampler, _updaters(method), check_method(method)
    inner = make_step(method.pre_step, collectives)[1] if method.pre_step else None

    def init(key: Array, data: Interactions) -> State:
        data = ready(method, data)
        return with_samplers(method, first_tables(method, key, data), data)._replace(data=data)

    def step(state: State, batch: Batch) -> tuple[State, Info]:
        if inner:
            state = _step_before(inner, state, batch)
        key, data = step_key(state.key, Purpose.NEGATIVES, state.step), state.data
        negatives, carried = sampler.sample(
            key, state.sampler, batch, data, view_of(encoder, state.tables, data, collectives.take_replicated)
        )
        with_gradient = [tower for tower in order if "grads" in updaters[tower].reads]
        info, touched, grads, old = backward(method, state, batch, negatives, with_gradient, collectives)
        tables = {"user": state.user, "item": state.item}
        params, params_opt = state.params, state.params_opt
        if "params" in grads:
            updates, params_opt = method.tx.update(grads["params"], params_opt, params)
            params = optax.apply_updates(params, updates)
        interacted = {"user": batch.user_ids, "item": batch.positive_ids}
        opts = {"user": state.user_opt, "item": state.item_opt}
        size = {"user": data.num_users, "item": data.num_items}
        for tower, partner in (order, order[::-1]):
            extra, signal = {}, Signal(touched[tower], grads.get(tower), None)
            if "targets" in updaters[tower].reads:
                extra["old_targets"] = old[partner]
                new = Tables(tables["user"], tables["item"], params)
                targets = partner_rows(encoder, new, partner, interacted[partner], data, collectives.take_replicated)
                signal = _with_targets(signal, interacted[tower], targets, encoder.reads_all_rows)
            signal = signal._replace(ids=collectives.local_row_ids(signal.ids, tables[tower], size[tower]))
            extra["key"] = jax.random.fold_in(step_key(state.key, Purpose.ROUNDING, state.step), tower == "item")
            tables[tower], opts[tower] = updaters[tower].update(signal, opts[tower], tables[tower], **extra)
        new = state._replace(
            **tables, user_opt=opts["user"], item_opt=opts["item"], sampler=carried, step=state.step + 1
        )
        return new._replace(params=params, params_opt=params_opt), info

    return init, step


def _step_before(step: Step, state: State, batch: Batch) -> State:
    """`state` with its tables, and what `before` keeps, after the step that comes first; the number of steps stays."""
    user_opt, item_opt, sampler = state.pre_step
    first, _ = step(
        state._replace(user_opt=user_opt, item_opt=item_opt, sampler=sampler, params=(), params_opt=()), batch
    )
    return state._replace(user=first.user, item=first.item, pre_step=(first.user_opt, first.item_opt, first.sampler))


def _with_targets(signal: Signal, ids: Array, targets: Array, whole: bool) -> Signal:
    """The signal of a tower that reads targets: the rows that interacted come first in it."""
    if signal.grads is None:
        return Signal(ids, None, targets)
    if whole:
        none = jnp.zeros((ids.shape[0], *signal.grads.shape[1:]), signal.grads.dtype)
        return Signal(jnp.concatenate([ids, signal.ids]), jnp.concatenate([none, signal.grads]), targets)
    return signal._replace(targets=targets)
