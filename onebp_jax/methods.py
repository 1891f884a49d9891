"""Every named method as a composition of encoder, sampler, loss and two updaters: the paper on one page.

`--config.method=NAME` calls the function of that name with the run's config. A config may also hold a function of your own:
it takes the config and returns a `Method`, and needs no registration.

    method      user tower               item tower               source
    onebp       moving_average(beta)     gradient(adam)           arXiv 2403.18227, section 4
    twobp       gradient(adam)           gradient(adam)           the usual two-tower update (Table 2 "MF")
    user_only   gradient(adam)           moving_average(beta)     the flip of OneBP (Table 3)
    popularity  -                        -                        items by number of training users; no training
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from onebp_jax import losses
from onebp_jax.config import nearest
from onebp_jax.encoders import embedding
from onebp_jax.errors import UserError
from onebp_jax.samplers import uniform
from onebp_jax.types import Loss, Method, Updater
from onebp_jax.updaters import adam, gradient, moving_average

__all__ = ["Baseline", "build", "onebp", "popularity", "twobp", "user_only"]


class Baseline(NamedTuple):
    """A method without training: `tables(pairs int[P, 2], M, N) -> (f32[M, d], f32[N, d])`, ranked by dot product."""

    tables: Callable[[np.ndarray, int, int], tuple[np.ndarray, np.ndarray]]


def onebp(config) -> Method:
    """OneBP: the item tower learns by gradients, a user is a moving average of the items he touched."""
    return _two_towers(config, user=moving_average(config.beta, config.duplicates), item=_adam(config))


def twobp(config) -> Method:
    """Both towers learn by gradients: matrix factorisation as everyone trains it."""
    return _two_towers(config, user=_adam(config), item=_adam(config))


def user_only(config) -> Method:
    """The user tower learns by gradients, an item is a moving average of the users who touched it."""
    return _two_towers(config, user=_adam(config), item=moving_average(config.beta, config.duplicates))


def popularity(config) -> Baseline:
    """Items by their number of training users, the same list for everyone: the floor under any method."""
    del config

    def tables(pairs: np.ndarray, num_users: int, num_items: int) -> tuple[np.ndarray, np.ndarray]:
        counts = np.bincount(pairs[:, 1], minlength=num_items).astype(np.float32)
        return np.ones((num_users, 1), np.float32), counts[:, None]

    return Baseline(tables)


def _two_towers(config, user: Updater, item: Updater) -> Method:
    return Method(embedding(config.dim), uniform(config.num_negatives), _loss(config), user, item)


def _adam(config) -> Updater:
    return gradient(adam(config.learning_rate, config.l2))


def _loss(config) -> Loss:
    if callable(config.loss):
        return config.loss
    if config.loss not in losses.__all__:
        known = ", ".join(losses.__all__)
        raise UserError(f"loss={config.loss!r}: expected one of {known}{nearest(config.loss, losses.__all__)}")
    return getattr(losses, config.loss)(config.temperature)


NAMED = {function.__name__: function for function in (onebp, twobp, user_only, popularity)}


def build(config) -> Method | Baseline:
    """The method that `config.method` names (or is); raises `UserError` for an unknown name or an impossible field."""
    function = config.method if callable(config.method) else NAMED.get(config.method)
    if function is None:
        lines = "; ".join(f"{name}: {f.__doc__.splitlines()[0]}" for name, f in NAMED.items())
        raise UserError(f"method={config.method!r} is unknown{nearest(config.method, NAMED)}. Known: {lines}")
    try:
        return function(config)
    except UserError:
        raise
    except ValueError as error:
        raise UserError(str(error)) from error
