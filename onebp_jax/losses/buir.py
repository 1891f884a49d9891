"""BUIR: no negatives; each tower predicts what the other one's slow copy says of its partner."""

from __future__ import annotations

import jax.numpy as jnp

from onebp_jax.losses.scores import compares
from onebp_jax.ops.geometry import unit
from onebp_jax.types import Array, Loss


def buir() -> Loss:
    """`l = [2 - 2 cos(q(u), v')] + [2 - 2 cos(q(v), u')]` with the predictor `q` and slow copies `u'`, `v'`; in [0, 8].

    Takes what the encoder `buir` makes, `user [b, 2, d] = (q(u), u')` and `positive [b, 2, d] = (v', q(v))`, and looks at no
    negatives: use the sampler `none()`. The slow copies pass no gradient (the encoder sees to it).

    Source: Lee et al. 2021, Bootstrapping User and Item Representations for One-Class Collaborative Filtering.
    """

    @compares("buir")
    def loss(user: Array, positive: Array, negatives: Array, **extra) -> Array:
        del negatives, extra
        return 4 - 2 * jnp.sum(unit(user) * unit(positive), axis=(1, 2))

    return loss
