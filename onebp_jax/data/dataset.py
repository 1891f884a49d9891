"""What a data set is: (user, item) pairs under internal ids, and the original ids to come back by.

Internal ids count from 0. Ids of a table (CSV, Parquet, ...) are numbered by first appearance, the train file
before the test file; ids of LightGCN text are the internal ids themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from onebp_jax.errors import UserError

if TYPE_CHECKING:
    from onebp_jax.data.features import Features


@dataclass(frozen=True, eq=False)  # eq=False: comparing arrays with == has no truth value
class Dataset:
    """Pairs of one data set, `M` users and `N` items.

    Attributes:
      name: the catalogue name or the path that was loaded.
      train: `int32[P, 2]`, columns user and item, in the order of the file.
      test: `int32[T, 2]`; `T` may be 0.
      user_ids: `[M]`, the original id of every user; row = internal id.
      item_ids: `[N]`, the original id of every item.
      split: which split this is, for a person: "given", "per-user random 20 %, seed 0".
      duplicates: how many repeated (user, item) pairs were dropped.
      truth: what a synthetic set was made from, else None.
      user_features, item_features: side information, `onebp_jax.data.features.Features` with a row an internal id, else None.
    """

    name: str
    train: np.ndarray
    test: np.ndarray
    user_ids: np.ndarray
    item_ids: np.ndarray
    split: str
    duplicates: int = 0
    truth: dict[str, np.ndarray] | None = None
    user_features: Features | None = None
    item_features: Features | None = None

    @property
    def num_users(self) -> int:
        """`M`, users without any pair included."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """`N`, items without any pair included."""
        return len(self.item_ids)


def check(dataset: Dataset) -> None:
    """Raises `UserError` unless the set can be trained and tested on.

    Not allowed: an empty train part, ids outside `0..M-1` or `0..N-1`, test users without a train pair, and a pair
    that is in both parts. Test items that train has not seen are allowed.
    """
    name, train, test = dataset.name, dataset.train, dataset.test
    if not len(train):
        raise UserError(f"{name}: the train part is empty, expected at least one (user, item) pair; check the file")
    for part, pairs in (("train", train), ("test", test)):
        outside = (pairs < 0) | (pairs >= (dataset.num_users, dataset.num_items))
        if outside.any():
            user, item = pairs[outside.any(axis=1)][0]
            raise UserError(
                f"{name}: ids out of range: the {part} part has user {user} with item {item}, expected users below "
                f"{dataset.num_users} and items below {dataset.num_items}; renumber the pairs"
            )
    unknown = pd.unique(test[~np.isin(test[:, 0], train[:, 0]), 0])
    if len(unknown):
        raise UserError(
            f"{name}: {len(unknown)} test user(s) have no train pair, the first is {dataset.user_ids[unknown[0]]}; "
            "a two-tower model cannot rank for them: remove them from the test part"
        )
    shared = np.isin(pair_keys(test), pair_keys(train))
    if shared.any():
        user, item = test[shared][0]
        raise UserError(
            f"{name}: {shared.sum()} pair(s) are in both train and test, the first is user {dataset.user_ids[user]} "
            f"with item {dataset.item_ids[item]}; remove them from one of the two"
        )


def number_ids(frames: list[pd.DataFrame], *, indexed: bool) -> tuple[list[pd.DataFrame], np.ndarray, np.ndarray]:
    """Replaces the ids in the columns user and item of the frames by internal ids.

    Args:
      frames: as `read_interactions` returns them; ids of all frames together are numbered by first appearance.
      indexed: True if the ids already are the internal ids (LightGCN text); then they are only checked.
    Returns:
      The frames with int32 ids, the original user ids `[M]` and item ids `[N]` (int64 or text).
    Raises:
      UserError: if indexed ids have such gaps that most rows of a table would never be used.
    """
    frames = [frame.copy() for frame in frames]
    originals = []
    for column in ("user", "item"):
        joined = _join([frame[column] for frame in frames])
        if indexed:
            codes, original = joined.to_numpy(), _dense_ids(joined.to_numpy(), column)
        else:
            codes, original = pd.factorize(joined)
            original = np.asarray(original, dtype=None if original.dtype == np.int64 else np.str_)
        originals.append(original)
        ends = np.cumsum([len(frame) for frame in frames])
        for frame, part in zip(frames, np.split(codes.astype(np.int32), ends[:-1]), strict=True):
            frame[column] = part
    return frames, originals[0], originals[1]


def original_ids(column: pd.Series, written: bool) -> np.ndarray | pd.api.extensions.ExtensionArray:
    """int64 or text; ids that were `written` as text are integers if each is written as Python writes it."""
    codes, originals = pd.factorize(column)  # there are far fewer ids than rows
    text = pd.Series(originals).astype(str)
    if written or not isinstance(originals[0], str):
        try:
            numbers = text.to_numpy(dtype=np.str_).astype(np.int64)
            if (numbers.astype(np.str_) == text).all():
                return numbers[codes]
        except (ValueError, OverflowError):
            pass
    return text.array.take(codes)


def to_numbers(path: Path, column: pd.Series) -> pd.Series:
    """Numbers as they are; dates as nanoseconds since 1970."""
    times = pd.to_numeric(column, errors="coerce")
    if times.isna().any():
        dates = pd.to_datetime(column, errors="coerce", format="ISO8601", utc=True)
        if dates.isna().any():
            raise UserError(
                f"{path}: the time column has {column[dates.isna()].iloc[0]!r}, expected numbers, or dates such as "
                "2024-01-31T12:00:00; convert it, or choose another with time_column"
            )
        times = dates.dt.as_unit("ns").astype(np.int64)
    return times


def deduplicate(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Keeps one row a (user, item) pair, the earliest if there is a column time, else the first in the file.

    Returns the frame in its old order, and how many rows were dropped.
    """
    ordered = frame.sort_values("time", kind="stable") if "time" in frame else frame
    kept = frame.loc[ordered.drop_duplicates(["user", "item"]).index.sort_values()]
    return kept, len(frame) - len(kept)


def to_pairs(frame: pd.DataFrame) -> np.ndarray:
    """The columns user and item as `int32[P, 2]`."""
    return np.ascontiguousarray(frame[["user", "item"]].to_numpy(dtype=np.int32))


def pair_keys(pairs: np.ndarray) -> np.ndarray:
    """One `int64` a pair, `[P]`, to compare pairs by."""
    return pairs[:, 0].astype(np.int64) << 32 | pairs[:, 1]


def _join(columns: list[pd.Series]) -> pd.Series:
    """The columns one after the other, as text unless all of them are integers: 7 and "007" are two ids."""
    if not all(pd.api.types.is_integer_dtype(column) for column in columns):
        columns = [column.astype(str) for column in columns]
    return pd.concat(columns, ignore_index=True)


def _dense_ids(ids: np.ndarray, column: str) -> np.ndarray:
    """`0..max`, if the ids fill that range reasonably."""
    size, distinct = int(ids.max(initial=-1)) + 1, len(pd.unique(ids))
    if size > 4 * distinct + 1000:
        raise UserError(
            f"{column} ids out of range: they run up to {size - 1} but only {distinct} are used; "
            "LightGCN text needs ids counted from 0 without large gaps: convert to CSV with columns user and item"
        )
    return np.arange(size, dtype=np.int64)
