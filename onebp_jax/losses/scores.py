"""What losses share: the scores of positives and negatives, and the attributes of a loss function."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp

from onebp_jax.compat.renamed import renamed_names
from onebp_jax.ops.geometry import dots, paired_dots
from onebp_jax.types import Array, Loss

# The score of a masked negative: so low that its exponential is zero, but finite, so that gradients stay finite.
HIDDEN = -1e30


def mark_loss(loss: Loss, **attributes: str | bool) -> Loss:
    """The same loss function, with these attributes set: `geometry`, `across_rows`. See `onebp_jax.types.Loss`."""
    for name, value in attributes.items():
        setattr(loss, name, value)
    return loss


def compares(geometry: str) -> Callable[[Loss], Loss]:
    """Marks a loss with the geometry of the vectors that it compares. `make_step` refuses an encoder with another geometry."""
    return partial(mark_loss, geometry=geometry)


def check_negatives(negatives: Array, name: str) -> None:
    """Raises ValueError if a loss that needs negatives gets none."""
    if negatives.shape[-2] == 0:
        raise ValueError(f"{name} compares a positive with negatives, and this sampler draws none: use another sampler")


def scores(
    user: Array,
    positive: Array,
    negatives: Array,
    temperature: float,
    negative_mask: Array | None = None,
    paired_user: Array | None = None,
) -> tuple[Array, Array]:
    """Dot products over the temperature, in full float32 on any device.

    Args:
      user: `f32[b, d]`, or `f32[b, K, d]` for several vectors per user, of which the best counts.
      positive: `f32[b, d]`.
      negatives: `f32[b, k, d]`, or `f32[k, d]` shared by every row.
      temperature: divides the products.
      negative_mask: `bool[b, k]`, true for negatives that do not count; their score is `HIDDEN`.
      paired_user: the user of each positive, where a batch holds histories and there are more positives than users.

    Returns:
      `(f32[b], f32[k, b])`: the scores of the positives and of the negatives, with one *column* per row of the batch.
    """
    of_positive = paired_dots(user if paired_user is None else paired_user, positive) / temperature
    of_negatives = dots(user, negatives) / temperature
    if negative_mask is not None:
        of_negatives = jnp.where(negative_mask.T, HIDDEN, of_negatives)
    return of_positive, of_negatives


def per_positive(of_users: Array, slots: Array | None) -> Array:
    """One number per user, `f32[b]`, for each positive: `f32[p]` where a batch holds histories, else the same."""
    return of_users if slots is None else of_users.at[slots].get(mode="clip")


def columns(of_negatives: Array) -> Array:
    """One number per negative, `[b, k]` or shared `[k]`, in the layout of the scores: `[k, b]` or `[k, 1]`."""
    return of_negatives[:, None] if of_negatives.ndim == 1 else of_negatives.T


__getattr__ = renamed_names(
    __name__,
    {
        "unit": "onebp_jax.ops.geometry.unit",
    },
)
