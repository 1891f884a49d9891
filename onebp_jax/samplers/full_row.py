"""The scores of all items for each user, and ranks among them, for samplers that rank candidates (AUC_NS, BNS)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from onebp_jax.ops.csr import row_bounds
from onebp_jax.types import Array, Batch, Interactions, ModelView

# How many rows of scores are compared in one pass over the counts.
_BLOCK = 16


def all_scores(view: ModelView, batch: Batch, data: Interactions) -> Array:
    """`f32[N, b]`: the scores of all items, one column per row of the batch."""
    user, item = view.encode(batch.user_ids, jnp.arange(data.num_items, dtype=jnp.int32))
    return view.score(user, item).T


def scores_at(scores: Array, ids: Array) -> Array:
    """`f32[k, b]`: the scores of the items `ids i32[k, b]`; an id out of range reads the last item."""
    return scores.at[ids, jnp.arange(scores.shape[1])].get(mode="clip")


def count_below(scores: Array, values: Array) -> Array:
    """`i32[m, b]`: how many of the `scores f32[N, b]` are at most as large as each of the `values f32[m, b]`.

    It compares every pair: for a few values that is one pass, while sorting would take several dozen.
    """
    size, rest = divmod(scores.shape[0], _BLOCK)

    def below(rows: Array) -> Array:
        return sum(((row <= values).astype(jnp.int32) for row in rows), jnp.zeros(values.shape, jnp.int32))

    # Adds row after row to one small array. For a plain sum over the first axis, XLA:CPU adds one number at a time, which takes
    # ten times as long.
    def count(block: Array, counts: Array) -> Array:
        return counts + below(jax.lax.dynamic_slice_in_dim(scores, rest + block * _BLOCK, _BLOCK))

    counts = below(scores[:rest])
    return jax.lax.fori_loop(0, size, count, counts) if size else counts


def count_touched_below(scores: Array, values: Array, batch: Batch, data: Interactions) -> Array:
    """`i32[m, b]`: the same count among the items that each row's user touched, place by place of the users' rows."""
    start, end = row_bounds(batch.user_ids, data)

    def count(place: Array, counts: Array) -> Array:
        item = data.sorted_items.at[start + place].get(mode="clip")
        return counts + ((place < end - start) & (scores_at(scores, item[None]) <= values))

    return jax.lax.fori_loop(0, jnp.max(end - start, initial=0), count, jnp.zeros(values.shape, jnp.int32))


def not_better(of_one: Array, of_other: Array) -> Array:
    """`1 - sigmoid(one - other)`: near 0 if the first score is far above the other, near 1 if it is far below."""
    return jax.nn.sigmoid(of_other - of_one)
