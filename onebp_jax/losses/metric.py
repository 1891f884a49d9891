"""Metric learning: the positive must be nearer than the negatives by a margin, in squared Euclidean distance.

The losses give one number per row. `d+ = |u - v_positive|^2` and `d_k = |u - v_k|^2`; if a user has several vectors, each is the
smallest over them:

    CML      l = log(1 + rank) max(0, m + d+ - min_k d_k),   rank = N * share of negatives with m + d+ - d_k > 0
    DPCML2   l = max(0, m + d+ - min_k d_k)
    DPCML1   l = mean_k max(0, m + d+ - d_k)                 with one negative: the library form of CML

No gradient flows through the rank. The sources *sum* over a batch; the step takes the mean. So with plain SGD, multiply their
learning rate by the batch size; adaptive optimisers need no change. `onebp_jax.updaters.constrained` keeps the vectors in the
unit ball or on the unit sphere.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from onebp_jax.losses.scores import HIDDEN, check_negatives, compares
from onebp_jax.ops.checks import check_positive
from onebp_jax.ops.geometry import distances, paired_distances
from onebp_jax.ops.gpu import computed_once
from onebp_jax.types import Array, Loss


def _gaps(user: Array, positive: Array, negatives: Array, margin: float, negative_mask: Array | None) -> Array:
    """`f32[k, b]`: `m + d+ - d_k`, positive where a negative is too near, and far below zero where it is masked."""
    gaps = margin + paired_distances(user, positive) - distances(user, negatives)
    return gaps if negative_mask is None else jnp.where(negative_mask.T, HIDDEN, gaps)


def _share(which: Array, negative_mask: Array | None) -> Array:
    """`f32[b]`: the sum of `which [k, b]` over the negatives of each row, divided by the number that are not masked."""
    number = which.shape[0] if negative_mask is None else jnp.maximum(1, jnp.sum(~negative_mask, 1))
    return jnp.sum(which, 0) / number


def cml(margin: float = 1.5, rank_weight: bool = True) -> Loss:
    """Collaborative metric learning, `user [b, (K,) d], positive [b, d], negatives [b, k, d] or [k, d] -> [b]`.

    Args:
      margin: `m` in squared distance, > 0.
      rank_weight: whether to weight each row by its estimated rank; the loss then needs `num_items`, which the step passes.

    Raises:
      ValueError: a margin that is not positive; when traced, no negatives or no `num_items`.

    Source: Hsieh et al. 2017, Collaborative Metric Learning, in the form of the authors' code (the closest negative).
    """
    check_positive("margin", margin)

    @compares("distance")
    def loss(user: Array, positive: Array, negatives: Array, **extra) -> Array:
        check_negatives(negatives, "cml")
        negative_mask = extra.get("negative_mask")
        gaps = _gaps(user, positive, negatives, margin, negative_mask)
        hinge = jax.nn.relu(jnp.max(computed_once(gaps), 0))
        if not rank_weight:
            return hinge
        if "num_items" not in extra:
            raise ValueError("cml estimates ranks from num_items, and none was given: pass it, or rank_weight=False")
        rank = extra["num_items"] * _share((gaps > 0).astype(gaps.dtype), negative_mask)
        return jax.lax.stop_gradient(jnp.log1p(rank)).astype(gaps.dtype) * hinge

    return loss


def dpcml(margin: float = 1.0, hardest: bool = True) -> Loss:
    """CML for several vectors per user, without the rank weight. Vectors and result are as in `cml`.

    Args:
      margin: `m` in squared distance, > 0.
      hardest: True: only the closest negative counts (DPCML2); False: all negatives count equally (DPCML1).

    Raises:
      ValueError: a margin that is not positive; when traced, no negatives.

    Source: Bao et al. 2022, The Minority Matters: A Diversity-Promoting Collaborative Metric Learning Algorithm.
    """
    check_positive("margin", margin)

    @compares("distance")
    def loss(user: Array, positive: Array, negatives: Array, **extra) -> Array:
        check_negatives(negatives, "dpcml")
        negative_mask = extra.get("negative_mask")
        gaps = _gaps(user, positive, negatives, margin, negative_mask)
        return jax.nn.relu(jnp.max(computed_once(gaps), 0)) if hardest else _share(jax.nn.relu(gaps), negative_mask)

    return loss
