"""What several samplers share: the layout of negatives, and the choice of the best candidates."""

from __future__ import annotations

import jax.numpy as jnp

from onebp_jax.compat.renamed import renamed_names
from onebp_jax.ops.checks import check_count
from onebp_jax.ops.gpu import computed_once
from onebp_jax.types import Array, Batch, Interactions, ModelView


def check_candidates(num_negatives: int, num_candidates: int, least: int | None = None) -> None:
    """Raises ValueError for counts below 1, or fewer candidates than `least` (by default `num_negatives`)."""
    check_count("num_negatives", num_negatives)
    check_count("num_candidates", num_candidates)
    if num_candidates < (num_negatives if least is None else least):
        raise ValueError(f"num_candidates must be at least num_negatives={num_negatives}, got {num_candidates}")


def rows_of(ids: Array, batch: Batch, data: Interactions) -> Array:
    """`i32[b, k]` from columns `i32[k, b]`: the negatives of each row, with the id `N` where the row is padding."""
    return jnp.where(batch.user_ids < data.num_users, ids, data.num_items).T


def encode_columns(view: ModelView, user_ids: Array, ids: Array) -> tuple[Array, Array]:
    """The vectors of `user_ids i32[b]`, and those of the items `ids i32[c, b]` as `[b, c, d]`."""
    user, item = view.encode(user_ids, ids.reshape(-1))
    # In the order of columns, as the step reads its negatives.
    return user, item.reshape(*ids.shape, *item.shape[1:]).swapaxes(0, 1)


def largest(values: Array, count: int) -> Array:
    """`i32[count, b]`: the places of the largest `values f32[c, b]` in each column, largest first; of equal ones the first.

    It makes `count` passes over whole vectors, which XLA:CPU does several times as fast as a sort of short rows. A place that was
    taken becomes `-inf`. So in a column with fewer than `count` other values, places may repeat.
    """
    size, values = values.shape[0], computed_once(values)
    place = jnp.arange(size, dtype=jnp.int32)[:, None]
    found = []
    for _ in range(count):
        first = jnp.min(jnp.where(values == jnp.max(values, axis=0), place, size - 1), axis=0)
        found.append(first)
        values = jnp.where(place == first, -jnp.inf, values)
    return jnp.stack(found)


def chosen(ids: Array, values: Array, count: int) -> Array:
    """`i32[count, b]`: of the candidates `ids i32[c, b]`, those with the largest `values f32[c, b]`."""
    return jnp.take_along_axis(ids, largest(values, count), axis=0)


__getattr__ = renamed_names(
    __name__,
    {
        "check_choice": "onebp_jax.ops.checks.check_choice",
        "item_counts": "onebp_jax.ops.csr.item_counts",
        "need_rows": "onebp_jax.ops.csr.need_rows",
        "gumbel": "onebp_jax.ops.random.gumbel",
        "scramble": "onebp_jax.ops.random.hash_words",
    },
)
