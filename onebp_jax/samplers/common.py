"""What several samplers need: popularity, the best of some candidates, cheap random words."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np

from onebp_jax.types import Array, Batch, Interactions, ModelView


def check_count(name: str, value: int, least: int = 1) -> None:
    """Raises ValueError for what is no whole number of at least `least` (0 or 1)."""
    if not least <= value < math.inf or int(value) != value:
        kind = "positive whole number" if least else "whole number, zero or more"
        raise ValueError(f"{name} must be a {kind}, got {value}")


def check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raises ValueError for a value that is none of the `known` ones."""
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")


def item_counts(data: Interactions) -> np.ndarray:
    """`i64[N]`, on the host: the number of users who touched each item in training."""
    if data.item_counts is not None:
        return np.asarray(data.item_counts, np.int64)
    return np.bincount(np.asarray(data.sorted_items), minlength=data.num_items)


def need_rows(data: Interactions) -> None:
    """Raises ValueError where it is not known what users touched, for what cannot do without."""
    if not data.max_row:
        raise ValueError(
            "this method has to know what each user touched, which does not fit in memory: raise membership_bytes, or use "
            "negatives that can do without, such as uniform, shared or in_batch"
        )


def rows_of(ids: Array, batch: Batch, data: Interactions) -> Array:
    """`i32[b, k]` from columns `i32[k, b]`: a row's negatives, with the id `N` where the row is padding."""
    return jnp.where(batch.user_ids < data.num_users, ids, data.num_items).T


def encode_columns(view: ModelView, user_ids: Array, ids: Array) -> tuple[Array, Array]:
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
