"""InfoNCE and BPR: how much higher the positive scores than the negatives, one number per row.

With scores `s_0 = <u, v_positive>` and `s_k = <u, v_negative_k>`, all divided by the temperature:

    InfoNCE   l = logsumexp(s_0, s_1, .., s_k) - s_0        (Eq. 2 of the paper; averaged over rows by the step)
                = softplus(logsumexp(s_1, .., s_k) - s_0)
    BPR       l = mean_k softplus(s_k - s_0)                (Rendle et al. 2009)

With one negative they are equal. `logsumexp` keeps large scores finite; the textbook form overflows. If the sampler gives the
probability of each draw (`log_q`), InfoNCE is the sampled softmax: it uses `s_j - log q_j` in place of `s_j`, for the positive
too (Bengio and Senecal 2008; Yi et al. 2019). BPR ignores `log_q`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from onebp_jax.losses.scores import check_negatives, compares, log_total, mark_loss, paired_users, per_positive, scores
from onebp_jax.ops.checks import check_positive
from onebp_jax.ops.geometry import paired_dots
from onebp_jax.types import Array, Loss


def infonce(temperature: float = 1.0) -> Loss:
    """The InfoNCE loss of each row: `user [b, d], positive [b, d], negatives [b, k, d] or [k, d] -> [b]`, or histories."""
    check_positive("temperature", temperature)

    @compares("dot")
    def loss(user: Array, positive: Array, negatives: Array, **extra) -> Array:
        check_negatives(negatives, "infonce")
        of_positive = paired_dots(paired_users(user, extra), positive) / temperature
        if extra.get("positive_log_q") is not None:
            of_positive = of_positive - extra["positive_log_q"]
        of_all = log_total(user, negatives, temperature, extra.get("negative_mask"), extra.get("log_q"))
        return jax.nn.softplus(per_positive(of_all, extra.get("slots")) - of_positive)

    return mark_loss(loss, histories=True)


def catalogue_softmax(temperature: float = 1.0) -> Loss:
    """InfoNCE whose negatives stand for the whole catalogue; arguments and shapes as in `infonce`.

    A negative of probability `q_j` weighs `1 / (k q_j)`, one of `k` uniform ones `N / k`, and the positive 1. So the loss is an
    estimate of the one against all items, whatever `k` is; `infonce` leaves out the constant.

    Source: Bengio and Senecal 2008.
    """
    check_positive("temperature", temperature)

    @compares("dot")
    def loss(user: Array, positive: Array, negatives: Array, **extra) -> Array:
        check_negatives(negatives, "catalogue_softmax")
        of_positive = paired_dots(paired_users(user, extra), positive) / temperature
        log_q = -jnp.log(extra["num_items"]) if extra.get("log_q") is None else extra["log_q"]
        of_all = log_total(user, negatives, temperature, extra.get("negative_mask"), log_q)
        of_all = of_all - jnp.log(negatives.shape[-2])
        return jax.nn.softplus(per_positive(of_all, extra.get("slots")) - of_positive)

    return mark_loss(loss, histories=True)


def sampled_softmax(temperature: float = 1.0) -> Loss:
    """`infonce` that requires the correction for how negatives were drawn; when traced, ValueError without `log_q`."""
    corrected = infonce(temperature)

    @compares("dot")
    def loss(user: Array, positive: Array, negatives: Array, **extra) -> Array:
        if extra.get("log_q") is None:
            raise ValueError(
                "sampled_softmax corrects for the probability of each negative, and this sampler gives no log_q: use "
                "one that does, such as shared(k, alpha=0.75), or the loss infonce"
            )
        return corrected(user, positive, negatives, **extra)

    return loss


def bpr(temperature: float = 1.0) -> Loss:
    """The BPR loss of each row, a mean over negatives: `user [b, d], positive [b, d], negatives [b, k, d] or [k, d] -> [b]`."""
    check_positive("temperature", temperature)

    @compares("dot")
    def loss(user: Array, positive: Array, negatives: Array, **extra) -> Array:
        check_negatives(negatives, "bpr")
        negative_mask = extra.get("negative_mask")
        of_positive, of_negatives = scores(user, positive, negatives, temperature, negative_mask)
        each = jax.nn.softplus(of_negatives - of_positive)
        if negative_mask is None:
            return jnp.mean(each, axis=0)
        return jnp.sum(each, axis=0) / jnp.maximum(1, jnp.sum(~negative_mask, axis=1))

    return loss
