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
      `(f32[b], f32[b, k])`: the scores of the positive and of the negatives.
    """
    exact = jax.lax.Precision.HIGHEST
    of_positive = jnp.einsum("bd,bd->b", user, positive, precision=exact) / temperature
    shape = "bd,kd->bk" if negatives.ndim == 2 else "bd,bkd->bk"
    of_negatives = jnp.einsum(shape, user, negatives, precision=exact) / temperature
    if hidden is not None:
        of_negatives = jnp.where(hidden, HIDDEN, of_negatives)
    return of_positive, of_negatives
