"""Every named method as a composition of encoder, sampler, loss and two updaters: the paper on one page.

`--config.method=NAME` calls the function of that name with the run's config. A config may also hold a function of your own:
it takes the config and returns a `Method`, and needs no registration.

    method      user tower               item tower               source
    onebp       moving_average(beta)     gradient(tx)             arXiv 2403.18227, section 4
    twobp       gradient(tx)             gradient(tx)             the usual two-tower update (Table 2 "MF")
    user_only   gradient(tx)             moving_average(beta)     the flip of OneBP (Table 3)
    onebp_features                                                onebp with side information, see `encoders.features`
    popularity  -                        -                        items by number of training users; no training

`tx` is `config.transform` (Adam unless said otherwise), over the whole table (`optimizer="dense"`, the paper's) or on the
rows of the batch (`optimizer="rowwise"`). Negatives are each row's own, or shared by the batch (`shared_negatives`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from onebp_jax import losses
from onebp_jax.config import nearest
from onebp_jax.encoders import FeatureTower, embedding, features
from onebp_jax.errors import UserError
from onebp_jax.parts import average, by_gradient, exchange, own_or_shared, transform
from onebp_jax.samplers import hide_new
from onebp_jax.types import Method, Updater
from onebp_jax.updaters import chain

__all__ = ["Baseline", "build", "onebp", "onebp_features", "popularity", "twobp", "user_only"]


class Baseline(NamedTuple):
    """A method without training: `tables(pairs int[P, 2], M, N) -> (f32[M, d], f32[N, d])`, ranked by dot product."""

    tables: Callable[[np.ndarray, int, int], tuple[np.ndarray, np.ndarray]]


def onebp(config) -> Method:
    """OneBP: the item tower learns by gradients, a user is a moving average of the items he touched."""
    return _two_towers(config, user=average(config), item=by_gradient(config))


def twobp(config) -> Method:
    """Both towers learn by gradients: matrix factorisation as everyone trains it."""
    return _two_towers(config, user=by_gradient(config), item=by_gradient(config))


def user_only(config) -> Method:
    """The user tower learns by gradients, an item is a moving average of the users who touched it."""
    return _two_towers(config, user=by_gradient(config), item=average(config))


def onebp_features(config, *, hidden: str | int = "64", ids: bool = True, towers: str = "item") -> Method:
    """OneBP over towers that read side information, so that a new item has a vector.

    Args:
      hidden: widths of a tower's hidden layers, separated by commas; "" for a linear one.
      ids: whether an item that was trained on has a row of its own beside what the tower makes of its features.
      towers: which tower reads features: "item", "user" or "both". A user always has his moving average.
    """
    if towers not in ("item", "user", "both"):
        raise UserError(
            f"options.towers={towers!r}: expected item, user or both{nearest(towers, ('item', 'user', 'both'))}"
        )
    if towers == "user" and not ids:
        raise UserError("options.ids=False leaves items no vector where towers='user': set towers='item' or 'both'")
    if not callable(config.transform) and config.transform.startswith("row_"):
        raise UserError(
            f"transform={config.transform!r} keeps a moment a row of a table, and a tower has other parameters"
        )
    widths = [width.strip() for width in str(hidden).split(",") if width.strip()]
    if not all(width.isdecimal() and int(width) for width in widths):
        raise UserError(f"options.hidden={hidden!r}: expected positive whole numbers separated by commas")
    tower = FeatureTower(config.dim, tuple(map(int, widths)))
    item_tower, user_tower = (tower if towers in (name, "both") else None for name in ("item", "user"))
    own = True if ids else "user"
    encoder = features(config.dim, item_tower, user_tower, own, config.normalize, config.table_dtype)
    # What only negatives reach would learn nothing but to be one.
    sampler = hide_new(own_or_shared(config)) if item_tower else own_or_shared(config)
    # Without rows of their own, the items' table is left alone: no decay, and no backward pass to it.
    item = by_gradient(config) if ids else chain()
    return Method(encoder, sampler, losses.infonce(config.temperature), average(config), item, transform(config))


def popularity(config) -> Baseline:
    """Items by their number of training users, the same list for everyone: the floor under any method."""
    del config

    def tables(pairs: np.ndarray, num_users: int, num_items: int) -> tuple[np.ndarray, np.ndarray]:
        counts = np.bincount(pairs[:, 1], minlength=num_items).astype(np.float32)
        return np.ones((num_users, 1), np.float32), counts[:, None]

    return Baseline(tables)


def _two_towers(config, user: Updater, item: Updater) -> Method:
    encoder = embedding(config.dim, config.normalize, config.table_dtype)
    return Method(encoder, own_or_shared(config), losses.infonce(config.temperature), user, item)


NAMED = {function.__name__: function for function in (onebp, twobp, user_only, onebp_features, popularity)}


def build(config) -> Method | Baseline:
    """The method that `config.method` names (or is); raises `UserError` for an unknown name or an impossible field."""
    function = config.method if callable(config.method) else NAMED.get(config.method)
    if function is None:
        lines = "; ".join(f"{name}: {f.__doc__.splitlines()[0]}" for name, f in NAMED.items())
        raise UserError(f"method={config.method!r} is unknown{nearest(config.method, NAMED)}. Known: {lines}")
    accepted = [name for name, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY]
    given = {name: value for name, value in config.options.items() if value is not None}
    for name in given:
        if name not in accepted:
            known = f"it knows {', '.join(accepted)}" if accepted else "it has no options"
            raise UserError(f"options.{name}={given[name]!r} has no effect on method={_name(function)!r}: {known}")
    try:
        method = function(config, **given)
        return exchange(method, config) if isinstance(method, Method) else method
    except UserError:
        raise
    except ValueError as error:
        raise UserError(str(error)) from error


def _name(function: Callable) -> str:
    return getattr(function, "__name__", type(function).__name__)
