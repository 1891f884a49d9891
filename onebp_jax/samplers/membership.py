"""Whether a user touched an item in training."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from onebp_jax.types import Array, Interactions

# Places of the users' rows that are marked in one go.
_CHUNK = 8


def row_bounds(user_ids: Array, data: Interactions) -> tuple[Array, Array]:
    """Where the users' rows in `sorted_items` begin and end, `i32[b]` each; an empty row for padding."""
    return tuple(data.row_starts.at[user_ids + i].get(mode="clip") for i in (0, 1))


def touched(user_ids: Array, item_ids: Array, data: Interactions) -> Array:
    """`bool[b, k]`: whether `user_ids i32[b]` touched `item_ids i32[b, k]` (or, shared, `[k]`) in training.

    By binary search in the users' sorted rows; where there are so many shared items that going through the rows costs less, by
    marking what is found there.
    """
    searched = item_ids.shape[-1] * data.max_row.bit_length()
    if item_ids.ndim == 1 and searched > 2 * data.max_row:
        return _marked(user_ids, item_ids, data)
    return _searched(user_ids, item_ids, data)


def _searched(user_ids: Array, item_ids: Array, data: Interactions) -> Array:
    start, end = (bound[:, None] for bound in row_bounds(user_ids, data))
    low = jnp.broadcast_to(start, (user_ids.shape[0], item_ids.shape[-1]))
    for bit in reversed(range(data.max_row.bit_length())):
        # Moves past `2^bit` items where all of them are smaller.
        last = low + (1 << bit) - 1
        smaller = (last < end) & (data.sorted_items.at[last].get(mode="clip") < item_ids)
        low = jnp.where(smaller, last + 1, low)
    return (low < end) & (data.sorted_items.at[low].get(mode="clip") == item_ids)


def _marked(user_ids: Array, item_ids: Array, data: Interactions) -> Array:
    rows, count = user_ids.shape[0], item_ids.shape[0]
    start, end = row_bounds(user_ids, data)
    # Of equal items one stands for all, whichever is written last; an item that is not asked for has the place `count`.
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
