"""The first half of a step: the loss of a batch and its gradients, with no table changed; and what of the tables it reads."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from onebp_jax.engine.collectives import SINGLE_DEVICE, Collectives
from onebp_jax.ops import geometry
from onebp_jax.ops.rows import to_float32
from onebp_jax.types import (
    Array,
    Batch,
    Encoder,
    Info,
    Interactions,
    Method,
    ModelView,
    Negatives,
    Purpose,
    State,
    Tables,
    Tree,
    step_key,
)

TOWERS = ("user", "item")


def read(
    encoder: Encoder,
    tables: Tables,
    user_ids: Array,
    item_ids: Array,
    take: Callable = SINGLE_DEVICE.take,
    take_items: Callable | None = None,
) -> Tables:
    """What `encoder.encode` needs of the tables for these ids: their rows, or everything, in float32."""
    if encoder.reads_all_rows:
        return tables._replace(user=to_float32(tables.user), item=to_float32(tables.item))
    # A padded id reads the last row; the step masks what is computed from it.
    return tables._replace(user=take(tables.user, user_ids), item=(take_items or take)(tables.item, item_ids))


def view_of(encoder: Encoder, tables: Tables, data: Interactions, take: Callable = SINGLE_DEVICE.take) -> ModelView:
    """The model as it stands, for samplers; constants to every gradient."""
    tables = jax.lax.stop_gradient(tables)

    def encode(user_ids: Array, item_ids: Array) -> tuple[Array, Array]:
        return encoder.encode(read(encoder, tables, user_ids, item_ids, take), user_ids, item_ids, data, None)

    return ModelView(encode, lambda user, item: geometry.score(encoder.geometry, user, item))


def backward(
    method: Method, state: State, batch: Batch, negatives: Negatives, towers: list[str], collectives: Collectives
):
    """The loss; per tower the ids of the rows it was read from; the gradients of `towers` and of the parameters; and per
    tower the rows that interacted, before any update. All of the whole batch, of which a device computes its own rows."""
    encoder, data = method.encoder, state.data
    shared = negatives.ids.ndim == 1
    # Negatives lie column by column: XLA:CPU computes the scores of such a block twice as fast.
    items_of = lambda positive, negative: jnp.concatenate([positive, negative.T.reshape(-1)])
    valid = batch.user_ids < data.num_users
    examples = jnp.sum(valid, dtype=jnp.int32)
    mine = {
        name: value if value is None or (shared and name in ("ids", "log_q")) else collectives.local_shard(value, 0)
        for name, value in negatives._asdict().items()
        if name != "vectors"
    }
    own = Batch(*(collectives.local_shard(ids, 0) for ids in batch))
    count, items = own.user_ids.shape[0], items_of(own.positive_ids, mine["ids"])
    take_items = collectives.take
    if shared and not collectives.is_single:
        take_items = lambda table, ids: jnp.concatenate(
            [collectives.take(table, ids[:count]), collectives.take_replicated(table, ids[count:])]
        )
    constant = read(encoder, state.tables, own.user_ids, items, collectives.take, take_items)
    dropout = step_key(state.key, Purpose.DROPOUT, state.step)

    def split(rows: Array) -> tuple[Array, Array]:
        # Its transpose is a concatenation, where that of two slices would be two padded arrays and their sum.
        positive, negative = jnp.split(rows, [count])
        return positive, negative if shared else negative.reshape(-1, count, *rows.shape[1:]).swapaxes(0, 1)

    def mean_loss(variable: dict[str, Array]) -> Array:
        rows = constant._replace(**variable)
        user, item = encoder.encode(rows, own.user_ids, items, data, dropout)
        positive, negative = split(item)
        if negatives.vectors is not None:
            negative = jnp.concatenate([negative, jax.lax.stop_gradient(negatives.vectors)])
        extra = {name: value for name, value in mine.items() if name != "ids"}
        if encoder.reads_all_rows:
            rows = rows._replace(user=_at(rows.user, own.user_ids), item=_at(rows.item, items))
        own_valid = collectives.local_shard(valid, 0)
        extra |= {"valid": own_valid, "num_items": data.num_items, "inputs": (rows.user, *split(rows.item))}
        per_row = method.loss(user, positive, negative, **extra)
        if jnp.shape(per_row) != own_valid.shape:
            raise ValueError(
                f"the loss returned the shape {jnp.shape(per_row)}, expected one number a row, {own_valid.shape}"
            )
        return jnp.sum(jnp.where(own_valid, per_row, 0)) / jnp.maximum(examples, 1)

    # A tower that reads no gradient is a constant here: its backward pass is never traced, let alone run.
    names = [*towers, *(["params"] if jax.tree.leaves(constant.params) else [])]
    loss, grads = jax.value_and_grad(mean_loss)({name: getattr(constant, name) for name in names})
    ids = {"user": batch.user_ids, "item": items_of(batch.positive_ids, negatives.ids)}
    if encoder.reads_all_rows:
        ids = {tower: jnp.arange(getattr(constant, tower).shape[0], dtype=jnp.int32) for tower in TOWERS}
        old = {"user": _at(constant.user, batch.user_ids), "item": _at(constant.item, batch.positive_ids)}
    else:
        old = {
            "user": collectives.all_gather(constant.user, 0),
            "item": collectives.all_gather(constant.item[:count], 0),
        }
    if encoder.partner is not None:
        interacted = {"user": batch.user_ids, "item": batch.positive_ids}
        old = {tower: encoder.partner(state.tables, tower, interacted[tower], data) for tower in TOWERS}
    return (
        Info(collectives.all_sum(loss), examples),
        ids,
        _of_all(grads, count, shared, encoder.reads_all_rows, collectives),
        old,
    )


def _of_all(grads: dict[str, Tree], count: int, shared: bool, whole: bool, collectives: Collectives) -> dict[str, Tree]:
    """Gradients of the whole batch from those of each device's own `count` rows, in the order in which one device has them."""
    if collectives.is_single:
        return grads
    found = {}
    for name, grad in grads.items():
        if name == "params" or whole:
            found[name] = jax.tree.map(collectives.all_sum, grad)
        elif name == "user":
            found[name] = collectives.all_gather(grad, 0)
        else:
            positive, negative = jnp.split(grad, [count])
            if shared:
                negative = collectives.all_sum(negative)
            else:
                negative = collectives.all_gather(negative.reshape(-1, count, *grad.shape[1:]), 1).reshape(
                    -1, *grad.shape[1:]
                )
            found[name] = jnp.concatenate([collectives.all_gather(positive, 0), negative])
    return found


def _at(table: Array, ids: Array) -> Array:
    return table.at[ids].get(mode="clip")
