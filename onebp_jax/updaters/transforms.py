"""Optax transformations by name, for config files. Any other transformation can be given as a function.

The decay is *coupled*: it is added to the gradient before the moments are computed (PyTorch's `weight_decay`). Only `adamw` and
`lion` decouple it, as their papers do.

`row_adagrad` and `row_adam` keep one second moment per *row*, the mean over its numbers, not one per number. This is usual for
large embedding tables (Naumov et al. 2019, DLRM), where most of the memory and the traffic is optimiser state.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from onebp_jax.ops.checks import check_not_negative, check_positive
from onebp_jax.types import Array


class RowMoment(NamedTuple):
    """`f32[rows]`, one number per row."""

    second: Array


class RowAdam(NamedTuple):
    """Steps so far, the first moment `f32[rows, d]`, and one second moment per row `f32[rows]`."""

    count: ArrayLike  # pyright: ignore[reportIncompatibleMethodOverride]  # optax's name; checkpoints hold it
    first: Array
    second: Array


def scale_by_row_adagrad(eps: float = 1e-8) -> optax.GradientTransformation:
    """Divides each row by the root of its summed mean squares: `a += mean(g^2)`, `g / (sqrt(a) + eps)`."""

    def init(params):
        return RowMoment(jnp.zeros(params.shape[:-1], jnp.float32))

    def update(updates, state, params=None):
        del params
        second = state.second + jnp.mean(updates * updates, axis=-1)
        return updates / (jnp.sqrt(second)[..., None] + eps), RowMoment(second)

    return optax.GradientTransformation(init, update)


def scale_by_row_adam(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> optax.GradientTransformation:
    """Adam with one second moment per row: `v = b2 v + (1 - b2) mean(g^2)`. Both moments get Adam's bias correction."""

    def init(params):
        moments = jnp.zeros(params.shape, jnp.float32), jnp.zeros(params.shape[:-1], jnp.float32)
        return RowAdam(jnp.int32(0), *moments)

    def update(updates, state, params=None):
        del params
        count = optax.safe_increment(state.count)
        first = b1 * state.first + (1 - b1) * updates
        second = b2 * state.second + (1 - b2) * jnp.mean(updates * updates, axis=-1)
        scale = 1 / (jnp.sqrt(second / (1 - b2**count)) + eps)
        return first / (1 - b1**count) * scale[..., None], RowAdam(count, first, second)

    return optax.GradientTransformation(init, update)


def _coupled(scale_by):
    def transform(learning_rate: float, l2: float = 0.0) -> optax.GradientTransformation:
        _check(learning_rate, l2)
        decay = [optax.add_decayed_weights(l2)] if l2 else []
        return optax.chain(*decay, scale_by(), optax.scale_by_learning_rate(learning_rate))

    return transform


def _check(learning_rate: float, l2: float) -> None:
    check_positive("learning_rate", learning_rate)
    check_not_negative("l2", l2)


def adam(learning_rate: float, l2: float = 0.0) -> optax.GradientTransformation:
    """Adam with *coupled* L2, as in the paper's code.

    Args:
      learning_rate: step size, > 0.
      l2: coefficient of the decay, >= 0. `adamw`, which decays after the moments, is another method.

    Raises:
      ValueError: a coefficient that is negative or not finite.
    """
    return _coupled(lambda: optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8))(learning_rate, l2)


def adamw(learning_rate: float, l2: float = 0.0) -> optax.GradientTransformation:
    """Adam with decoupled decay (Loshchilov and Hutter 2019)."""
    _check(learning_rate, l2)
    return optax.adamw(learning_rate, weight_decay=l2)


def lion(learning_rate: float, l2: float = 0.0) -> optax.GradientTransformation:
    """Lion with decoupled decay (Chen et al. 2023)."""
    _check(learning_rate, l2)
    return optax.lion(learning_rate, weight_decay=l2)


def cosine_decay(tx: optax.GradientTransformation, epochs: float) -> optax.GradientTransformation:
    """`tx` with a learning rate that falls to zero over so many epochs, along half a cosine, and then stays there.

    The updates of `tx` are scaled by `(1 + cos(pi e / epochs)) / 2`, where `e` is the number of epochs done, a fraction within an
    epoch. A step of a run passes `epoch=e` to its transformations; without it nothing is scaled.

    Raises:
      ValueError: a number of epochs that is not positive.
    """
    check_positive("decay_epochs", epochs)

    def update(updates, state, params=None, *, epoch=None, **extra):
        del params, extra
        if epoch is None:
            return updates, state
        share = (1 + jnp.cos(jnp.pi * jnp.minimum(epoch / epochs, 1))) / 2
        return jax.tree.map(lambda leaf: leaf * share.astype(leaf.dtype), updates), state

    decay = optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
    return optax.chain(tx, decay)


TRANSFORMS = {
    "adam": adam,
    "adamw": adamw,
    "sgd": _coupled(optax.identity),
    "momentum": _coupled(lambda: optax.trace(decay=0.9)),
    "adagrad": _coupled(optax.scale_by_rss),
    "rmsprop": _coupled(optax.scale_by_rms),
    "lion": lion,
    "row_adagrad": _coupled(scale_by_row_adagrad),
    "row_adam": _coupled(scale_by_row_adam),
}
