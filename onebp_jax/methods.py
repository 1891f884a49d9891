"""Every named method as a composition of encoder, sampler, loss and two updaters: the paper on one page.

`--config.method=NAME` calls the function of that name with the run's config. A config may also hold a function of your own:
it takes the config and returns a `Method`, and needs no registration.

    method      user tower               item tower               source
    onebp       moving_average(beta)     gradient(tx)             arXiv 2403.18227, section 4
    twobp       gradient(tx)             gradient(tx)             the usual two-tower update (Table 2 "MF")
    user_only   gradient(tx)             moving_average(beta)     the flip of OneBP (Table 3)
    popularity  -                        -                        items by number of training users; no training

`tx` is `config.transform` (Adam unless said otherwise), over the whole table (`optimizer="dense"`, the paper's) or on the
rows of the batch (`optimizer="rowwise"`). Negatives are each row's own, or shared by the batch (`shared_negatives`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from onebp_jax import losses
from onebp_jax.config import nearest
from onebp_jax.encoders import embedding
from onebp_jax.errors import UserError
from onebp_jax.samplers import shared, uniform
from onebp_jax.types import Loss, Method, Sampler, Updater
from onebp_jax.updaters import TRANSFORMS, gradient, moving_average, rowwise

__all__ = ["Baseline", "build", "onebp", "popularity", "twobp", "user_only"]


class Baseline(NamedTuple):
    """A method without training: `tables(pairs int[P, 2], M, N) -> (f32[M, d], f32[N, d])`, ranked by dot product."""

    tables: Callable[[np.ndarray, int, int], tuple[np.ndarray, np.ndarray]]


def onebp(config) -> Method:
    """OneBP: the item tower learns by gradients, a user is a moving average of the items he touched."""
    return _two_towers(config, user=moving_average(config.beta, config.duplicates), item=_gradient(config))


def twobp(config) -> Method:
    """Both towers learn by gradients: matrix factorisation as everyone trains it."""
    return _two_towers(config, user=_gradient(config), item=_gradient(config))


def user_only(config) -> Method:
    """The user tower learns by gradients, an item is a moving average of the users who touched it."""
    return _two_towers(config, user=_gradient(config), item=moving_average(config.beta, config.duplicates))


def popularity(config) -> Baseline:
    """Items by their number of training users, the same list for everyone: the floor under any method."""
    del config

    def tables(pairs: np.ndarray, num_users: int, num_items: int) -> tuple[np.ndarray, np.ndarray]:
        counts = np.bincount(pairs[:, 1], minlength=num_items).astype(np.float32)
        return np.ones((num_users, 1), np.float32), counts[:, None]

    return Baseline(tables)


def _two_towers(config, user: Updater, item: Updater) -> Method:
    encoder = embedding(config.dim, config.normalize, config.table_dtype)
    return Method(encoder, _sampler(config), _loss(config), user, item)


def _sampler(config) -> Sampler:
    if config.shared_negatives:
        return shared(config.shared_negatives, config.negative_alpha, config.hide_touched)
    for field in ("negative_alpha", "hide_touched"):
        if config[field]:
            raise UserError(f"{field}={config[field]!r} is for negatives that a batch shares: set shared_negatives too")
    return uniform(config.num_negatives)


def _gradient(config) -> Updater:
    tx = config.transform
    tx = tx(config) if callable(tx) else _named("transform", tx, TRANSFORMS)(config.learning_rate, config.l2)
    if not (hasattr(tx, "init") and hasattr(tx, "update")):
        raise UserError(f"transform: the function returned {tx!r}, expected an optax transformation")
    if config.optimizer == "rowwise":
        return rowwise(tx, config.row_counts)
    if config.row_counts:
        raise UserError("row_counts=True is for optimizer='rowwise': the dense one counts the steps of the whole table")
    return gradient(tx)


def _loss(config) -> Loss:
    if callable(config.loss):
        return config.loss
    return _named("loss", config.loss, {name: getattr(losses, name) for name in losses.__all__})(config.temperature)


def _named(field: str, name: str, known: dict[str, Callable]) -> Callable:
    if name not in known:
        raise UserError(f"{field}={name!r}: expected one of {', '.join(known)}{nearest(name, known)}")
    return known[name]


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
