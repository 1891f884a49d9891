"""Whether a user touched an item in training."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from onebp_jax.ops.csr import count_leading, row_bounds
from onebp_jax.types import Array, Interactions

# How many places of each user's row are marked at a time.
_CHUNK = 8


def touched(user_ids: Array, item_ids: Array, data: Interactions) -> Array:
    """`bool[b, k]`: whether `user_ids i32[b]` touched `item_ids i32[b, k]`, or shared `[k]`, in training.

    It uses binary search in the users' sorted rows. If there are many shared items, it goes through the rows instead and marks
    the items that it finds there, which then costs less.
    """
    searched = item_ids.shape[-1] * data.max_row.bit_length()
    if item_ids.ndim == 1 and searched > 2 * data.max_row:
        return _marked(user_ids, item_ids, data)
    return _searched(user_ids, item_ids, data)


def _searched(user_ids: Array, item_ids: Array, data: Interactions) -> Array:
    start, end = (bound[:, None] for bound in row_bounds(user_ids, data))
    item_at = lambda place: data.sorted_items.at[start + place].get(mode="clip")
    shape = user_ids.shape[0], item_ids.shape[-1]
    smaller = count_leading(lambda count: item_at(count - 1) < item_ids, end - start, data.max_row, shape)
    return (smaller < end - start) & (item_at(smaller) == item_ids)


def _marked(user_ids: Array, item_ids: Array, data: Interactions) -> Array:
    rows, count = user_ids.shape[0], item_ids.shape[0]
    start, end = row_bounds(user_ids, data)
    # If an item repeats in `item_ids`, one of its places represents all. Items outside `item_ids` have the place `count`.
    place = jnp.full(data.num_items, count, jnp.int32).at[item_ids].set(jnp.arange(count, dtype=jnp.int32), mode="drop")
    row, step = jnp.arange(rows, dtype=jnp.int32), jnp.arange(_CHUNK, dtype=jnp.int32)[:, None]

    def mark(number: Array, marks: Array) -> Array:
        at = start + number * _CHUNK + step
        asked = place.at[data.sorted_items.at[at].get(mode="clip")].get(mode="promise_in_bounds")
        return marks.at[jnp.where(at < end, asked, count), row].set(True, mode="drop")

    longest = jnp.max(end - start, initial=0)
    marks = jax.lax.fori_loop(0, -(-longest // _CHUNK), mark, jnp.zeros((count, rows), bool))
    inside = item_ids < data.num_items
    found = marks.at[place.at[item_ids].get(mode="clip")].get(mode="clip")
    return (found & inside[:, None]).T
