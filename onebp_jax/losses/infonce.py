"""InfoNCE and BPR: how much better the positive scores than the negatives, one number a row.

With scores `s_0 = <u, v_positive>` and `s_k = <u, v_negative_k>`, all divided by the temperature:

    InfoNCE   l = logsumexp(s_0, s_1, .., s_k) - s_0        (Eq. 2 of the paper; averaged over rows by the step)
    BPR       l = mean_k softplus(s_k - s_0)                (Rendle et al. 2009)

One negative makes them equal. `logsumexp` keeps large scores finite where the textbook form overflows.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from onebp_jax.types import Array, Loss


def _scores(user: Array, positive: Array, negatives: Array, temperature: float) -> Array:
    """`f32[b, 1 + k]`: dot products over the temperature, the positive in column 0, in full float32 on any device."""
    items = jnp.concatenate([positive[:, None], negatives], 1)
    return jnp.einsum("bd,bkd->bk", user, items, precision=jax.lax.Precision.HIGHEST) / temperature


def _check(temperature: float) -> None:
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature must be a positive number, got {temperature}")


def infonce(temperature: float = 1.0) -> Loss:
    """The InfoNCE loss of a row: `user [b, d], positive [b, d], negatives [b, k, d] -> [b]`."""
    _check(temperature)

    def loss(user: Array, positive: Array, negatives: Array, **extra) -> Array:
        del extra
        scores = _scores(user, positive, negatives, temperature)
        return jax.nn.logsumexp(scores, axis=1) - scores[:, 0]

    return loss


def bpr(temperature: float = 1.0) -> Loss:
    """The BPR loss of a row, averaged over its negatives: `user [b, d], positive [b, d], negatives [b, k, d] -> [b]`."""
    _check(temperature)

    def loss(user: Array, positive: Array, negatives: Array, **extra) -> Array:
        del extra
        scores = _scores(user, positive, negatives, temperature)
        return jnp.mean(jax.nn.softplus(scores[:, 1:] - scores[:, :1]), axis=1)

    return loss
