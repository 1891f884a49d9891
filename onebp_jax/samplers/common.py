"""What several samplers need: popularity, membership in a user's row, cheap random words, the best of some candidates."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from onebp_jax.types import Array, Batch, Interactions, View


def check_count(name: str, value: int, least: int = 1) -> None:
    """Raises ValueError for what is no whole number of at least `least` (0 or 1)."""
    if int(value) != value or value < least:
        kind = "positive whole number" if least else "whole number, zero or more"
        raise ValueError(f"{name} must be a {kind}, got {value}")


def check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raises ValueError for a value that is none of the `known` ones."""
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")


def item_counts(data: Interactions) -> np.ndarray:
    """`i64[N]`, on the host: the number of users who touched each item in training."""
    return np.bincount(np.asarray(data.sorted_items), minlength=data.num_items)


def row_bounds(user_ids: Array, data: Interactions) -> tuple[Array, Array]:
    """Where the users' rows in `sorted_items` begin and end, `i32[b]` each; an empty row for padding."""
    return tuple(data.row_starts.at[user_ids + i].get(mode="clip") for i in (0, 1))


def touched(user_ids: Array, item_ids: Array, data: Interactions) -> Array:
    """`bool[b, k]`: whether `user_ids i32[b]` touched `item_ids i32[b, k]` (or, shared, `[k]`) in training.

    By binary search in sorted rows.
    """
    start, end = (bound[:, None] for bound in row_bounds(user_ids, data))
    low = jnp.broadcast_to(start, (user_ids.shape[0], item_ids.shape[-1]))
    for bit in reversed(range(data.max_row.bit_length())):
        # Moves past `2^bit` items where all of them are smaller.
        last = low + (1 << bit) - 1
        smaller = (last < end) & (data.sorted_items.at[last].get(mode="clip") < item_ids)
        low = jnp.where(smaller, last + 1, low)
    return (low < end) & (data.sorted_items.at[low].get(mode="clip") == item_ids)


def rows_of(ids: Array, batch: Batch, data: Interactions) -> Array:
    """`i32[b, k]` from columns `i32[k, b]`: a row's negatives, with the id `N` where the row is padding."""
    return jnp.where(batch.user_ids < data.num_users, ids, data.num_items).T


def encode_columns(view: View, user_ids: Array, ids: Array) -> tuple[Array, Array]:
    """The vectors of users `i32[b]`, and those of the items `ids i32[c, b]` as `[b, c, d]`."""
    user, item = view.encode(user_ids, ids.reshape(-1))
    # Column by column, as the step itself reads its negatives.
    return user, item.reshape(*ids.shape, *item.shape[1:]).swapaxes(0, 1)


def largest(values: Array, count: int) -> Array:
    """`i32[count, b]`: where the largest of `values f32[c, b]` stand in their columns, the largest first, the first of equals.

    By `count` passes over whole vectors, which XLA:CPU does several times as fast as a sort of short rows. `-inf` is never
    larger than what was taken out before: a column of too few others gives places twice.
    """
    size = values.shape[0]
    place = jnp.arange(size, dtype=jnp.int32)[:, None]
    found = []
    for _ in range(count):
        first = jnp.min(jnp.where(values == jnp.max(values, axis=0), place, size - 1), axis=0)
        found.append(first)
        values = jnp.where(place == first, -jnp.inf, values)
    return jnp.stack(found)


def chosen(ids: Array, values: Array, count: int) -> Array:
    """`i32[count, b]`: of the candidates `ids i32[c, b]` those of the largest `values f32[c, b]`."""
    return jnp.take_along_axis(ids, largest(values, count), axis=0)


def scramble(words: Array) -> Array:
    """A bijection of 32-bit words that leaves no pattern (the finaliser of MurmurHash3, public domain)."""
    words = (words ^ (words >> 16)) * jnp.uint32(0x85EBCA6B)
    words = (words ^ (words >> 13)) * jnp.uint32(0xC2B2AE35)
    return words ^ (words >> 16)


def gumbel(words: Array) -> Array:
    """Standard Gumbel numbers from uniform 32-bit words, exact to float32 at the upper end, where draws are decided."""
    share = jnp.minimum((words.astype(jnp.float32) + 0.5) * 2.0**-32, 1 - 2.0**-24)
    return -jnp.log(-jnp.log1p(-share))
