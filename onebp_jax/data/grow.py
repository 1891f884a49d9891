"""The union of two data sets: new users, items and pairs follow those that were there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.data.dataset import Dataset
from onebp_jax.data.pairs import pair_keys
from onebp_jax.data.splits import ALL_TRAIN


def grown(dataset: Dataset, more: Dataset) -> Dataset:
    """All pairs of both sets as training pairs, without a test part.

    The users and items of `dataset` keep their rows; new ones follow. Side information is left out. What was added is said in
    one line.

    Args:
      dataset: what is known. more: what is added, matched by original ids.
    """
    users, items = (_joined(getattr(dataset, name), getattr(more, name)) for name in ("user_ids", "item_ids"))
    known, added = all_for_training(dataset).train, all_for_training(more).train
    added = np.stack([users[1][added[:, 0]], items[1][added[:, 1]]], 1).astype(np.int32)
    pairs = np.concatenate([known, added])
    pairs = pairs[~pd.Series(pair_keys(pairs)).duplicated().to_numpy()]
    logging.info(
        "%s: %d of %d pairs are new, with %d new users and %d new items",
        *(more.name, len(pairs) - len(known), len(added)),
        *(len(users[0]) - dataset.num_users, len(items[0]) - dataset.num_items),
    )
    return Dataset(dataset.name, pairs, np.zeros((0, 2), np.int32), users[0], items[0], split=ALL_TRAIN)


def all_for_training(dataset: Dataset) -> Dataset:
    """The same pairs, all of them training pairs."""
    pairs = np.concatenate([dataset.train, dataset.test])
    return replace(dataset, train=pairs, test=dataset.test[:0], train_times=None, split=ALL_TRAIN)


def _joined(known: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The known ids followed by the new ones, and the row of each of the others. An id is known by its text."""
    row_of = {str(one): row for row, one in enumerate(known.tolist())}
    rows = np.array([row_of.setdefault(str(one), len(row_of)) for one in others.tolist()], np.int64)
    new = others[rows >= len(known)]
    if not len(new):
        return known, rows
    if known.dtype.kind == others.dtype.kind == "i":
        return np.concatenate([known, new]), rows
    return np.array([str(one) for one in [*known.tolist(), *new.tolist()]], object), rows
