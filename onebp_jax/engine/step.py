"""One training step, pure: `make_step(method) -> (init, step)` and `step(state, batch, data) -> (state, info)`.

    draw negatives -> read rows -> one loss, one backward pass, only to the towers that read gradients
    -> update the encoder's parameters, then the tower that needs no partner
    -> update the other tower, which sees its partner's *new* rows

Everything that reads a table comes before the one scatter that writes it, so that a donated table is never copied.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from onebp_jax.data.device import upload
from onebp_jax.engine.backward import TOWERS, Gradients, backward, view_of
from onebp_jax.engine.collectives import SINGLE_DEVICE, Collectives
from onebp_jax.engine.left_out import without_left_out
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

Init = Callable[[Array, Interactions], tuple[State, Interactions]]
Step = Callable[[State, Batch, Interactions], tuple[State, Info]]


def check_method(method: Method) -> tuple[str, str]:
    """The order in which the towers are updated: first the one whose updater needs no partner rows, else the items.

    Raises:
      ValueError: an updater reads what no signal has; both updaters would wait for each other; the loss compares other
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
    if (method.encoder.aggregate is None) == (method.epoch_unit == "history"):
        raise ValueError(
            f"epoch_unit={method.epoch_unit!r}: an encoder that aggregates histories and the epoch unit 'history' go together"
        )
    if method.encoder.aggregate is not None:
        _check_histories(method, waits)
    return ("user", "item") if waits == ["item"] else ("item", "user")


def _check_histories(method: Method, waits: list[str]) -> None:
    """Raises ValueError unless all parts know users that are made of their histories."""
    if not getattr(method.loss, "histories", False):
        raise ValueError("users are made of their histories, and this loss compares pairs: use infonce or ccl")
    if waits or method.user_updater.reads:
        raise ValueError(
            "users are made of their histories, so nothing updates a user: give users the updater chain(), and items one that "
            "reads gradients"
        )


def _updaters(method: Method) -> dict[str, Updater]:
    return {"user": method.user_updater, "item": method.item_updater}


def prepare_data(method: Method, data: Interactions) -> Interactions:
    """Host data with what the encoder prepares; raises ValueError if the data make the method impossible."""
    for one in filter(None, (method, method.pre_step)):
        one.sampler.check(data)
    return data.replace(prepared=method.encoder.prepare(data), ages=None)


def first_tables(method: Method, key: Array, data: Interactions) -> State:
    """The state that training begins with, without the samplers' part: a pure function, to be compiled for many devices."""
    encoder, updaters = method.encoder, _updaters(method)
    tables = encoder.init(step_key(key, Purpose.INIT, 0), data)
    params_opt = ()
    if jax.tree.leaves(tables.params):
        if method.tx is None:
            raise ValueError(
                "the encoder has parameters that are no table, and the method has no transformation for them: give it a tx, or "
                "choose a transform that keeps no moment per row"
            )
        params_opt = method.tx.init(tables.params)
    state = State(
        user=tables.user,
        item=tables.item,
        user_opt=updaters["user"].init(tables.user),
        item_opt=updaters["item"].init(tables.item),
        sampler=(),
        key=key,
        step=jnp.int32(0),
        params=tables.params,
        params_opt=params_opt,
        context=tables.context,
    )
    if method.pre_step:
        own = _updaters(method.pre_step)
        state = state._replace(pre_step=(*(own[tower].init(getattr(tables, tower)) for tower in TOWERS), ()))
    return state


def with_samplers(method: Method, state: State, data: Interactions, on_device: Interactions) -> State:
    """A state of `first_tables` with the samplers' own states, which are made from the data on the host."""
    carried = lambda one: one.sampler.init(data, view_of(one.encoder, state.tables, on_device))
    if method.pre_step:
        state = state._replace(pre_step=(*state.pre_step[:2], carried(method.pre_step)))
    return state._replace(sampler=carried(method))


def make_step(method: Method, collectives: Collectives = SINGLE_DEVICE) -> tuple[Init, Step]:
    """The two pure functions that train a method.

    Args:
      method: encoder, sampler, loss and the two updaters.
      collectives: how the step is spread over devices (see `onebp_jax.parallel`). Each device runs the step with the whole
        batch.

    Returns:
      `init(key, data) -> (State, Interactions)`: the first state, and the data on the device with what the encoder
      prepared. It raises ValueError if the data make the method impossible.
      `step(state, batch, data) -> (State, Info)`, with the data of `init`. It holds no Python state: jit, scan, vmap and
      donate it as you like.

    Raises:
      ValueError: see `check_method`.
    """
    encoder, order = method.encoder, check_method(method)
    pre_step = make_step(method.pre_step, collectives)[1] if method.pre_step else None
    with_gradient = [tower for tower in order if "grads" in _updaters(method)[tower].reads]

    def init(key: Array, data: Interactions) -> tuple[State, Interactions]:
        data = prepare_data(method, data)
        on_device = upload(data)
        return with_samplers(method, first_tables(method, key, on_device), data, on_device), on_device

    def step(state: State, batch: Batch, data: Interactions) -> tuple[State, Info]:
        batch = without_left_out(batch, data)
        if pre_step:
            state = _run_pre_step(pre_step, state, batch, data)
        view = view_of(encoder, state.tables, data, collectives.take_replicated)
        key = step_key(state.key, Purpose.NEGATIVES, state.step)
        negatives, sampler = method.sampler.sample(key, state.sampler, batch, data, view)
        found = backward(method, state, batch, negatives, data, with_gradient, collectives)
        params, params_opt = state.params, state.params_opt
        if "params" in found.grads:
            tx = optax.with_extra_args_support(method.tx)
            updates, params_opt = tx.update(found.grads["params"], params_opt, params, **_epochs_done(state, data))
            params = optax.apply_updates(params, updates)
        state = state._replace(params=params, params_opt=params_opt, sampler=sampler)
        for tower, partner in (order, order[::-1]):
            state = _update_tower(method, state, batch, data, found, tower, partner, collectives)
        return state._replace(step=state.step + 1), found.info

    return init, step


def _update_tower(
    method: Method,
    state: State,
    batch: Batch,
    data: Interactions,
    found: Gradients,
    tower: str,
    partner: str,
    collectives: Collectives,
) -> State:
    """The state after the update of one tower, which sees the partner's rows as they are in `state`."""
    encoder, updater = method.encoder, _updaters(method)[tower]
    table, opt = getattr(state, tower), getattr(state, f"{tower}_opt")
    interacted = {"user": batch.user_ids, "item": batch.positive_ids}
    extra, signal = {}, Signal(found.ids[tower], found.grads.get(tower), None)
    if "targets" in updater.reads:
        extra["old_targets"] = found.partners[partner]
        targets = _partner_rows(encoder, state.tables, partner, interacted[partner], data, collectives.take_replicated)
        signal = _with_targets(signal, interacted[tower], targets, encoder.reads_all_rows)
    num_rows = {"user": data.num_users, "item": data.num_items}[tower]
    signal = signal._replace(ids=collectives.local_row_ids(signal.ids, table, num_rows))
    extra["key"] = jax.random.fold_in(step_key(state.key, Purpose.ROUNDING, state.step), tower == "item")
    table, opt = updater.update(signal, opt, table, **extra, **_epochs_done(state, data))
    return state._replace(**{tower: table, f"{tower}_opt": opt})


def _epochs_done(state: State, data: Interactions) -> dict[str, Array]:
    """`epoch f32[]` for the updaters, where the data know how long an epoch is."""
    return {"epoch": state.step / data.epoch_steps} if data.epoch_steps else {}


def _partner_rows(
    encoder: Encoder, tables: Tables, tower: str, ids: Array, data: Interactions, take: Callable
) -> Array:
    """`[b, ...]`: what the updater of the other tower averages."""
    if encoder.partner is None:
        return take(getattr(tables, tower), ids)
    return encoder.partner(tables, tower, ids, data)


def _run_pre_step(step: Step, state: State, batch: Batch, data: Interactions) -> State:
    """`state` after the step that comes first: its tables and its own `pre_step`; the number of steps stays."""
    user_opt, item_opt, sampler = state.pre_step
    own = state._replace(user_opt=user_opt, item_opt=item_opt, sampler=sampler, params=(), params_opt=())
    after, _ = step(own, batch, data)
    return state._replace(user=after.user, item=after.item, pre_step=(after.user_opt, after.item_opt, after.sampler))


def _with_targets(signal: Signal, ids: Array, targets: Array, reads_all_rows: bool) -> Signal:
    """The signal of a tower that reads targets: the rows that interacted come first."""
    if signal.grads is None:
        return Signal(ids, None, targets)
    if reads_all_rows:
        none = jnp.zeros((ids.shape[0], *signal.grads.shape[1:]), signal.grads.dtype)
        return Signal(jnp.concatenate([ids, signal.ids]), jnp.concatenate([none, signal.grads]), targets)
    return signal._replace(targets=targets)
