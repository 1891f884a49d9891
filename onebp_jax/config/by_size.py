"""Fields that a config leaves open (None): they are chosen by the size of the data, as in `configs/own.py`.

The rules are read off the settings that validation chose on public sets (results/FRONTIER.md): a good start, not an optimum.

- Dense data (above 1 % of all pairs) and sparse data differ most. In sparse data an item with few users leans on the users that
  it shares with others (`smoothing`), and few epochs on the sphere do.
- The more items, the lower the temperature: the most similar ones are the competition.
- If the order of each user's events is known, and the latest ones are to be told, recent events count more.
- Batches have a fortieth of the users, so an epoch has about 40 steps; spectral vectors have a twentieth of the items.
"""

from __future__ import annotations

import math

import ml_collections
from absl import logging
from ml_collections.config_dict import placeholder

from onebp_jax.config.fields import FIELDS, GROUPS, OPEN, default_config
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.streamed import StreamedDataset

DENSE = 0.01
METHOD = "onebp_spectral"
# Users, items, pairs of a small dense data set and of a large sparse one, and whether their events have an order.
_EXAMPLES = ((1000, 1000, 100_000, True), (100_000, 100_000, 1_000_000, False))
_SHARED = ("seed", "cpu_threads", "protocol", "validation_fraction", "validation", "eval_users", "read_test")


def own_row(config):
    """`own_config` for the data and the evaluation of another config; a config that is `own` itself, as it is."""
    if is_open(config) and config.method == METHOD:
        return config.copy_and_resolve_references()
    made = own_config()
    for name in (*GROUPS["Data"], *_SHARED):
        made[name] = config[name]
    return made


def own_config() -> ml_collections.ConfigDict:
    """The config for a user's own data: users made of their histories, and what depends on the size of the data left open."""
    config = default_config()
    config.update(method=METHOD, epochs=16, decay_epochs=18, eval_every=2, patience=0, l2=0.0)
    for name in OPEN:
        config[name] = placeholder(type(FIELDS[name].default))
    return config


def chosen(num_users: int, num_items: int, num_pairs: int, ordered: bool) -> dict[str, object]:
    """The settings for data of this size: fields of a config, and `options.NAME` of the method `onebp_spectral`.

    Args:
      ordered: whether the order of each user's events is known and the latest ones are held out.
    """
    dense = num_pairs > DENSE * num_users * num_items
    return {
        "dim": 128 if dense else 256,
        "batch_size": _power_of_two(num_users / 40, 32, 1024),
        "shared_negatives": 0 if num_items <= 8192 else 8192,
        "hide_touched": num_items > 8192,
        "item_updater": "" if dense else "on_sphere",
        "temperature": round(min(0.2, max(0.07, 6 / math.sqrt(num_items))), 3),
        "learning_rate": 0.01 if dense else 0.003,
        "options.smoothing": 0.0 if dense else 1.0,
        "options.spectral_dim": _power_of_two(num_items / 20, 16, 1024),
        "options.spectral_weight": 0.4 if dense else 0.15,
        "options.item_power": 0.4,
        "options.response": 0.25,
        "options.half_life": 3.0 if ordered else 0.0,
        "options.lasting": 0.03 if ordered else 0.0,
    }


def choose_by_size(config, dataset: Dataset | StreamedDataset) -> None:
    """Fills in the fields that are None, and says so in one line; with `method="onebp_spectral"` also its options.

    A config without such fields stays as it is.
    """
    if not is_open(config):
        return
    in_memory = isinstance(dataset, Dataset)
    ordered = in_memory and (config.validation == "last" or (dataset.train_times is not None and not dataset.one_cut))
    size = dataset.num_users, dataset.num_items, len(dataset.train) if in_memory else dataset.stream.num_pairs
    said = " ".join(_fill_in(config, *size, ordered))
    order = " in the order of time" if ordered else ""
    logging.info("chosen by the size of the data (%d users, %d items, %d pairs%s): %s", *size, order, said)


def closed(config, dataset: Dataset | StreamedDataset):
    """A copy of the config after `choose_by_size`."""
    copy = config.copy_and_resolve_references()
    choose_by_size(copy, dataset)
    return copy


def examples(config) -> list:
    """Copies of a config with its open fields filled in as for a small dense data set, and as for a large sparse one.

    They show, before any data are read, whether the other fields can be right. Of a config without open fields it is one copy.
    """
    copies = [config.copy_and_resolve_references() for _ in (_EXAMPLES if is_open(config) else _EXAMPLES[:1])]
    for copy, size in zip(copies, _EXAMPLES, strict=False):
        _fill_in(copy, *size)
    return copies


def is_open(config) -> bool:
    """Whether fields are left to the size of the data."""
    return any(config[name] is None for name in OPEN)


def _fill_in(config, num_users: int, num_items: int, num_pairs: int, ordered: bool) -> list[str]:
    """Fills in the fields that are None; returns `name=value` of each."""
    said = []
    for name, value in chosen(num_users, num_items, num_pairs, ordered).items():
        option = name.removeprefix("options.")
        if option != name and config.method != METHOD:
            continue
        place, key = (config.options, option) if option != name else (config, name)
        if place[key] is None:
            # A part of the method is no setting of another one.
            place[key] = "" if name == "item_updater" and config.method != METHOD else value
            said.append(f"{name}={place[key]}")
    return said


def _power_of_two(value: float, low: int, high: int) -> int:
    """The nearest power of two, from `low` to `high`."""
    return int(min(high, max(low, 2 ** round(math.log2(max(value, 1))))))
