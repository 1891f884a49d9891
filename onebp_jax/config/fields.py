"""Every field of a run's configuration: its default, the rule for its value, and one line of help.

`check_config` is called before anything is compiled.
"""

from __future__ import annotations

from typing import NamedTuple

import ml_collections
from ml_collections.config_dict import placeholder

from onebp_jax.config.options import OPTIONS, check_options
from onebp_jax.config.rules import (
    Rule,
    checked_later,
    choice,
    name_or_function,
    number,
    optional,
    text,
    true_or_false,
)
from onebp_jax.data.assemble import SPLITS
from onebp_jax.errors import UserError, nearest
from onebp_jax.ops.rows import DTYPES

# A run may be resumed with other values of these fields: they change how it proceeds, not what it computes.
OPERATIONAL = ("steps_per_call", "checkpoint_seconds", "tensorboard")
# The names that `onebp_jax.evaluation.protocols` knows.
PROTOCOLS = ("honest", "paper_oracle")
# None leaves these to the size of the data, see `onebp_jax.config.by_size`.
OPEN = ("dim", "batch_size", "shared_negatives", "hide_touched", "item_updater", "temperature", "learning_rate")
PARTS = ("encoder", "sampler", "loss", "user_updater", "item_updater")


class Field(NamedTuple):
    """One field: `default`, `rule` (see `onebp_jax.config.rules`), and one line of `help`."""

    default: object
    rule: Rule
    help: str


def whole(low: int, high: float = float("inf")) -> Rule:
    """A whole number from `low` to `high`."""
    return number(low, high, whole=True)


MOST = 2**31 - 1  # XLA counts rows and steps in 32 bits
_SYNTHETIC = {"num_users": 1000, "num_items": 500, "interactions_per_user": 40.0, "seed": 0}

# The name of a group -> its fields.
GROUPS: dict[str, dict[str, Field]] = {
    "Data": {
        "dataset": Field("synthetic", checked_later, "A name of the catalogue, or a path."),
        "split": Field("auto", checked_later, "How to make a test set: " + ", ".join(SPLITS) + "."),
        "test_fraction": Field(
            0.2, number(0, 0.9, above=True), "The share of each user's pairs, or of all pairs, in the test set."
        ),
        "split_seed": Field(0, whole(0), "The seed of a random split."),
        "user_column": Field("", checked_later, "The column of users; empty: found by its usual spellings."),
        "item_column": Field("", checked_later, "The column of items; empty: found by its usual spellings."),
        "time_column": Field(
            "", checked_later, 'The column of times; empty: found by its usual spellings; "none": there is none.'
        ),
        "rating_column": Field(
            "", checked_later, "The column that min_rating reads; empty: found by its usual spellings."
        ),
        "min_rating": Field(
            None, optional(number(float("-inf"))), "Rows with a lower rating are left out; None: all count."
        ),
        "min_user_items": Field(0, whole(0), "Users with fewer items are left out, until all have so many; 0 = none."),
        "min_item_users": Field(0, whole(0), "Items with fewer users are left out, until all have so many; 0 = none."),
        "deduplicate": Field(
            "first",
            checked_later,
            "The row of a repeated pair that counts, first or last: by time, else in file order.",
        ),
        "encoding": Field(
            "", checked_later, "The encoding of text files, such as gbk; empty: UTF-8, or else cp1252 with a warning."
        ),
        "stream_window": Field(
            0,
            whole(0),
            "Above 0: leave the training pairs in the Parquet files of a folder, and shuffle among this many at a time.",
        ),
        "membership_bytes": Field(
            4 * 2**30,
            whole(0),
            "The limit, in bytes, of a stream's index of users' items (4 per pair); a larger one is not made.",
        ),
        # Items that only the file has join the catalogue.
        "item_features": Field(
            "", text, 'Side information of items: a file, "auto" (items.* beside the set), or empty.'
        ),
        "user_features": Field(
            "", text, 'Side information of users: a file, "auto" (users.* beside the set), or empty.'
        ),
        "feature_columns": Field(
            "", text, "The feature columns to use, comma separated (quote a name that has a comma); empty for all."
        ),
        "synthetic": Field(_SYNTHETIC, checked_later, "The sizes and the seed of the synthetic set."),
    },
    "Method": {
        "method": Field("onebp", name_or_function, "A name, or a function that returns a Method."),
        "encoder": Field(
            "", name_or_function, "A name, or a function that returns an Encoder; empty: the method's own."
        ),
        "sampler": Field(
            "", name_or_function, "A name, or a function that returns a Sampler; empty: the method's own."
        ),
        "loss": Field("", name_or_function, "A name, or the loss function itself; empty: the method's own."),
        "user_updater": Field(
            "", name_or_function, "A name, or a function that returns an Updater; empty: the method's."
        ),
        "item_updater": Field(
            "", name_or_function, "A name, or a function that returns an Updater; empty: the method's."
        ),
        "options": Field({}, checked_later, "What only some methods have; not given: the method's own default."),
        "dim": Field(32, whole(1, MOST), "The width of an embedding."),
        "beta": Field(0.99, number(0, 1), "The share of a user's row that a moving average keeps per update."),
        "duplicates": Field("expected", checked_later, "How a moving average treats a row that repeats in a batch."),
        "normalize": Field(False, true_or_false, "Score unit vectors, that is by the cosine."),
        "table_dtype": Field("float32", choice(*DTYPES), "How tables are stored; arithmetic is in float32."),
        "num_negatives": Field(5, whole(1, MOST), "Negatives of each row of the batch."),
        "shared_negatives": Field(
            0, whole(0, MOST), "Above 0: this many negatives for the whole batch, in place of each row's own."
        ),
        "negative_alpha": Field(
            0.0, number(0), "Shared negatives are drawn in proportion to popularity ^ negative_alpha."
        ),
        "hide_touched": Field(False, true_or_false, "Mask, for each row, the shared negatives that its user touched."),
        "temperature": Field(1.0, number(0, above=True), "Scores are divided by this in the loss."),
        "optimizer": Field(
            "dense",
            choice("dense", "rowwise"),
            "dense: optax updates the whole table at each step, as in the paper; rowwise: only the rows of the batch.",
        ),
        "transform": Field(
            "adam",
            name_or_function,
            "A name, such as adam or sgd, or a function that returns an optax transformation.",
        ),
        "row_counts": Field(False, true_or_false, "With optimizer=rowwise: every row counts its own steps."),
        "learning_rate": Field(5e-4, number(0, above=True), "The learning rate."),
        "decay_epochs": Field(
            0, whole(0), "Above 0: the learning rate falls to 0 over so many epochs, along a cosine."
        ),
        "l2": Field(1e-5, number(0), "The weight of the L2 penalty; coupled, unless the transform says otherwise."),
    },
    "Training": {
        # A random key is made of 32 bits: a larger seed would repeat a smaller one.
        "seed": Field(0, whole(0, 2**32 - 1), "The seed of the run."),
        "epochs": Field(100, whole(1, MOST), "The most epochs."),
        "batch_size": Field(1024, whole(1, MOST), "Pairs per step (users, if it holds histories), over all devices."),
        "drop_last": Field(False, true_or_false, "Leave out the last, smaller batch of an epoch."),
        # For tables below about 10 MB, more threads cost more than they give (results/performance.md). The number can
        # change the order of sums; therefore it is part of the configuration.
        "cpu_threads": Field(1, whole(0), "Threads that XLA uses on a CPU; 0 = all."),
        "refit": Field(False, true_or_false, "After the honest run, train on all pairs for the chosen epochs."),
        "steps_per_call": Field(0, whole(0, MOST), "Steps in one compiled call; 0 = a whole epoch."),
        "checkpoint_seconds": Field(60.0, number(0), "The least time between two checkpoints; 0 = after every call."),
        "tensorboard": Field(False, true_or_false, "Write events for TensorBoard (extra: tensorboard)."),
    },
    "Evaluation": {
        "protocol": Field("honest", choice(*PROTOCOLS), "honest: choose on validation; paper_oracle: on the test set."),
        "validation_fraction": Field(
            0.1,
            number(0, 0.9),
            "The share of each user's training pairs that validation holds out; 0: nothing, and the last epoch counts.",
        ),
        "validation": Field(
            "auto",
            choice("auto", "last"),
            "auto: the latest pairs if the split is by time, else random ones; last: each user's last ones in the file.",
        ),
        "eval_every": Field(1, whole(1), "Epochs between two evaluations."),
        "read_test": Field(True, true_or_false, "False: a trial of a search, which never measures on the test set."),
        "eval_users": Field(0, whole(0), "Rank only this many random users, drawn by seed; 0 = all."),
        "patience": Field(50, whole(0), "Stop after this many evaluations without a better NDCG@20; 0 = never."),
    },
}
FIELDS: dict[str, Field] = {name: field for group in GROUPS.values() for name, field in group.items()}


def default_config() -> ml_collections.ConfigDict:
    """A `ConfigDict` with every field; a config file starts from it and changes what it needs."""
    config = ml_collections.ConfigDict()
    for name, field in FIELDS.items():
        if field.rule is name_or_function:
            config[name] = placeholder(object)
        if field.default is None:
            config[name] = placeholder(float)
        else:
            config[name] = (
                ml_collections.ConfigDict(field.default) if isinstance(field.default, dict) else field.default
            )
    config.options = ml_collections.ConfigDict({name: placeholder(kind) for name, kind in OPTIONS.items()})
    return config


def check_config(config: ml_collections.ConfigDict) -> None:
    """Raises `UserError`, naming field, value and what was expected, if the configuration cannot be run."""
    if not isinstance(config, ml_collections.ConfigDict):
        raise UserError(f"config={config!r:.80}: expected a config, start it from onebp_jax.config.default_config()")
    for name in config:
        if name not in FIELDS:
            raise UserError(f"unknown config field {name!r}{nearest(name, FIELDS)}")
    for name in FIELDS:
        if name not in config:
            raise UserError(
                f"config field {name!r} is missing: start the config from onebp_jax.config.default_config()"
            )
    for name, field in FIELDS.items():
        if config[name] is None and name in OPEN:
            continue
        if expected := field.rule(config[name]):
            raise UserError(f"{name}={config[name]!r}: expected {expected}")
    check_options(config.options)
    if not config.read_test and config.protocol != "honest":
        raise UserError(f"read_test=False: expected protocol='honest', {config.protocol!r} chooses on the test set")
    if not (config.read_test or config.validation_fraction):
        raise UserError(
            "validation_fraction=0: expected more than 0 with read_test=False, a trial measures on validation"
        )
    if config.refit and (config.protocol != "honest" or config.stream_window):
        raise UserError(
            "refit=True: expected protocol='honest' and stream_window=0, an epoch chosen on validation in memory"
        )
    if config.stream_window:
        _check_streamed(config)


def _check_streamed(config: ml_collections.ConfigDict) -> None:
    """Raises `UserError` for fields that need all pairs in memory."""
    nothing = dict.fromkeys(("item_features", "user_features", "time_column", "rating_column", "encoding"), ("",))
    unfiltered = {
        "validation": ("auto",),
        "min_rating": (None,),
        "min_user_items": (0, 1),
        "min_item_users": (0, 1),
        "deduplicate": ("first",),
    }
    for name, good in {"protocol": ("honest",), "split": ("auto", "given"), **nothing, **unfiltered}.items():
        if config[name] not in good:
            raise UserError(
                f"stream_window={config.stream_window}: {name}={config[name]!r} is for data in memory; expected "
                f"{' or '.join(map(repr, good))}, or stream_window=0"
            )
