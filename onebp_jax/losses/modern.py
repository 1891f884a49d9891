"""Losses on cosines: CCL of SimpleX, and DirectAU, which needs no negatives."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from onebp_jax.losses.scores import check_negatives, compares, mark_loss, of_each_user, paired_users, per_positive
from onebp_jax.ops.checks import check_cosine_margin, check_not_negative, check_positive
from onebp_jax.ops.geometry import dots, paired_dots, unit
from onebp_jax.types import Array, Loss


def ccl(margin: float = 0.4, weight: float = 5.0) -> Loss:
    """The cosine contrastive loss, `user [b, (K,) d], positive [b, d], negatives [b, k, d] or [k, d] -> [b]`, or histories.

        l = 1 - cos(u, v_positive) + weight * mean_k max(0, cos(u, v_k) - margin)

    The loss computes the cosine itself. Use an encoder of unit vectors, so that ranking uses the cosine too.

    Args:
      margin: a negative with a cosine up to this adds no loss, in [-1, 1).
      weight: the weight of the negatives, > 0.

    Raises:
      ValueError: a margin outside [-1, 1), a weight that is not positive; when traced, no negatives.

    Source: Mao et al. 2021, SimpleX: A Simple and Strong Baseline for Collaborative Filtering (arXiv 2109.12613).
    """
    check_cosine_margin("margin", margin)
    check_positive("weight", weight)

    @compares("dot")
    def loss(user: Array, positive: Array, negatives: Array, **extra) -> Array:
        check_negatives(negatives, "ccl")
        cosine = paired_dots(unit(paired_users(user, extra)), unit(positive))
        user, negatives = unit(user), unit(negatives)

        def excess(user: Array, negative_mask: Array | None) -> Array:
            found = jax.nn.relu(dots(user, negatives) - margin)
            if negative_mask is None:
                return weight * jnp.sum(found, 0) / found.shape[0]
            number = jnp.maximum(1, jnp.sum(~negative_mask, 1)).astype(found.dtype)
            return weight * jnp.sum(jnp.where(negative_mask.T, 0, found), 0) / number

        of_users = of_each_user(excess, user, negatives, extra.get("negative_mask"))
        return 1 - cosine + per_positive(of_users, extra.get("slots"))

    return mark_loss(loss, histories=True)


def directau(gamma: float = 1.0) -> Loss:
    """Alignment of each pair, plus uniformity on the unit sphere of the batch's users and of its items.

        l = |u - v|^2 + gamma / 2 (uniformity(users) + uniformity(items))
        uniformity(x) = log of the mean over pairs a < b of exp(-2 |x_a - x_b|^2)

    The loss scales `user [b, d]` and `positive [b, d]` to unit length; use an encoder of unit vectors. It ignores negatives: use
    the sampler `none()`. The uniformity, one number per batch, is added to each row, so that the mean over the rows is right.
    Rows that are not `valid` are in no pair. If a user is twice in the batch, that is a pair at distance zero, as in the public
    code.

    Args:
      gamma: weight of the uniformity, >= 0. The authors used 5 on Gowalla and 1 on Yelp2018.

    Raises:
      ValueError: gamma negative or not finite; when traced, several vectors per user.

    Source: Wang et al. 2022, Towards Representation Alignment and Uniformity in Collaborative Filtering (arXiv 2206.12811).
    """
    check_not_negative("gamma", gamma)

    @compares("dot")
    def loss(user: Array, positive: Array, negatives: Array, **extra) -> Array:
        del negatives
        if user.ndim != 2:
            raise ValueError(f"directau needs one vector per user, of shape [b, d], and these are {user.shape}")
        valid = extra.get("valid")
        valid = jnp.ones(len(user), bool) if valid is None else valid
        user, positive = unit(user), unit(positive)
        align = jnp.sum((user - positive) ** 2, -1)
        return align + gamma / 2 * (_uniformity(user, valid) + _uniformity(positive, valid))

    return mark_loss(loss, across_rows=True)


def _uniformity(vectors: Array, valid: Array) -> Array:
    """`f32[]` for unit vectors `[b, d]`, whose squared distances are `2 - 2 cos`."""
    cosines = jnp.matmul(vectors, vectors.T, precision=jax.lax.Precision.HIGHEST)
    pair = valid[:, None] & valid & ~jnp.eye(len(valid), dtype=bool)
    number = jnp.sum(pair)
    total = jnp.sum(jnp.where(pair, jnp.exp(4 * (cosines - 1)), 0))
    return jnp.log(jnp.where(number > 0, total, 1) / jnp.maximum(number, 1)).astype(vectors.dtype)
