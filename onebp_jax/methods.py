"""Every named method as a composition of encoder, sampler, loss and two updaters: the paper on one page.

`--config.method=NAME` calls the function of that name with the run's config. A config may also hold a function of your own:
it takes the config and returns a `Method`, and needs no registration.

    method      user tower               item tower               source
    onebp       moving_average(beta)     gradient(tx)             arXiv 2403.18227, section 4
    twobp       gradient(tx)             gradient(tx)             the usual two-tower update (Table 2 "MF")
    user_only   gradient(tx)             moving_average(beta)     the flip of OneBP (Table 3)
    popularity  -                        -                        items by number of training users; no training
    itemknn     -                        -                        item-based neighbours (Sarwar 2001); no training
    ease        -                        -                        EASE^R (arXiv 1905.03375), a closed form; no training

`tx` is `config.transform` (Adam unless said otherwise), over the whole table (`optimizer="dense"`, the paper's) or on the
rows of the batch (`optimizer="rowwise"`). Negatives are each row's own, or shared by the batch (`shared_negatives`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from onebp_jax import baselines, losses
from onebp_jax.baselines import Baseline
from onebp_jax.config import nearest
from onebp_jax.encoders import embedding
from onebp_jax.errors import UserError
from onebp_jax.parts import average, by_gradient, exchange, own_or_shared
from onebp_jax.types import Method, Updater

__all__ = ["Baseline", "build", "ease", "itemknn", "onebp", "popularity", "twobp", "user_only"]


def onebp(config) -> Method:
    """OneBP: the item tower learns by gradients, a user is a moving average of the items he touched."""
    return _two_towers(config, user=average(config), item=by_gradient(config))


def twobp(config) -> Method:
    """Both towers learn by gradients: matrix factorisation as everyone trains it."""
    return _two_towers(config, user=by_gradient(config), item=by_gradient(config))


def user_only(config) -> Method:
    """The user tower learns by gradients, an item is a moving average of the users who touched it."""
    return _two_towers(config, user=by_gradient(config), item=average(config))


def popularity(config) -> Baseline:
    """Items by their number of training users, the same list for everyone: the floor under any method."""
    del config
    return baselines.popularity()


def itemknn(
    config,
    *,
    num_neighbours: int = 100,
    shrink: float = 10.0,
    similarity: str = "cosine",
    max_bytes: int = baselines.MAX_BYTES,
) -> Baseline:
    """Item-based nearest neighbours: a user's items vote for the items that share their users."""
    del config
    return baselines.item_knn(num_neighbours, shrink, similarity, max_bytes)


def ease(config, *, ease_l2: float = 500.0, max_bytes: int = baselines.MAX_BYTES) -> Baseline:
    """EASE^R: a user's items from his other items by one ridge regression, solved in closed form."""
    del config
    return baselines.ease(ease_l2, max_bytes)


def _two_towers(config, user: Updater, item: Updater) -> Method:
    encoder = embedding(config.dim, config.normalize, config.table_dtype)
    return Method(encoder, own_or_shared(config), losses.infonce(config.temperature), user, item)


NAMED = {function.__name__: function for function in (onebp, twobp, user_only, popularity, itemknn, ease)}


def build(config) -> Method | Baseline:
    """The method that `config.method` names (or is); raises `UserError` for an unknown name or an impossible field."""
    function = config.method if callable(config.method) else NAMED.get(config.method)
    if function is None:
        raise UserError(
            f"method={config.method!r} is unknown{nearest(config.method, NAMED)}: expected one of {', '.join(NAMED)}",
            choices=described(),
        )
    accepted = options_of(function)
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


def options_of(function: Callable) -> list[str]:
    """The names of the options of a method: its keyword-only arguments."""
    return [name for name, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY]


def described() -> tuple[str, ...]:
    """A line for each named method: what it is, and its options."""
    lines = []
    for name, function in NAMED.items():
        options = f" [{', '.join(options_of(function))}]" if options_of(function) else ""
        lines.append(f"{name}: {function.__doc__.splitlines()[0]}{options}")
    return tuple(lines)


def _name(function: Callable) -> str:
    return getattr(function, "__name__", type(function).__name__)
