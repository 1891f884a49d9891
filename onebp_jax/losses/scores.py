"""What losses share: the scores of positives and negatives, and the attributes of a loss function."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from onebp_jax.compat.renamed import renamed_names
from onebp_jax.ops.geometry import dots, paired_dots
from onebp_jax.ops.repeated import rows_at
from onebp_jax.types import Array, Loss

# The score of a masked negative: so low that its exponential is zero, but finite, so that gradients stay finite.
HIDDEN = -1e30
# The scores of shared negatives that are held at a time, 128 MiB. See `of_each_user`.
BLOCK = 2**25


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
) -> tuple[Array, Array]:
    """Dot products over the temperature, in full float32 on any device.

    Args:
      user: `f32[b, d]`, or `f32[b, K, d]` for several vectors per user, of which the best counts.
      positive: `f32[b, d]`.
      negatives: `f32[b, k, d]`, or `f32[k, d]` shared by every row.
      temperature: divides the products.
      negative_mask: `bool[b, k]`, true for negatives that do not count; their score is `HIDDEN`.

    Returns:
      `(f32[b], f32[k, b])`: the scores of the positives and of the negatives, with one *column* per row of the batch.
    """
    of_positive = paired_dots(user, positive) / temperature
    return of_positive, negative_scores(user, negatives, temperature, negative_mask)


def negative_scores(
    user: Array, negatives: Array, temperature: float, negative_mask: Array | None, log_q: Array | None = None
) -> Array:
    """`f32[k, b]`: the scores of the negatives, as in `scores`, less the logarithm of their probability if it is given."""
    found = dots(user, negatives) / temperature
    if negative_mask is not None:
        found = jnp.where(negative_mask.T, HIDDEN, found)
    return found if log_q is None else found - columns(log_q)


def log_total(
    user: Array, negatives: Array, temperature: float, negative_mask: Array | None, log_q: Array | None
) -> Array:
    """`f32[b]`: the logarithm of the sum of each row's exponential `negative_scores`."""

    def total(user: Array, negative_mask: Array | None) -> Array:
        return jax.nn.logsumexp(negative_scores(user, negatives, temperature, negative_mask, log_q), axis=0)

    return of_each_user(total, user, negatives, negative_mask)


def of_each_user(
    function: Callable[[Array, Array | None], Array], user: Array, negatives: Array, negative_mask: Array | None
) -> Array:
    """`function(user [b, ...], negative_mask [b, k]) -> f32[b]`, in memory that does not grow with the batch.

    If shared negatives have more than `BLOCK` scores, users are taken in blocks, and the backward pass computes the scores again.
    """
    count, width = user.shape[0], negatives.shape[-2]
    if negatives.ndim > 2 or count * width <= BLOCK:
        return function(user, negative_mask)
    blocks = -(-count // max(1, BLOCK // width))
    rows = -(-count // blocks)

    def split(array: Array) -> Array:
        padding = [(0, blocks * rows - count)] + [(0, 0)] * (array.ndim - 1)
        return jnp.pad(array, padding).reshape(blocks, rows, *array.shape[1:])

    parts = jax.tree.map(split, (user, negative_mask))
    return jax.lax.map(jax.checkpoint(lambda part: function(*part)), parts).reshape(-1)[:count]


def paired_users(user: Array, extra: dict[str, Any]) -> Array:
    """The user that each positive is compared with, `f32[p, d]` where a batch holds histories, else `user`."""
    paired = extra.get("paired_user")
    return user if paired is None else paired


def per_positive(of_users: Array, slots: Array | None) -> Array:
    """One number per user, `f32[b]`, for each positive: `f32[p]` where a batch holds histories, else the same."""
    return of_users if slots is None else rows_at(of_users, slots)


def columns(of_negatives: Array) -> Array:
    """One number per negative, `[b, k]` or shared `[k]`, in the layout of the scores: `[k, b]` or `[k, 1]`."""
    return of_negatives[:, None] if of_negatives.ndim == 1 else of_negatives.T


__getattr__ = renamed_names(
    __name__,
    {
        "unit": "onebp_jax.ops.geometry.unit",
    },
)
