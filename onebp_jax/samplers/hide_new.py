"""Negatives without new items: an item that nobody touched in training counts as a negative for nobody."""

from __future__ import annotations

import jax.numpy as jnp

from onebp_jax.types import Array, Batch, Interactions, Negatives, Sampler, Tree, View


def hide_new(sampler: Sampler) -> Sampler:
    """`sampler`, with the draws hidden that are items without a training pair.

    hidden'[r, j] = hidden[r, j] or count[ids[r, j]] = 0,    count = training pairs of an item

    Such an item can never be a positive: as a negative alone, whatever the encoder makes of its features would only be
    pushed away, for the one reason that it is new. The draws themselves stay as they are, so a row of `k` negatives has `k`
    times the share of the catalogue that was seen of them left.

    Args:
      sampler: any sampler; its further negatives as vectors stay.

    Returns:
      A `Sampler` whose state is `(bool[N], state of sampler)`.
    """

    def init(data: Interactions, view: View | None = None) -> tuple[Array, Tree]:
        counts = jnp.zeros(data.num_items, jnp.int32).at[data.sorted_items].add(1)
        return counts == 0, sampler.init(data, view)

    def sample(
        key: Array, state: tuple[Array, Tree], batch: Batch, data: Interactions, view: View | None = None
    ) -> tuple[Negatives, tuple[Array, Tree]]:
        is_new, inner = state
        negatives, inner = sampler.sample(key, inner, batch, data, view)
        hidden = is_new.at[negatives.ids].get(mode="clip")
        if negatives.ids.ndim == 1:
            hidden = jnp.broadcast_to(hidden, (batch.user_ids.shape[0], *hidden.shape))
        if negatives.vectors is not None:
            hidden = jnp.pad(hidden, ((0, 0), (0, negatives.vectors.shape[0])))
        if negatives.hidden is not None:
            hidden = hidden | negatives.hidden
        return negatives._replace(hidden=hidden), (is_new, inner)

    return Sampler(sampler.check, init, sample)
