"""BUIR, a loss without negatives: each tower predicts its partner's vector in the slow copy of the other tower."""

from __future__ import annotations

import jax.numpy as jnp

from onebp_jax.losses.scores import compares
from onebp_jax.ops.geometry import unit
from onebp_jax.types import Array, Loss


def buir() -> Loss:
    """`l = [2 - 2 cos(q(u), v')] + [2 - 2 cos(q(v), u')]` with the predictor `q` and slow copies `u'`, `v'`; in [0, 8].

    The vectors come from the encoder `buir`: `user [b, 2, d] = (q(u), u')` and `positive [b, 2, d] = (v', q(v))`. That encoder
    stops the gradient of the slow copies. The loss ignores negatives: use the sampler `none()`.

    Source: Lee et al. 2021, Bootstrapping User and Item Representations for One-Class Collaborative Filtering.
    """

    @compares("buir")
    def loss(user: Array, positive: Array, negatives: Array, **extra) -> Array:
        del negatives, extra
        return 4 - 2 * jnp.sum(unit(user) * unit(positive), axis=(1, 2))

    return loss
