"""The union of two data sets: new users, items and pairs follow those that were there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.data.dataset import Dataset
from onebp_jax.data.pairs import pair_keys
from onebp_jax.data.splits import ALL_TRAIN
from onebp_jax.errors import UserError


def grown(dataset: Dataset, more: Dataset) -> Dataset:
    """All pairs of both sets as training pairs, without a test part.

    The users and items of `dataset` keep their rows; new ones follow. Side information is left out. What was added is said in
    one line.

    Args:
      dataset: what is known. more: what is added, matched by original ids.
    """
    users, items = (
        _joined(getattr(dataset, f"{role}_ids"), getattr(more, f"{role}_ids"), role) for role in ("user", "item")
    )
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


def _joined(known: np.ndarray, others: np.ndarray, role: str) -> tuple[np.ndarray, np.ndarray]:
    """The known ids followed by the new ones, and the row of each of the others. An id is known by its text.

    Raises:
      UserError: integers follow text, or text integers: the ids are hardly of the same kind, and all would become text.
    """
    row_of = {str(one): row for row, one in enumerate(known.tolist())}
    rows = np.array([row_of.setdefault(str(one), len(row_of)) for one in others.tolist()], np.int64)
    new = others[rows >= len(known)]
    if not len(new):
        return known, rows
    if known.dtype.kind == others.dtype.kind == "i":
        return np.concatenate([known, new]), rows
    if "i" in (known.dtype.kind, others.dtype.kind):
        kinds = [
            f"{'integers' if ids.dtype.kind == 'i' else 'text'} such as {ids.tolist()[0]!r}" for ids in (known, new)
        ]
        raise UserError(
            f"the {role} ids so far are {kinds[0]}, the new ones are {kinds[1]}: give ids of one kind (fit on all data reads "
            "both as text)"
        )
    return np.concatenate([known.astype(object), new.astype(object)]), rows
