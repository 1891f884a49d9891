"""Negatives without new items: an item that nobody touched in training is never a negative."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from onebp_jax.ops.csr import item_counts
from onebp_jax.types import Array, Batch, Interactions, ModelView, Negatives, Sampler, Tree


def exclude_cold_items(sampler: Sampler) -> Sampler:
    """`sampler` over the catalogue without the items that have no training pair.

    A new item is never a positive. If it could be a negative, training would only push its vector away, just because the item is
    new. So the sampler sees a catalogue that ends with the last item that has a training pair. Items that only a feature file
    holds come after it. A new item before it (all its pairs were held out) may still be drawn; it is masked, so that row has one
    negative less.

    Args:
      sampler: any sampler; negatives that it gives as vectors stay.

    Returns:
      A `Sampler` whose state is `(bool[id of the last seen item + 1], state of sampler)`; the first is true for new items.
    """

    without = lambda data: data.replace(num_items=len(_is_new(data)))

    def check(data: Interactions) -> None:
        sampler.check(without(data))

    def init(data: Interactions, view: ModelView | None = None) -> tuple[Array, Tree]:
        is_new = _is_new(data)
        return jnp.asarray(is_new), sampler.init(data.replace(num_items=len(is_new)), view)

    def sample(
        key: Array, state: tuple[Array, Tree], batch: Batch, data: Interactions, view: ModelView | None = None
    ) -> tuple[Negatives, tuple[Array, Tree]]:
        is_new, inner = state
        end = is_new.shape[0]
        negatives, inner = sampler.sample(key, inner, batch, data.replace(num_items=end), view)
        negative_mask = is_new.at[negatives.ids].get(mode="clip")
        if negatives.ids.ndim == 1:
            negative_mask = jnp.broadcast_to(negative_mask, (batch.user_ids.shape[0], *negative_mask.shape))
        if negatives.vectors is not None:
            negative_mask = jnp.pad(negative_mask, ((0, 0), (0, negatives.vectors.shape[0])))
        if negatives.negative_mask is not None:
            negative_mask = negative_mask | negatives.negative_mask
        ids = jnp.where(negatives.ids < end, negatives.ids, data.num_items)
        return negatives._replace(ids=ids, negative_mask=negative_mask), (is_new, inner)

    return Sampler(check, init, sample, lambda data: sampler.lacking(without(data)))


def _is_new(data: Interactions) -> np.ndarray:
    """`bool[id of the last seen item + 1]`: true for items without training pairs."""
    counts = item_counts(data)
    return counts[: np.flatnonzero(counts)[-1] + 1] == 0
