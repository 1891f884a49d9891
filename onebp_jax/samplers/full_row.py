"""Negatives chosen by where a candidate stands among all scores of its user (AUC_NS, BNS): the scores, and their ranks."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from onebp_jax.samplers.common import item_counts, row_bounds
from onebp_jax.types import Array, Batch, Interactions, View


def all_scores(view: View, batch: Batch, data: Interactions) -> Array:
    """`f32[N, b]`: the scores of all items, a column a row of the batch."""
    user, item = view.encode(batch.user_ids, jnp.arange(data.num_items, dtype=jnp.int32))
    return view.score(user, item).T


def scores_at(scores: Array, ids: Array) -> Array:
    """`f32[k, b]`: the scores of the items `ids i32[k, b]`; an id out of range reads the last."""
    return scores.at[ids, jnp.arange(scores.shape[1])].get(mode="clip")


def count_below(scores: Array, values: Array) -> Array:
    """`i32[m, b]`: how many of the `scores f32[N, b]` are at most as large as each of the `values f32[m, b]`.

    By comparing: for a few values that is a pass over memory each, where sorting would be several dozen.
    """
    return jnp.stack([jnp.sum(scores <= value, axis=0, dtype=jnp.int32) for value in values])


def count_touched_below(scores: Array, values: Array, batch: Batch, data: Interactions) -> Array:
    """`i32[m, b]`: the same among what each row's user touched, for one more pass over `[max_row, b]` scores."""
    start, end = row_bounds(batch.user_ids, data)
    place = jnp.arange(data.max_row, dtype=jnp.int32)[:, None]
    items = data.sorted_items.at[start + place].get(mode="clip")
    own = jnp.where(place < end - start, scores_at(scores, items), jnp.inf)
    return count_below(own, values)


def shares(data: Interactions) -> Array:
    """`f32[N]`: each item's share of the training pairs."""
    counts = item_counts(data)
    return jnp.asarray(counts / counts.sum(), jnp.float32)


def not_better(of_one: Array, of_other: Array) -> Array:
    """`1 - sigmoid(one - other)`: how far one score is from lying above another."""
    return jax.nn.sigmoid(of_other - of_one)
