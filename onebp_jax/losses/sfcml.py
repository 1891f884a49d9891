"""Sampling-free metric learning (SFCML): each user's liked items against all other items, without drawing negatives."""

from __future__ import annotations

import jax.numpy as jnp

from onebp_jax.losses.scores import compares
from onebp_jax.ops.checks import check_positive
from onebp_jax.ops.geometry import dots
from onebp_jax.types import Array, Loss


def sfcml(margin: float = 2.0) -> Loss:
    """Metric learning over *all* pairs of a liked and another item of each user, in O(N), with a square in place of the hinge.

        l_u = mean over i liked, j not, of (m - (f_i - f_j))^2,     f = 2 <u, v> = 2 - |u - v|^2 for unit vectors
            = var_i(f_i) + var_j(f_j) + (m - mean_i f_i + mean_j f_j)^2

    In this loss alone, the masked items are the *liked* ones. So the sampler must be `full_catalogue`: `negatives [N, d]`,
    `negative_mask bool[b, N]`. A batch holds users, one row each (`Method.epoch_unit = "user"`). The loss is 0 for a user
    without liked items or without other items.

    Args:
      margin: `m`, by how much each liked item should score above each other item, > 0.

    Raises:
      ValueError: a margin that is not positive; when traced, negatives that are not the whole catalogue.

    Source: Bao et al. 2022, Rethinking Collaborative Metric Learning: Toward an Efficient Alternative without Negative Sampling.
    """
    check_positive("margin", margin)

    @compares("dot")
    def loss(user: Array, positive: Array, negatives: Array, **extra) -> Array:
        liked, num_items = extra.get("negative_mask"), extra.get("num_items", negatives.shape[0])
        if negatives.ndim != 2 or liked is None or negatives.shape[0] != num_items:
            raise ValueError(
                "sfcml compares a user's items with the whole catalogue, and this sampler gave negatives of shape "
                f"{negatives.shape} for {num_items} items: use the sampler full_catalogue()"
            )
        liked, score = liked.T, 2 * dots(user, negatives)
        (mean, variance, number), (other_mean, other_variance, others) = (
            _moments(score, which) for which in (liked, ~liked)
        )
        pairs = variance + other_variance + (margin - mean + other_mean) ** 2
        return jnp.where((number > 0) & (others > 0), pairs, 0)

    return loss


def _moments(score: Array, which: Array) -> tuple[Array, Array, Array]:
    """Mean, variance and number of the chosen `score [k, b]` of each column."""
    number = jnp.sum(which, 0, dtype=score.dtype)
    mean = jnp.sum(jnp.where(which, score, 0), 0) / jnp.maximum(number, 1)
    variance = jnp.sum(jnp.where(which, (score - mean) ** 2, 0), 0) / jnp.maximum(number, 1)
    return mean, variance, number
