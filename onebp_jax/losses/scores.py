"""The scores that a loss compares: a row's positive and its negatives, its own or those that a batch shares."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp

from onebp_jax.ops.geometry import dots, paired_dots
from onebp_jax.types import Array, Loss

# A score that never counts: so low that its exponential is zero, yet finite, so that gradients are.
HIDDEN = -1e30


def compares(geometry: str) -> Callable[[Loss], Loss]:
    """Marks a loss with the geometry of the vectors that it compares; `make_step` refuses an encoder of another one."""

    def mark(loss: Loss) -> Loss:
        loss.geometry = geometry
        return loss

    return mark


def check_negatives(negatives: Array, name: str) -> None:
    """Raises ValueError where a loss that needs negatives has none."""
    if negatives.shape[-2] == 0:
        raise ValueError(f"{name} compares a positive with negatives, and this sampler draws none: use another sampler")


def scores(
    user: Array, positive: Array, negatives: Array, temperature: float, negative_mask: Array | None = None
) -> tuple[Array, Array]:
    """Dot products over the temperature, in full float32 on any device.

    Args:
      user: `f32[b, d]`, or `f32[b, K, d]`: of several vectors the best counts.
      positive: `f32[b, d]`. negatives: `f32[b, k, d]`, or `f32[k, d]` shared by every row.
      negative_mask: `bool[b, k]`, negatives that do not count; their score is `HIDDEN`.

    Returns:
      `(f32[b], f32[k, b])`: the scores of the positive, and of the negatives, one *column* a row of the batch.
    """
    of_positive = paired_dots(user, positive) / temperature
    of_negatives = dots(user, negatives) / temperature
    if negative_mask is not None:
        of_negatives = jnp.where(negative_mask.T, HIDDEN, of_negatives)
    return of_positive, of_negatives


def columns(of_negatives: Array) -> Array:
    """Numbers of negatives, `[b, k]` or shared `[k]`, in the layout of their scores: `[k, b]` or `[k, 1]`."""
    return of_negatives[:, None] if of_negatives.ndim == 1 else of_negatives.T
