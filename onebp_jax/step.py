"""One training step, pure: `make_step(method) -> (init, step)` and `step(state, batch) -> (state, info)`.

    draw negatives -> read rows -> one loss, one backward pass, only to the towers that read gradients
    -> the tower that needs no partner is updated -> the other sees its partner's *new* rows and is updated

Everything that reads a table comes before the one scatter that writes it, so that a donated table is never copied.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from onebp_jax.rows import take
from onebp_jax.types import Array, Batch, Info, Interactions, Method, Purpose, Signal, State, stream

Init = Callable[[Array, Interactions], State]
Step = Callable[[State, Batch], tuple[State, Info]]


def _order(reads: dict[str, tuple[str, ...]]) -> tuple[str, str]:
    """Which tower moves first: the one whose updater needs no partner rows; the items where neither does."""
    waits = [tower for tower in ("user", "item") if "targets" in reads[tower]]
    if len(waits) == 2:
        raise ValueError(
            "both updaters read targets, so each tower would have to wait for the other: give one of them "
            'an updater that reads gradients only (reads=("grads",)), such as gradient(adam(1e-3))'
        )
    return ("user", "item") if waits == ["item"] else ("item", "user")


def make_step(method: Method) -> tuple[Init, Step]:
    """The two pure functions that train a method.

    Args:
      method: encoder, sampler, loss and the two updaters.

    Returns:
      `init(key, data) -> State`; it raises ValueError where the data make the method impossible.
      `step(state, batch) -> (State, Info)`; jit, scan, vmap and donate it as you like, it holds no Python state.

    Raises:
      ValueError: two updaters that would wait for each other.
    """
    encoder, sampler, loss_fn = method.encoder, method.sampler, method.loss
    updaters = {"user": method.user_updater, "item": method.item_updater}
    order = _order({tower: updater.reads for tower, updater in updaters.items()})
    with_gradient = [tower for tower in order if "grads" in updaters[tower].reads]

    def init(key: Array, data: Interactions) -> State:
        sampler.check(data)
        user, item = encoder.init(stream(key, Purpose.INIT, 0), data)
        opts = updaters["user"].init(user), updaters["item"].init(item)
        return State(user, item, *opts, sampler.init(data), key, jnp.int32(0), data)

    def backward(state: State, batch: Batch, negatives) -> tuple[Info, dict[str, Array], dict[str, Array]]:
        """The loss, and per tower the ids of the rows it was read from and (where asked for) their gradients."""
        count, shared = batch.user_ids.shape[0], negatives.ids.ndim == 1
        # Negatives lie column by column: XLA:CPU computes the scores of such a block twice as fast.
        items = jnp.concatenate([batch.positive_ids, negatives.ids.T.reshape(-1)])
        rows = {"user": encoder.read(state.user, batch.user_ids), "item": encoder.read(state.item, items)}
        constant = {tower: row.values for tower, row in rows.items()}
        valid = batch.user_ids < state.data.num_users
        examples = jnp.sum(valid, dtype=jnp.int32)

        def mean_loss(variable: dict[str, Array]) -> Array:
            values = constant | variable
            user, item = encoder.encode(values["user"], values["item"], batch.user_ids, items, state.data)
            # Its transpose is a concatenation, where that of two slices would be two padded arrays and their sum.
            positive, negative = jnp.split(item, [count])
            if not shared:
                negative = negative.reshape(-1, count, *item.shape[1:]).swapaxes(0, 1)
            extra = {name: value for name, value in negatives._asdict().items() if name != "ids"}
            per_row = loss_fn(user, positive, negative, **extra)
            return jnp.sum(jnp.where(valid, per_row, 0)) / jnp.maximum(examples, 1)

        # A tower that reads no gradient is a constant here: its backward pass is never traced, let alone run.
        loss, grads = jax.value_and_grad(mean_loss)({tower: constant[tower] for tower in with_gradient})
        return Info(loss, examples), {tower: row.ids for tower, row in rows.items()}, grads

    def step(state: State, batch: Batch) -> tuple[State, Info]:
        key = stream(state.key, Purpose.NEGATIVES, state.step)
        negatives, sampler_state = sampler.sample(key, state.sampler, batch, state.data)
        info, touched, grads = backward(state, batch, negatives)
        interacted = {"user": batch.user_ids, "item": batch.positive_ids}
        tables = {"user": state.user, "item": state.item}
        opts = {"user": state.user_opt, "item": state.item_opt}
        for tower, partner in (order, order[::-1]):
            reads = updaters[tower].reads
            ids = touched[tower] if "grads" in reads else interacted[tower]
            targets = take(tables[partner], interacted[partner]) if "targets" in reads else None
            signal = Signal(ids, grads.get(tower), targets)
            rounding = jax.random.fold_in(stream(state.key, Purpose.ROUNDING, state.step), tower == "item")
            tables[tower], opts[tower] = updaters[tower].update(signal, opts[tower], tables[tower], key=rounding)
        new = State(
            tables["user"],
            tables["item"],
            opts["user"],
            opts["item"],
            sampler_state,
            state.key,
            state.step + 1,
            state.data,
        )
        return new, info

    return init, step
