"""A data set: (user, item) pairs under internal ids, and the original id of each.

Internal ids count from 0. Ids of a table (CSV, Parquet, ...) are numbered by first appearance, the train file
before the test file. Ids of LightGCN text are already the internal ids.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from flax import struct

from onebp_jax.data.pairs import pair_keys
from onebp_jax.data.splits import ONE_CUT
from onebp_jax.errors import UserError


@struct.dataclass
class Features:
    """Side information of `N` users or items; a pytree whose static parts are its last two.

    Attributes:
      numeric: `f32[N, c]`, standardised; 0 where missing.
      tokens: `i32[N, L]`, ids below `vocabulary`, padded with `vocabulary`.
      vocabulary: `V`, the number of distinct tokens.
      names: how each used column was read: "year: numbers", "genres: values", "title: words".
    """

    numeric: np.ndarray
    tokens: np.ndarray
    vocabulary: int = struct.field(pytree_node=False)
    names: tuple[str, ...] = struct.field(pytree_node=False)


@dataclass(frozen=True, eq=False)  # eq=False: comparing arrays with == has no truth value
class Dataset:
    """The pairs of one data set with `M` users and `N` items.

    Attributes:
      name: the catalogue name or the path that was loaded.
      train: `int32[P, 2]`, columns user and item, in the order of the file.
      test: `int32[T, 2]`; `T` may be 0.
      user_ids: `[M]`, the original id of every user; row = internal id.
      item_ids: `[N]`, the original id of every item.
      split: describes the split: "given", "per-user random 20 %, seed 0".
      duplicates: how many repeated (user, item) pairs were dropped.
      truth: the latent types of a synthetic set, else None.
      user_features, item_features: side information, `Features` with one row per internal id, else None.
      train_times, test_times: `[P]` and `[T]`, the time of each pair if the split is by time, else None. Then validation is the
        latest part of train: of each user, or, if `one_cut`, of all users together.
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
    train_times: np.ndarray | None = None
    test_times: np.ndarray | None = None

    @property
    def num_users(self) -> int:
        """`M`; it counts users without pairs too."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """`N`; it counts items without pairs too."""
        return len(self.item_ids)

    @property
    def one_cut(self) -> bool:
        """Whether the split is by one point in time for all users (`split="time_global"`)."""
        return self.train_times is not None and self.split.startswith(ONE_CUT)


def check(dataset: Dataset) -> None:
    """Raises `UserError` unless the set is fit for training and testing.

    Not allowed: an empty train part, ids outside `0..M-1` or `0..N-1`, test users without a train pair, a pair in both
    parts. Test items without a train pair are allowed.
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
