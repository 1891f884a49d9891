"""The parts that a configuration names, made from its fields. Methods are composed of them, and a run may exchange them.

`config.sampler = NAME` (likewise `encoder`, `loss`, `user_updater`, `item_updater`) exchanges a part of a method. A config file
may also hold a function that takes the config and returns the part; for the loss it holds the `Loss` itself.
"""

from __future__ import annotations

from collections.abc import Callable

import optax

from onebp_jax import encoders, losses, samplers
from onebp_jax.config.callables import call_user_function, callable_id
from onebp_jax.errors import UserError, one_of
from onebp_jax.ops.checks import check_not_negative
from onebp_jax.types import Encoder, Loss, Method, Sampler, Updater
from onebp_jax.updaters import (
    TRANSFORMS,
    ball,
    chain,
    constrained,
    cosine_decay,
    gradient,
    moving_average,
    nearest_interest,
    rowwise,
    sphere,
    with_target,
)


def compose(
    config,
    encoder: Encoder | None = None,
    sampler: Sampler | None = None,
    loss: Loss | None = None,
    user: Updater | None = None,
    item: Updater | None = None,
    **more,
) -> Method:
    """A method of the given parts. The defaults are: embedding tables, uniform negatives, InfoNCE, gradient steps.

    Args:
      more: further fields of `Method`.

    Raises:
      UserError: fields of the configuration that would have no effect on the given parts.
    """
    if encoder is not None and config.table_dtype != "float32":
        raise UserError(f"table_dtype={config.table_dtype!r} is for methods of plain embedding tables")
    if sampler is not None and config.shared_negatives:
        raise UserError(f"shared_negatives={config.shared_negatives}: this method draws its negatives in its own way")
    return Method(
        encoder or ENCODERS["embedding"](config),
        sampler or own_or_shared(config),
        loss or losses.infonce(config.temperature),
        user or by_gradient(config),
        item or by_gradient(config),
        parameter_transform(config),
        **more,
    )


def own_or_shared(config) -> Sampler:
    """Uniform negatives per row, or `shared_negatives` for the whole batch, drawn from `popularity ^ negative_alpha`."""
    if config.shared_negatives:
        return samplers.shared(config.shared_negatives, config.negative_alpha, config.hide_touched)
    for field in ("negative_alpha", "hide_touched"):
        if config[field]:
            raise UserError(f"{field}={config[field]!r} is for negatives that a batch shares: set shared_negatives too")
    return samplers.uniform(config.num_negatives)


def transform(config):
    """The optax transformation that `config.transform` names or makes."""
    tx = config.transform
    if callable(tx):
        tx = call_user_function(f"transform={callable_id(tx)}", optax.GradientTransformation, tx, config)
    else:
        tx = named("transform", tx, TRANSFORMS)(config.learning_rate, config.l2)
    return cosine_decay(tx, config.decay_epochs) if config.decay_epochs else tx


def parameter_transform(config):
    """`transform` for an encoder's parameters; None if it keeps one moment per row, because parameters are no table."""
    is_for_rows = not callable(config.transform) and config.transform.startswith("row_")
    return None if is_for_rows else transform(config)


def by_gradient(config, penalty: Callable | None = None) -> Updater:
    """`gradient(tx)` or `rowwise(tx)`, as `config.optimizer` says. A penalty on a whole table needs the dense one."""
    if config.optimizer == "rowwise":
        if penalty is not None:
            raise UserError(
                "optimizer='rowwise': this method has a penalty on whole tables, which needs optimizer='dense'"
            )
        return rowwise(transform(config), config.row_counts)
    if config.row_counts:
        raise UserError("row_counts=True is for optimizer='rowwise': the dense one counts the steps of the whole table")
    return gradient(transform(config), penalty)


def projected(config, project: Callable, penalty: Callable | None = None) -> Updater:
    """Gradient steps; after each step the rows that moved are projected (into the ball, onto the sphere)."""
    return constrained(by_gradient(config, penalty), project, "touched" if config.optimizer == "rowwise" else "all")


def average(config) -> Updater:
    """`moving_average` of the partner's rows."""
    return moving_average(config.beta, config.duplicates)


def checked_weight(option: str, weight: float) -> float:
    """The weight of a penalty that an option gives, under the name of the option; raises ValueError if it is none."""
    check_not_negative(option, weight)
    return weight


READINGS = ("layer0", "output", "prestep")


def in_front(config, encoder: Encoder, reading: str) -> Method:
    """OneBP in front of an encoder: the moving average owns the users' input table, which no gradient reaches.

    Args:
      reading: "layer0": gradients flow to the items' inputs and to the parameters through the outputs of both towers.
        "output": they do not flow through the users' outputs. "prestep": a whole step of OneBP on the inputs comes first, then
        the encoder's own step with gradients for both towers.
    """
    if reading == "prestep":
        return compose(config, encoder=encoder, pre_step=compose(config, user=average(config)))
    if reading not in READINGS:
        raise UserError(f"options.reading={reading!r}: expected {one_of(reading, READINGS)}")
    return compose(
        config, encoder=encoder if reading == "layer0" else encoders.stop_user_gradient(encoder), user=average(config)
    )


def feature_towers(config, hidden: str, ids: bool, towers: str) -> Method:
    """OneBP over towers of side information.

    Args:
      hidden: widths of a tower's hidden layers, separated by commas; "" for a linear tower.
      ids: whether a trained item has its own row beside the vector that the tower makes of its features.
      towers: which tower reads features: "item", "user" or "both". Users always have their moving average.
    """
    known = ("item", "user", "both")
    if towers not in known:
        raise UserError(f"options.towers={towers!r}: expected {one_of(towers, known)}")
    if towers == "user" and not ids:
        raise UserError("options.ids=False leaves items no vector where towers='user': set towers='item' or 'both'")
    widths = [width.strip() for width in str(hidden).split(",") if width.strip()]
    if not all(width.isdecimal() and int(width) for width in widths):
        raise UserError(f"options.hidden={hidden!r}: expected positive whole numbers separated by commas")
    tower = encoders.FeatureTower(config.dim, tuple(map(int, widths)))
    item_tower, user_tower = (tower if towers in (name, "both") else None for name in ("item", "user"))
    own = True if ids else "user"
    encoder = encoders.features(config.dim, item_tower, user_tower, own, config.normalize, config.table_dtype)
    # An item that is only ever a negative would learn nothing but to be one.
    sampler = samplers.exclude_cold_items(own_or_shared(config)) if item_tower else own_or_shared(config)
    # Without own rows the items' table stays as it is: no decay, and no backward pass to it.
    item = by_gradient(config) if ids else chain()
    return Method(
        encoder, sampler, losses.infonce(config.temperature), average(config), item, parameter_transform(config)
    )


ENCODERS = {
    "embedding": lambda c: encoders.embedding(c.dim, c.normalize, c.table_dtype),
    "lightgcn": lambda c: encoders.lightgcn(c.dim, normalize=c.normalize),
    "ngcf": lambda c: encoders.ngcf(c.dim),
    "multi_interest": lambda c: encoders.multi_interest(c.dim, 4, c.normalize),
    "euclidean": lambda c: encoders.euclidean(c.dim, start="ball"),
    "euclidean_several": lambda c: encoders.euclidean(c.dim, 3, user_std=0.01, start="sphere"),
    "buir": lambda c: encoders.buir(c.dim),
    "features": lambda c: encoders.features(c.dim, encoders.FeatureTower(c.dim, ()), normalize=c.normalize),
}
SAMPLERS = {
    "uniform": lambda c: samplers.uniform(c.num_negatives),
    "shared": lambda c: samplers.shared(c.shared_negatives or 256, c.negative_alpha, c.hide_touched),
    "popularity": lambda c: samplers.popularity(c.num_negatives),
    "dynamic": lambda c: samplers.dynamic(c.num_negatives),
    "hardest_distance": lambda c: samplers.hardest_distance(c.num_negatives),
    "two_stage": lambda c: samplers.two_stage(c.num_negatives),
    "in_batch": lambda c: samplers.in_batch(),
    "cross_batch": lambda c: samplers.cross_batch(4 * c.batch_size, 200),
    "mixed": lambda c: samplers.mixed(c.batch_size),
    "auc_optimal": lambda c: samplers.auc_optimal(c.num_negatives, 2 * c.num_negatives),
    "bayesian": lambda c: samplers.bayesian(c.num_negatives, 2 * c.num_negatives),
    "full_catalogue": lambda c: samplers.full_catalogue(),
    "none": lambda c: samplers.none(),
}
LOSSES = {
    "infonce": lambda c: losses.infonce(c.temperature),
    "bpr": lambda c: losses.bpr(c.temperature),
    "bpr_l2": lambda c: losses.with_l2(losses.bpr(c.temperature), 1e-4),  # as LightGCN is trained
    "catalogue_softmax": lambda c: losses.catalogue_softmax(c.temperature),
    "sampled_softmax": lambda c: losses.sampled_softmax(c.temperature),
    "dcl": lambda c: losses.dcl(temperature=c.temperature),
    "hcl": lambda c: losses.hcl(temperature=c.temperature),
    "ccl": lambda c: losses.ccl(),
    "directau": lambda c: losses.directau(),
    "sfcml": lambda c: losses.sfcml(),
    "cml": lambda c: losses.cml(),
    "dpcml": lambda c: losses.dpcml(),
    "buir": lambda c: losses.buir(),
}
UPDATERS = {
    "gradient": by_gradient,
    "moving_average": average,
    "nearest_interest": lambda c: nearest_interest(average(c)),
    "in_ball": lambda c: projected(c, ball()),
    "on_sphere": lambda c: projected(c, sphere()),
    "with_target": lambda c: with_target(by_gradient(c)),
}
KNOWN = {"encoder": ENCODERS, "sampler": SAMPLERS, "loss": LOSSES, "user_updater": UPDATERS, "item_updater": UPDATERS}


def named(field: str, name: str, known: dict[str, Callable]) -> Callable:
    """The `known` function of a name; raises `UserError`, naming the field, for another name or another kind of value."""
    if not isinstance(name, str):
        raise no_name(field, name, f"one of {', '.join(known)}")
    if name not in known:
        raise UserError(f"{field}={name!r}: expected {one_of(name, known)}")
    return known[name]


def no_name(field: str, value: object, names: str) -> UserError:
    """The error for a field that holds neither a name nor a function, but, say, a finished part."""
    given = f"{field} is a {type(value).__name__}" if isinstance(value, tuple) else f"{field}={value!r:.80}"
    returned = (
        "that is the loss"
        if field == "loss"
        else f"of the config that returns it (config.{field} = lambda config: ...)"
    )
    return UserError(f"{given}: expected {names}, or a function {returned}")
