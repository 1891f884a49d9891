"""Contrastive losses that correct for false negatives (DCL) and give hard ones more weight (HCL): one number per row.

Scores `s` are divided by the temperature `t`; `e_0 = exp(s_0)` and `e_k = exp(s_k)`. `n` negatives are not masked, and `tau+`
is the prior probability that an unlabelled item is liked:

    DCL   G = max((sum_k e_k - n tau+ e_0) / (1 - tau+), n exp(-1/t))
    HCL   the same with  sum_k w_k e_k / mean_k w_k,  w_k = e_k ^ hardness,  in place of  sum_k e_k
    l = -log(e_0 / (e_0 + G)) = softplus(log G - s_0)

For unit vectors, the floor `n exp(-1/t)` is a true lower bound of the sum. For other vectors it only keeps the logarithm finite.
The gradient flows through the weights `w_k` too. Everything is computed in logarithms, so that large scores stay finite.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from onebp_jax.losses.scores import HIDDEN, check_negatives, compares, scores
from onebp_jax.ops.checks import check_not_negative, check_positive, check_share
from onebp_jax.types import Array, Loss


def dcl(tau_plus: float = 0.1, temperature: float = 1.0) -> Loss:
    """The debiased contrastive loss, `user [b, (K,) d], positive [b, d], negatives [b, k, d] or [k, d] -> [b]`.

    Args:
      tau_plus: the probability that a negative is really a positive, in [0, 1); 0 gives InfoNCE (above the floor).
      temperature: divides the scores.

    Raises:
      ValueError: `tau_plus` outside [0, 1), a temperature that is not positive; when traced, no negatives.

    Source: Chuang et al. 2020, Debiased Contrastive Learning (arXiv 2007.00224), with one positive.
    """
    return _debiased("dcl", tau_plus, 0.0, temperature)


def hcl(tau_plus: float = 0.1, hardness: float = 1.0, temperature: float = 1.0) -> Loss:
    """The debiased loss with more weight on hard negatives. Other arguments and the result are as in `dcl`.

    Args:
      hardness: exponent of the weights, >= 0; 0 gives DCL. The authors found .5 to 2 good and 6 bad.

    Raises:
      ValueError: as in `dcl`; a hardness that is negative or not finite.

    Source: Robinson et al. 2021, Contrastive Learning with Hard Negative Samples (arXiv 2010.04592).
    """
    check_not_negative("hardness", hardness)
    return _debiased("hcl", tau_plus, hardness, temperature)


def _debiased(name: str, tau_plus: float, hardness: float, temperature: float) -> Loss:
    check_positive("temperature", temperature)
    check_share("tau_plus", tau_plus, one=False)

    @compares("dot")
    def loss(user: Array, positive: Array, negatives: Array, **extra) -> Array:
        check_negatives(negatives, name)
        negative_mask = extra.get("negative_mask")
        of_positive, of_negatives = scores(user, positive, negatives, temperature, negative_mask)
        number = (
            jnp.float32(of_negatives.shape[0])
            if negative_mask is None
            else jnp.sum(~negative_mask, 1, dtype=jnp.float32)
        )
        log_number = jnp.where(number > 0, jnp.log(jnp.maximum(number, 1)), HIDDEN)
        log_sum = jax.nn.logsumexp(of_negatives, axis=0)
        if hardness:
            weights = of_negatives * hardness
            if negative_mask is not None:
                weights = jnp.where(negative_mask.T, HIDDEN, weights)
            # Masked negatives are left out of the weights too.
            log_sum = jax.nn.logsumexp(weights + of_negatives, axis=0) - jax.nn.logsumexp(weights, axis=0) + log_number
        largest = jax.lax.stop_gradient(jnp.maximum(of_positive, log_sum))
        liked = number * tau_plus * jnp.exp(of_positive - largest)
        estimate = (jnp.exp(log_sum - largest) - liked) / (1 - tau_plus)
        log_floor = log_number - 1 / temperature
        above = estimate > jnp.exp(log_floor - largest)
        log_rest = jnp.where(above, jnp.log(jnp.where(above, estimate, 1)) + largest, log_floor)
        return jax.nn.softplus(log_rest - of_positive).astype(user.dtype)

    return loss
