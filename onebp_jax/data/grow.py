"""The union of two data sets: new users, items and pairs follow those that were there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.data.dataset import Dataset
from onebp_jax.data.matched_ids import say_matched
from onebp_jax.data.pairs import pair_keys
from onebp_jax.data.splits import ALL_TRAIN
from onebp_jax.data.times import check_later
from onebp_jax.errors import UserError


def grown(dataset: Dataset, more: Dataset) -> Dataset:
    """All pairs of both sets as training pairs, without a test part.

    The users and items of `dataset` keep their rows; new ones follow. Side information is left out. What was added is said in
    one line.

    Args:
      dataset: what is known. more: what is added, matched by original ids.
    Raises:
      UserError: ids of another kind, or times of another unit.
    """
    users, items = (
        _joined(getattr(dataset, f"{role}_ids"), getattr(more, f"{role}_ids"), role) for role in ("user", "item")
    )
    say_matched(more.name, dataset, more)
    before, after = all_for_training(dataset), all_for_training(more)
    known, added = before.train, after.train
    added = np.stack([users[1][added[:, 0]], items[1][added[:, 1]]], 1).astype(np.int32)
    pairs = np.concatenate([known, added])
    new = ~pd.Series(pair_keys(pairs)).duplicated().to_numpy()
    times = _joined_times(more.name, before.train_times, after.train_times)
    if times is not None and 0 < len(known) < len(times) and times.dtype.kind != "M":
        check_later(more.name, times[: len(known)], times[len(known) :])
    times = times if times is None else times[new]
    logging.info(
        "%s: %d of %d pairs are new, with %d new users and %d new items",
        *(more.name, new.sum() - len(known), len(added)),
        *(len(users[0]) - dataset.num_users, len(items[0]) - dataset.num_items),
    )
    none = np.zeros((0, 2), np.int32)
    return Dataset(dataset.name, pairs[new], none, users[0], items[0], split=ALL_TRAIN, train_times=times)


def all_for_training(dataset: Dataset) -> Dataset:
    """The same pairs, all of them training pairs, with their times if all are known."""
    pairs, times = np.concatenate([dataset.train, dataset.test]), dataset.train_times
    if len(dataset.test):
        times = _joined_times(dataset.name, times, dataset.test_times)
    whole = replace(dataset, train=pairs, test=dataset.test[:0], split=ALL_TRAIN)
    return replace(whole, train_times=times, test_times=None)


def _joined_times(name: str, first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    """The times of two parts; None if those of one are unknown. Raises `UserError` for dates in one and numbers in the other."""
    if first is None or second is None:
        return None
    if (first.dtype.kind == "M") != (second.dtype.kind == "M"):
        kinds = ["dates" if times.dtype.kind == "M" else "numbers" for times in (first, second)]
        raise UserError(f"{name}: its times are {kinds[1]}, and those so far are {kinds[0]}: write both alike")
    return np.concatenate([first, second])


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
