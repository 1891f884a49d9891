"""Every field of a run's configuration with its default, and the checks that speak before anything is compiled."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable

import ml_collections
from ml_collections.config_dict import placeholder

from onebp_jax.config.callables import callable_id
from onebp_jax.errors import UserError
from onebp_jax.ops.rows import DTYPES

# Fields that change how a run proceeds but not what it computes: a run may be resumed with other values.
OPERATIONAL = ("steps_per_call", "checkpoint_seconds")
# What `onebp_jax.evaluation.protocols` knows.
PROTOCOLS = ("honest", "paper_oracle")


PARTS = ("encoder", "sampler", "loss", "user_updater", "item_updater")
# What only some methods know, by name and type: the keyword-only arguments in `onebp_jax.methods`.
OPTIONS = {
    "alpha": float,
    "bank_size": int,
    "correct_positive": bool,
    "correction": str,
    "cosine": bool,
    "covariance": float,
    "diversity": float,
    "dropout": float,
    "ease_l2": float,
    "extra": int,
    "form": str,
    "gamma": float,
    "hardest": bool,
    "hardness": float,
    "hidden": str,
    "ids": bool,
    "margin": float,
    "mask_known": bool,
    "max_bytes": int,
    "num_candidates": int,
    "num_interests": int,
    "num_layers": int,
    "num_neighbours": int,
    "num_uniform": int,
    "prior": float,
    "rank_weight": bool,
    "reading": str,
    "repel": float,
    "rho": float,
    "rule": str,
    "shrink": float,
    "similarity": str,
    "tau_plus": float,
    "towers": str,
    "usage_bonus": float,
    "warmup": int,
    "weight": float,
}


def default_config() -> ml_collections.ConfigDict:
    """A `ConfigDict` with every field; a config file starts from it and changes what it needs."""
    config = ml_collections.ConfigDict()
    # Data. `dataset` is a name of the catalogue or a path; empty column names are found by their usual spellings.
    config.dataset = "synthetic"
    config.split = "auto"
    config.test_fraction = 0.2
    config.split_seed = 0
    config.user_column = config.item_column = config.time_column = ""
    # Above 0: `dataset` is a folder of Parquet files whose training pairs stay there, and are shuffled among that many at a time.
    # Then an index of what users touched may take that many bytes (4 a pair); negatives are drawn without one that is larger.
    config.stream_window = 0
    config.membership_bytes = 4 * 2**30
    # Side information for methods with feature towers: empty for none, "auto" (items.* or users.* beside the set), or a file; and
    # the columns to use of it, separated by commas (a name with a comma in double quotes), empty for all. Items that only the
    # file has join the catalogue.
    config.item_features = config.user_features = config.feature_columns = ""
    sizes = {"num_users": 1000, "num_items": 500, "interactions_per_user": 40.0, "seed": 0}
    config.synthetic = ml_collections.ConfigDict(sizes)
    # Method: a name from `onebp_jax.methods`, or a function of the config that returns a `Method`.
    config.method = placeholder(object)
    config.method = "onebp"
    # Its parts; empty for the method's own. A name from `onebp_jax.methods.parts`, or a function of the config that returns the
    # part (for the loss, the `Loss` itself).
    for part in PARTS:
        config[part] = placeholder(object)
        config[part] = ""
    # What only some methods know, see `onebp_jax.methods`; empty for the method's own default.
    config.options = ml_collections.ConfigDict({name: placeholder(kind) for name, kind in OPTIONS.items()})
    config.dim = 32
    config.beta = 0.99
    config.duplicates = "expected"
    config.normalize = False  # score unit vectors, that is by the cosine
    config.table_dtype = "float32"  # or "bfloat16": how tables are stored; arithmetic is in float32
    config.num_negatives = 5
    # Above 0: that many negatives for the whole batch, drawn from popularity ^ alpha, in place of each row's own.
    config.shared_negatives = 0
    config.negative_alpha = 0.0
    config.hide_touched = False  # hide from each row the shared negatives that its user touched
    config.temperature = 1.0
    # "dense" passes the whole table through optax at each step, as the paper; "rowwise" only the rows of the batch.
    config.optimizer = "dense"
    config.transform = placeholder(object)
    config.transform = "adam"  # a name from `onebp_jax.updaters.TRANSFORMS`, or a function of the config: an optax one
    config.row_counts = False  # rowwise: every row counts its own steps
    config.learning_rate = 5e-4
    config.l2 = 1e-5
    # Training.
    config.seed = 0
    config.epochs = 100
    config.batch_size = 1024
    config.drop_last = False
    # Threads that XLA uses on a CPU; 0 = all. Below some 10 MB of tables, handing pieces of a step to other threads costs more
    # than it gives (results/performance.md). Part of the configuration, because it may change the order of sums.
    config.cpu_threads = 1
    config.steps_per_call = 0  # steps in one compiled call; 0 = a whole epoch
    config.checkpoint_seconds = 60.0  # at least; 0 = after every call
    # Evaluation. `patience` counts evaluations without a better validation NDCG@20; 0 = never stop early.
    config.protocol = "honest"
    config.validation_fraction = 0.1
    config.eval_every = 1
    config.read_test = (
        True  # False: a trial of a search; it ends with its value on validation and never measures on the test set
    )
    config.eval_users = 0  # rank that many random users only, drawn by `seed`; 0 = everyone
    config.patience = 50
    return config


def nearest(name: str, known: Iterable[str]) -> str:
    """`" (did you mean 'x'?)"` where some known name is near, else an empty string."""
    close = difflib.get_close_matches(str(name), list(known), 1, 0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _one_of(config, field: str, known: tuple[str, ...]) -> None:
    value = config[field]
    if value not in known:
        raise UserError(f"{field}={value!r}: expected one of {', '.join(known)}{nearest(value, known)}")


def _number(
    config, field: str, low: float, high: float = math.inf, *, open_low: bool = False, whole: bool = False
) -> None:
    value = config[field]
    kind, wanted = (int, "whole") if whole else (int | float, "finite")
    if isinstance(value, bool) or not isinstance(value, kind) or not -math.inf < value < math.inf:
        raise UserError(f"{field}={value!r}: expected a {wanted} number")
    if value < low or value > high or (open_low and value == low):
        above = f"above {low}" if open_low else f"at least {low}"
        raise UserError(f"{field}={value!r}: expected {above}" + (f" and at most {high}" if high < math.inf else ""))


def check_config(config: ml_collections.ConfigDict) -> None:
    """Raises `UserError`, naming field, value and what was expected, if the configuration cannot be run."""
    known = default_config()
    for field in config:
        if field not in known:
            raise UserError(f"unknown config field {field!r}{nearest(field, known)}")
    for field in known:
        if field not in config:
            raise UserError(
                f"config field {field!r} is missing: start the config from onebp_jax.config.default_config()"
            )
    for field in ("dim", "num_negatives", "epochs", "batch_size", "eval_every"):
        _number(config, field, 1, whole=True)
    for field in ("split_seed", "patience", "steps_per_call", "cpu_threads", "shared_negatives", "eval_users"):
        _number(config, field, 0, whole=True)
    for field in ("stream_window", "membership_bytes"):
        _number(config, field, 0, whole=True)
    # A random key is made of 32 bits: a larger seed would be another name for a smaller one.
    _number(config, "seed", 0, 2**32 - 1, whole=True)
    for field in ("l2", "checkpoint_seconds", "negative_alpha"):
        _number(config, field, 0)
    for field in ("learning_rate", "temperature"):
        _number(config, field, 0, open_low=True)
    _number(config, "beta", 0, 1)
    for field in ("test_fraction", "validation_fraction"):
        _number(config, field, 0, 0.9, open_low=True)
    _one_of(config, "protocol", PROTOCOLS)
    _one_of(config, "optimizer", ("dense", "rowwise"))
    _one_of(config, "table_dtype", DTYPES)
    for field in ("item_features", "user_features", "feature_columns"):
        if not isinstance(config[field], str):
            raise UserError(f"{field}={config[field]!r}: expected a text")
    for field in ("drop_last", "normalize", "hide_touched", "row_counts", "read_test"):
        if not isinstance(config[field], bool):
            raise UserError(f"{field}={config[field]!r}: expected True or False")
    for name, value in config.options.items():
        kind = OPTIONS.get(name, object)
        # A whole number is a good real one; True is no number.
        fits = isinstance(value, int | float if kind is float else kind) and (kind is bool or value is not True)
        if value is not None and not fits:
            raise UserError(f"options.{name}={value!r}: expected a value of type {kind.__name__}")
    if not config.read_test and config.protocol != "honest":
        raise UserError(f"read_test=False: expected protocol='honest', {config.protocol!r} chooses on the test set")
    if config.stream_window:
        _check_streamed(config)


def _check_streamed(config) -> None:
    """Raises `UserError` for what needs all pairs in memory."""
    for field, good in (
        ("protocol", ("honest",)),
        ("split", ("auto", "given")),
        *((field, ("",)) for field in ("item_features", "user_features", "time_column")),
    ):
        if config[field] not in good:
            raise UserError(
                f"stream_window={config.stream_window}: {field}={config[field]!r} is for data in memory; expected "
                f"{' or '.join(map(repr, good))}, or stream_window=0"
            )


def as_plain(config: ml_collections.ConfigDict) -> dict:
    """The configuration as JSON-able values: functions as `callables.callable_id` says, only the options that are given.

    So a run folder stays what it is when another version knows more options.
    """

    def plain(value):
        if isinstance(value, ml_collections.ConfigDict | dict):
            return {key: plain(inner) for key, inner in value.items()}
        return callable_id(value) if callable(value) else value

    given = plain(config)
    if "options" in given:
        given["options"] = {name: value for name, value in given["options"].items() if value is not None}
    return given
