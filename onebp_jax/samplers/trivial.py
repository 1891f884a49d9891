"""Samplers that draw nothing: for losses without negatives, and for losses over the whole catalogue."""

from __future__ import annotations

import jax.numpy as jnp

from onebp_jax.ops.csr import need_rows, row_bounds
from onebp_jax.types import Array, Batch, Interactions, ModelView, Negatives, Sampler, Tree


def none() -> Sampler:
    """No negatives: `ids i32[b, 0]`, for losses that need none (`directau`, `buir`)."""

    def sample(
        key: Array, state: Tree, batch: Batch, data: Interactions, view: ModelView | None = None
    ) -> tuple[Negatives, Tree]:
        del key, data, view
        return Negatives(jnp.zeros((batch.user_ids.shape[0], 0), jnp.int32)), state

    return Sampler(lambda data: None, lambda data, view=None: (), sample)


def full_catalogue() -> Sampler:
    """All items, shared, with each row's training items masked: `ids = 0 .. N-1`, `negative_mask bool[b, N]`.

    For losses over whole rows of the interaction matrix. A batch needs `b x N` scores.
    """

    def sample(
        key: Array, state: Tree, batch: Batch, data: Interactions, view: ModelView | None = None
    ) -> tuple[Negatives, Tree]:
        del key, view
        # Writes the whole row of each user at once. The search for single items (`membership.touched`) would run N times.
        start, end = (bound[:, None] for bound in row_bounds(batch.user_ids, data))
        place = start + jnp.arange(data.max_row)
        items = jnp.where(place < end, data.sorted_items.at[place].get(mode="clip"), data.num_items)
        rows = jnp.arange(batch.user_ids.shape[0])[:, None]
        negative_mask = (
            jnp.zeros((batch.user_ids.shape[0], data.num_items), bool).at[rows, items].set(True, mode="drop")
        )
        return Negatives(jnp.arange(data.num_items, dtype=jnp.int32), negative_mask=negative_mask), state

    return Sampler(need_rows, lambda data, view=None: (), sample)
