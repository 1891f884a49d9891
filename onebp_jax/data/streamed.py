"""A data set whose training pairs stay in their files; memory holds only the validation and the test part.

    FOLDER/train/*.parquet         or FOLDER/train*.parquet: a stream, see `onebp_jax.data.stream`
    FOLDER/validation*.parquet     or a folder of that name: the pairs that choose the epoch; may be missing
    FOLDER/test*.parquet           or a folder of that name; may be missing

A folder of `onebp prepare` (see `onebp_jax.data.prepared`) holds row numbers in place of ids; its original ids are read from it.

Of the training pairs memory holds the counts of users and items, `O(M + N)`, and, if they fit, the items of each user.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from onebp_jax.data.catalogue import NAMES
from onebp_jax.data.filters import deduplicate
from onebp_jax.data.ids import int64_or_text, join, say_mixed
from onebp_jax.data.pairs import in_sorted, pair_keys, row_places, split_keys
from onebp_jax.data.paths import as_path
from onebp_jax.data.prepared import read_prepared
from onebp_jax.data.readers import read_interactions
from onebp_jax.data.rights import check_rights
from onebp_jax.data.stream import UserItemIndex, train_csr
from onebp_jax.data.stream_index import Stream, open_stream, read_group
from onebp_jax.errors import UserError

PARTS = ("validation", "test")
ROLES = ("user", "item")
MOST_PAIRS = np.iinfo(np.int32).max  # the largest place in an index with int32 places
PAIR_BYTES = 8


@dataclass(frozen=True, eq=False)
class StreamedDataset:
    """Takes the place of a `Dataset` if the training pairs do not fit in memory.

    Attributes:
      name: the folder.
      stream: the training pairs. Items that only the other parts have follow its own items.
      validation, test: `int32[V, 2]`, `int32[T, 2]`, internal ids; either may be empty.
      user_counts, item_counts: `int64[M]`, `int64[N]`, the training pairs of each; a repeated pair counts again.
      touched: the items of each user in training; None if they are too many.
      most_bytes: the most memory that an index of pairs may take.
      split, duplicates: as in `Dataset`; duplicates are those of the validation and the test part.
    """

    name: str
    stream: Stream
    validation: np.ndarray
    test: np.ndarray
    user_counts: np.ndarray
    item_counts: np.ndarray
    touched: UserItemIndex | None
    most_bytes: int
    split: str = "given, training pairs streamed"
    duplicates: int = 0

    @property
    def user_ids(self) -> np.ndarray:
        """`[M]`, the original ids."""
        return self.stream.user_ids

    @property
    def item_ids(self) -> np.ndarray:
        """`[N]`, the original ids."""
        return self.stream.item_ids

    @property
    def num_users(self) -> int:
        """`M`."""
        return self.stream.num_users

    @property
    def num_items(self) -> int:
        """`N`."""
        return self.stream.num_items

    @property
    def train(self) -> np.ndarray:
        """Raises `UserError`: a `Dataset` has all its pairs at once, a stream has not."""
        raise UserError(
            f"{self.name}: this needs all training pairs in memory, but they are streamed: use another method or program, "
            "or stream_window=0 with one train and one test file"
        )


def load_streamed(
    folder: str | os.PathLike, most_bytes: int, user_column: str | None = None, item_column: str | None = None
) -> StreamedDataset:
    """Opens a folder that is laid out as the module says.

    It takes one pass over the training files for the ids (none if the folder is prepared), one to count, and two more if the
    items of each user fit.

    Args:
      folder: the training pairs, and the validation and the test part.
      most_bytes: the most memory that an index of pairs may take, such as `touched`, `4 (P + M + 1)` bytes.
      user_column, item_column: as for `read_interactions`.
    Raises:
      UserError: there is no such folder; as `open_stream` and `read_interactions`; and, as for any set, another part has a user
        without a training pair, or two parts share a pair.
    """
    root = as_path(folder, "dataset")
    check_rights(root)
    if not root.is_dir():
        in_memory = "a set of the catalogue, which is read into memory" if str(folder) in NAMES else "no such folder"
        raise UserError(
            f"dataset={str(folder)!r}: {'a file' if root.exists() else in_memory}; streaming needs a folder of Parquet files, "
            "the training pairs in train/ or train*.parquet: give its path, or stream_window=0 to read a set into memory"
        )
    where, pattern = (root / "train", "*.parquet") if (root / "train").is_dir() else (root, "train*.parquet")
    prepared = read_prepared(root)
    stream = open_stream(where, user_column, item_column, pattern=pattern, ids=prepared.ids if prepared else None)
    frames = {part: _read(root, part, stream) for part in PARTS}
    stream, (users, items) = _of_one_kind(stream, frames)
    stream, items = _with_items(stream, items, frames.values())
    numbers = users, items
    (validation, dropped), (test, more) = (_number(root, part, frame, numbers) for part, frame in frames.items())
    counts = _count(root, stream, validation, test)
    touched = train_csr(stream, most_bytes) if stream.num_pairs <= MOST_PAIRS else None
    split = f"{prepared.split if prepared else 'given'}, training pairs streamed"
    return StreamedDataset(
        str(folder), stream, validation, test, *counts, touched, most_bytes, split=split, duplicates=dropped + more
    )


def train_pairs_of(dataset: StreamedDataset, users: np.ndarray) -> np.ndarray:
    """`int32[n, 2]`: the training pairs of some users, from `touched` if it is known, else by a pass over the files.

    Raises:
      UserError: they would take more than `most_bytes`.
    """
    check_fits(dataset, users)
    if dataset.touched is not None:
        starts = dataset.touched.row_starts
        lengths = starts[users + 1] - starts[users]
        items = dataset.touched.sorted_items[row_places(starts[users], lengths)]
        return np.stack([np.repeat(users, lengths), items], 1).astype(np.int32)
    asked = np.zeros(dataset.num_users, bool)
    asked[users] = True
    found, end = np.empty((int(dataset.user_counts[users].sum()), 2), np.int32), 0
    for group in range(len(dataset.stream.groups)):
        pairs = read_group(dataset.stream, group)
        pairs = pairs[asked[pairs[:, 0]]]
        found[end : end + len(pairs)] = pairs
        end += len(pairs)
    return found


def check_fits(dataset: StreamedDataset, users: np.ndarray) -> None:
    """Raises `UserError` if the training pairs of these (distinct) users do not fit in `most_bytes`."""
    needed = PAIR_BYTES * int(dataset.user_counts[users].sum())
    if needed > dataset.most_bytes:
        raise UserError(
            f"{dataset.name}: the training pairs of {len(users)} ranked users take {needed} bytes, above membership_bytes="
            f"{dataset.most_bytes}: rank fewer users (eval_users in a run, users for recommend), or raise membership_bytes"
        )


def _read(root: Path, part: str, stream: Stream) -> pd.DataFrame:
    """The pairs of a part under their original ids; an empty frame if there is no such part."""
    folder = root / part
    files = sorted(folder.glob("*.parquet") if folder.is_dir() else root.glob(f"{part}*.parquet"))
    columns = dict(zip(("user_column", "item_column"), stream.columns, strict=True))
    frames = [read_interactions(file, **columns).loc[:, ["user", "item"]] for file in files]
    return pd.DataFrame(
        {role: join(role, [frame.loc[:, role] for frame in frames]) if frames else [] for role in ROLES}
    )


def _of_one_kind(stream: Stream, frames: dict[str, pd.DataFrame]) -> tuple[Stream, list[pd.Index]]:
    """Ids are text in the stream and in all frames if they are text in one of them; and the rows of the users and items."""
    numbers = list(stream.numbers)
    for place, role in enumerate(ROLES):
        there = [numbers[place].dtype, *(frame[role].dtype for frame in frames.values() if len(frame))]
        whole = [pd.api.types.is_integer_dtype(dtype) for dtype in there]
        if all(whole) or not any(whole):
            continue
        say_mixed(role)
        if whole[0]:
            numbers[place] = numbers[place].astype(str)
            stream = stream._replace(**{f"{role}_ids": int64_or_text(numbers[place])})
        for frame in frames.values():
            frame[role] = frame[role].astype(str)
    return stream, numbers


def _with_items(stream: Stream, items: pd.Index, frames: Iterable[pd.DataFrame]) -> tuple[Stream, pd.Index]:
    """The stream, its items followed by those that only the frames have; and the rows of all items."""
    given: list[pd.Series] = [frame.loc[:, "item"] for frame in frames if len(frame)]
    if not given:
        return stream, items
    found = pd.Index(pd.concat(given, ignore_index=True).unique())
    new = found[items.get_indexer(found) < 0]
    if not len(new):
        return stream, items
    return stream._replace(item_ids=np.concatenate([stream.item_ids, int64_or_text(new)])), items.append(new)


def _number(root: Path, part: str, frame: pd.DataFrame, numbers: tuple[pd.Index, pd.Index]) -> tuple[np.ndarray, int]:
    """A part as internal ids `int32[n, 2]`, and how many repeated pairs were dropped."""
    if not len(frame):
        return np.zeros((0, 2), np.int32), 0
    frame, dropped = deduplicate(frame)
    columns = (frame.loc[:, role] for role in ("user", "item"))
    users, items = (known.get_indexer(column) for column, known in zip(columns, numbers, strict=True))
    unknown = frame.loc[users < 0, "user"].unique()
    if len(unknown):
        raise UserError(
            f"{root}: {len(unknown)} {part} user(s) have no train pair, the first is {unknown[0]}; a two-tower model "
            f"cannot rank for them: remove them from the {part} part"
        )
    return np.stack([users, items], 1).astype(np.int32), dropped


def _count(root: Path, stream: Stream, validation: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The training pairs of every user and item, in one pass; raises `UserError` if two parts share a pair."""
    of_validation, of_test = (np.sort(pair_keys(pairs)) for pairs in (validation, test))
    _refuse(root, stream, of_validation, of_test, "validation and test")
    held_out = np.sort(np.concatenate([of_validation, of_test]))
    counts = np.zeros(stream.num_users, np.int64), np.zeros(stream.num_items, np.int64)
    for group in range(len(stream.groups)):
        pairs = read_group(stream, group)
        for column, count in zip(pairs.T, counts, strict=True):
            np.add.at(count, column, 1)
        _refuse(root, stream, held_out, pair_keys(pairs), "train and the validation or test part")
    return counts


def _refuse(root: Path, stream: Stream, ordered: np.ndarray, keys: np.ndarray, where: str) -> None:
    """Raises `UserError` if a key of one part is in the ordered keys of another; `where` names both parts."""
    shared = keys[in_sorted(keys, ordered)]
    if len(shared):
        user, item = split_keys(shared[0])
        raise UserError(
            f"{root}: the pair of user {stream.user_ids[user]} with item {stream.item_ids[item]} is in both {where}; remove it "
            "from one of them"
        )
