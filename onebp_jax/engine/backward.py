"""The first half of a step: the loss of a batch and its gradients. No table changes here.

On several devices each device computes the loss of its own rows of the batch (`local.Local`); the gradients of all devices are
gathered afterwards, in the order of the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from onebp_jax.engine.collectives import SINGLE_DEVICE, Collectives
from onebp_jax.engine.local import Local, join_items, local_part, read, read_local
from onebp_jax.ops import geometry
from onebp_jax.ops.repeated import rows_at
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


class Gradients(NamedTuple):
    """What one batch says about the tables, for the whole batch on every device.

    Attributes:
      info: the loss and the number of examples.
      ids: per tower the rows that the loss was computed from, `i32[n]`; repeats stay.
      grads: per tower that reads gradients `f32[n, ...]`, and "params" where the encoder has any.
      partners: per tower the rows that interacted, `[b, ...]`, as they were before any update.
    """

    info: Info
    ids: dict[str, Array]
    grads: dict[str, Tree]
    partners: dict[str, Array]


def view_of(encoder: Encoder, tables: Tables, data: Interactions, take: Callable = SINGLE_DEVICE.take) -> ModelView:
    """The model before the step, for samplers. No gradient flows through it."""
    tables = jax.lax.stop_gradient(tables)

    def encode(user_ids: Array, item_ids: Array) -> tuple[Array, Array]:
        if encoder.aggregate is not None:
            raise ValueError(
                "users that are made of their histories have no scores for a sampler: use shared or full_catalogue"
            )
        return encoder.encode(read(encoder, tables, user_ids, item_ids, take), user_ids, item_ids, data, None)

    return ModelView(encode, lambda user, item: geometry.score(encoder.geometry, user, item))


def backward(
    method: Method,
    state: State,
    batch: Batch,
    negatives: Negatives,
    data: Interactions,
    towers: list[str],
    collectives: Collectives,
) -> Gradients:
    """The loss of a batch and its gradients with respect to `towers` and to the encoder's parameters."""
    encoder = method.encoder
    local = local_part(batch, negatives, data, collectives, method.epoch_unit == "history")
    constant = read_local(encoder, state.tables, local, collectives)
    examples = jnp.sum(batch.user_ids < data.num_users, dtype=jnp.int32)
    if local.slots is not None:
        examples = collectives.all_sum(jnp.sum(local.valid, dtype=jnp.int32))
        batch = batch._replace(positive_ids=collectives.all_gather(local.batch.positive_ids, 0))
    dropout = step_key(state.key, Purpose.DROPOUT, state.step)

    def mean_loss(variable: dict[str, Array]) -> Array:
        per_row = _loss_per_row(method, constant._replace(**variable), local, data, dropout)
        return jnp.sum(jnp.where(local.valid, per_row, 0)) / jnp.maximum(examples, 1)

    # A tower that reads no gradient is a constant here: its backward pass is never traced, let alone run.
    names = [*towers, *(["params"] if jax.tree.leaves(constant.params) else [])]
    loss, grads = jax.value_and_grad(mean_loss)({name: getattr(constant, name) for name in names})
    return Gradients(
        Info(collectives.all_sum(loss), examples),
        _touched_ids(encoder, constant, batch, negatives),
        _of_whole_batch(grads, local, encoder.reads_all_rows, collectives),
        _partners(encoder, state.tables, constant, batch, local.num_rows, data, collectives),
    )


def _loss_per_row(method: Method, rows: Tables, local: Local, data: Interactions, dropout: Array) -> Array:
    """`f32[num_rows]`; raises ValueError for a loss that returns another shape."""
    encoder = method.encoder
    user, item = encoder.encode(rows, local.batch.user_ids, local.item_ids, data, dropout)
    positive, negative = local.split(item)
    paired_user = None
    if local.slots is not None:
        assert encoder.aggregate is not None  # see `check_method`
        count = local.batch.user_ids.shape[0]
        user, paired_user = encoder.aggregate(positive, local.batch.positive_ids, local.slots, count, data)
        paired_user = rows_at(user, local.slots) if paired_user is None else paired_user
    if local.vectors is not None:
        negative = jnp.concatenate([negative, jax.lax.stop_gradient(local.vectors)])
    if encoder.reads_all_rows:
        rows = rows._replace(user=rows_at(rows.user, local.batch.user_ids), item=rows_at(rows.item, local.item_ids))
    inputs = (rows.user, *local.split(rows.item))
    extra = local.extra | {"valid": local.valid, "num_items": data.num_items, "inputs": inputs}
    if local.slots is not None:
        extra |= {"slots": local.slots, "paired_user": paired_user}
    per_row = method.loss(user, positive, negative, **extra)
    if jnp.shape(per_row) != local.valid.shape:
        raise ValueError(
            f"the loss returned the shape {jnp.shape(per_row)}, expected one number per row, {local.valid.shape}"
        )
    return per_row


def _touched_ids(encoder: Encoder, constant: Tables, batch: Batch, negatives: Negatives) -> dict[str, Array]:
    if encoder.reads_all_rows:
        return {tower: jnp.arange(getattr(constant, tower).shape[0], dtype=jnp.int32) for tower in TOWERS}
    return {"user": batch.user_ids, "item": join_items(batch.positive_ids, negatives.ids)}


def _of_whole_batch(
    grads: dict[str, Tree], local: Local, reads_all_rows: bool, collectives: Collectives
) -> dict[str, Tree]:
    """The gradients of all devices, in the order in which a single device has them."""
    if collectives.is_single:
        return grads
    found = {}
    for name, grad in grads.items():
        if name == "params" or reads_all_rows:
            found[name] = jax.tree.map(collectives.all_sum, grad)
        elif name == "user":
            found[name] = collectives.all_gather(grad, 0)
        else:
            positive, negative = jnp.split(grad, [local.num_rows])
            if local.shared:
                negative = collectives.all_sum(negative)
            else:
                columns = negative.reshape(-1, local.num_rows, *grad.shape[1:])
                negative = collectives.all_gather(columns, 1).reshape(-1, *grad.shape[1:])
            found[name] = jnp.concatenate([collectives.all_gather(positive, 0), negative])
    return found


def _partners(
    encoder: Encoder,
    tables: Tables,
    constant: Tables,
    batch: Batch,
    count: int,
    data: Interactions,
    collectives: Collectives,
) -> dict[str, Array]:
    """Per tower the rows that interacted, before any update."""
    interacted = {"user": batch.user_ids, "item": batch.positive_ids}
    if encoder.partner is not None:
        return {tower: encoder.partner(tables, tower, interacted[tower], data) for tower in TOWERS}
    if encoder.reads_all_rows:
        return {tower: rows_at(getattr(constant, tower), interacted[tower]) for tower in TOWERS}
    return {
        "user": collectives.all_gather(constant.user, 0),
        "item": collectives.all_gather(constant.item[:count], 0),
    }
