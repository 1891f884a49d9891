"""The scores that a loss compares: a row's positive and its negatives, its own or those that a batch shares."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from onebp_jax.types import Array

# A score that never counts: so low that its exponential is zero, yet finite, so that gradients are.
HIDDEN = -1e30


def check_temperature(temperature: float) -> None:
    """Raises ValueError for a temperature that is not a positive number."""
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature must be a positive number, got {temperature}")


def scores(
    user: Array, positive: Array, negatives: Array, temperature: float, hidden: Array | None = None
) -> tuple[Array, Array]:
    """Dot products over the temperature, in full float32 on any device.

    Args:
      user: `f32[b, d]`. positive: `f32[b, d]`. negatives: `f32[b, k, d]`, or `f32[k, d]` shared by every row.
      hidden: `bool[b, k]`, negatives that do not count; their score is `HIDDEN`.

    Returns:
      `(f32[b], f32[k, b])`: the scores of the positive, and of the negatives, one *column* a row of the batch: sums over
      negatives then run over whole vectors, and the backward pass of shared ones is a plain product of `[k, b]` and `[b, d]`.
    """
    exact = jax.lax.Precision.HIGHEST
    of_positive = jnp.einsum("bd,bd->b", user, positive, precision=exact) / temperature
    shape = "kd,bd->kb" if negatives.ndim == 2 else "bkd,bd->kb"
    of_negatives = jnp.einsum(shape, negatives, user, precision=exact) / temperature
    if hidden is not None:
        of_negatives = jnp.where(hidden.T, HIDDEN, of_negatives)
    return of_positive, of_negatives


def columns(of_negatives: Array) -> Array:
    """Numbers of negatives, `[b, k]` or shared `[k]`, in the layout of their scores: `[k, b]` or `[k, 1]`."""
    return of_negatives[:, None] if of_negatives.ndim == 1 else of_negatives.T
