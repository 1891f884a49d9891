"""Penalties added to any loss: on how alike the vectors of each user are, and on the size of what a batch reads."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from onebp_jax.losses.scores import mark_loss
from onebp_jax.ops.checks import check_choice, check_cosine_margin, check_not_negative
from onebp_jax.ops.geometry import unit
from onebp_jax.types import Array, Loss

FORMS = ("hinge", "square")
SIZES = ("inputs", "vectors")


def _as(original: Loss, loss: Loss) -> Loss:
    """`loss` with the attributes of the original loss: its geometry, and whether it compares rows."""
    return mark_loss(
        loss, **{name: value for name, value in vars(original).items() if name in ("geometry", "across_rows")}
    )


def repel(loss: Loss, weight: float, margin: float = 0.0, form: str = "hinge") -> Loss:
    """Any loss, plus `weight` times how alike the `K` vectors of each row's user are.

        R = 2 / (K (K - 1)) sum over a < b of max(0, cos(u_a, u_b) - margin), or of cos(u_a, u_b)^2

    The penalty uses the cosine: with dot products, shrinking a vector would reduce it. With one vector per user it adds nothing.

    Args:
      loss: a loss for `user [b, K, d]`.
      weight: the weight of the penalty, >= 0.
      margin: two vectors with a cosine up to this have no penalty, in [-1, 1).
      form: "hinge", or "square", which has no margin and makes vectors orthogonal rather than opposite.

    Raises:
      ValueError: a negative weight, a margin outside [-1, 1), a margin together with "square", an unknown form.
    """
    check_not_negative("weight", weight)
    check_choice("form", form, FORMS)
    check_cosine_margin("margin", margin)
    if margin and form == "square":
        raise ValueError(f"margin must be 0 for the form 'square', got {margin}")

    def repelled(user: Array, positive: Array, negatives: Array, **extra) -> Array:
        value = loss(user, positive, negatives, **extra)
        if user.ndim < 3 or user.shape[1] < 2:
            return value
        return value + weight * _likeness(user, margin, form)

    return _as(loss, repelled)


def _likeness(user: Array, margin: float, form: str) -> Array:
    """`f32[b]`: the mean over the pairs of each user's vectors `[b, K, d]`."""
    vectors = unit(user)
    cosines = jnp.einsum("bkd,bld->klb", vectors, vectors, precision=jax.lax.Precision.HIGHEST)
    each = jax.nn.relu(cosines - margin) if form == "hinge" else cosines**2
    pairs = np.triu_indices(user.shape[1], 1)
    return jnp.mean(each.at[pairs].get(unique_indices=True), 0)


def with_l2(loss: Loss, weight: float, of: str = "inputs") -> Loss:
    """Any loss, plus `weight / 2 (|u|^2 + |v_positive|^2 + sum_k |v_k|^2)` of each row, averaged with it.

    Negatives that the batch shares count once per batch, not once per row. Masked negatives do not count; a shared negative
    counts unless it is masked in every row.

    Args:
      loss: any loss.
      weight: the weight of the penalty, >= 0.
      of: "inputs", the table rows behind the vectors, which the step passes (LightGCN: before propagation), or "vectors", the
        vectors that are scored (NGCF).

    Raises:
      ValueError: a negative weight, an unknown `of`; when traced, "inputs" that were not passed.
    """
    check_not_negative("weight", weight)
    check_choice("of", of, SIZES)

    def penalised(user: Array, positive: Array, negatives: Array, **extra) -> Array:
        value = loss(user, positive, negatives, **extra)
        sized = (user, positive, negatives) if of == "vectors" else extra.get("inputs")
        if sized is None:
            raise ValueError(
                "with_l2(of='inputs') needs the table rows that the step passes as inputs; use of='vectors'"
            )
        of_negatives = _of_shared if negatives.ndim == positive.ndim else _of_own
        rows = _squares(sized[0], 1) + _squares(sized[1], 1)
        return value + weight / 2 * (rows + of_negatives(sized[2], len(user), extra))

    # All rows together decide which shared negatives count.
    return mark_loss(_as(loss, penalised), across_rows=True)


def _squares(values: Array, kept: int) -> Array:
    """Sums of squares over all but the first `kept` axes."""
    return jnp.sum(values * values, axis=tuple(range(kept, values.ndim)))


def _of_own(negatives: Array, count: int, extra: dict) -> Array:
    """`f32[b]`: the sum over each row's own negatives `[b, k, ...]`."""
    sizes, negative_mask = _squares(negatives, 2), extra.get("negative_mask")
    return jnp.sum(sizes if negative_mask is None else jnp.where(negative_mask, 0, sizes), 1)


def _of_shared(negatives: Array, count: int, extra: dict) -> Array:
    """`f32[]`: the sum over shared negatives `[k, ...]` by the number of valid rows: the rows together count it once."""
    sizes, negative_mask, valid = _squares(negatives, 1), extra.get("negative_mask"), extra.get("valid")
    valid = jnp.ones(count, bool) if valid is None else valid
    if negative_mask is not None:
        # The mask may also cover further negatives, given as vectors, which have no table rows.
        counts = jnp.any(valid[:, None] & ~negative_mask[:, : len(sizes)], 0)
        sizes = jnp.where(counts, sizes, 0)
    return jnp.sum(sizes) / jnp.maximum(1, jnp.sum(valid))
