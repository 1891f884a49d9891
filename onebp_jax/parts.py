"""The parts that a configuration names, made from its fields: what `methods` composes, and what a run may exchange.

`--config.sampler=NAME` (`encoder`, `loss`, `user_updater`, `item_updater`) exchanges a part of a method; a config file may
hold a function of its own instead, which takes the config and returns the part (for the loss, the `Loss` itself).
"""

from __future__ import annotations

from collections.abc import Callable

from onebp_jax import losses
from onebp_jax.config import PARTS, nearest
from onebp_jax.encoders import embedding
from onebp_jax.errors import UserError
from onebp_jax.samplers import shared, uniform
from onebp_jax.types import Method, Sampler, Updater
from onebp_jax.updaters import TRANSFORMS, gradient, moving_average, rowwise


def own_or_shared(config) -> Sampler:
    """Uniform negatives of each row; with `shared_negatives`, so many for the batch from `popularity ^ negative_alpha`."""
    if config.shared_negatives:
        return shared(config.shared_negatives, config.negative_alpha, config.hide_touched)
    for field in ("negative_alpha", "hide_touched"):
        if config[field]:
            raise UserError(f"{field}={config[field]!r} is for negatives that a batch shares: set shared_negatives too")
    return uniform(config.num_negatives)


def transform(config):
    """The optax transformation that `config.transform` names or makes."""
    tx = config.transform
    tx = tx(config) if callable(tx) else _named("transform", tx, TRANSFORMS)(config.learning_rate, config.l2)
    if not (hasattr(tx, "init") and hasattr(tx, "update")):
        raise UserError(f"transform: the function returned {tx!r}, expected an optax transformation")
    return tx


def by_gradient(config) -> Updater:
    """`gradient(tx)` or `rowwise(tx)`, as `config.optimizer` says."""
    if config.optimizer == "rowwise":
        return rowwise(transform(config), config.row_counts)
    if config.row_counts:
        raise UserError("row_counts=True is for optimizer='rowwise': the dense one counts the steps of the whole table")
    return gradient(transform(config))


def average(config) -> Updater:
    """`moving_average` of the partner's rows."""
    return moving_average(config.beta, config.duplicates)


ENCODERS = {"embedding": lambda config: embedding(config.dim, config.normalize, config.table_dtype)}
SAMPLERS = {"uniform": lambda config: uniform(config.num_negatives)}
LOSSES = {
    "infonce": lambda config: losses.infonce(config.temperature),
    "bpr": lambda config: losses.bpr(config.temperature),
}
UPDATERS = {"gradient": by_gradient, "moving_average": average}
KNOWN = {"encoder": ENCODERS, "sampler": SAMPLERS, "loss": LOSSES, "user_updater": UPDATERS, "item_updater": UPDATERS}


def exchange(method: Method, config) -> Method:
    """The method with the parts that the configuration names in place of its own."""
    given = {part: config[part] for part in PARTS if config[part] != ""}
    for part, value in given.items():
        if not callable(value):
            value = _named(part, value, KNOWN[part])(config)
        elif part != "loss":
            value = value(config)
        method = method._replace(**{part: value})
    return method


def _named(field: str, name: str, known: dict[str, Callable]) -> Callable:
    if name not in known:
        raise UserError(f"{field}={name!r}: expected one of {', '.join(known)}{nearest(name, known)}")
    return known[name]
