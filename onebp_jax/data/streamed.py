"""A data set of which the training pairs stay in their files, and only the parts that are measured on are read.

    FOLDER/train/*.parquet         or FOLDER/train*.parquet: a stream, see `onebp_jax.data.stream`
    FOLDER/validation*.parquet     or a folder of that name: what epochs are chosen by; may be missing
    FOLDER/test*.parquet           or a folder of that name; may be missing

What memory holds of training is two counts, `O(M + N)`, and, where it fits, what each user touched.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from onebp_jax.data.catalogue import NAMES
from onebp_jax.data.dataset import deduplicate, pair_keys
from onebp_jax.data.readers import read_interactions
from onebp_jax.data.stream import UserItemIndex, train_csr
from onebp_jax.data.stream_index import Stream, open_stream, read_group
from onebp_jax.errors import UserError

PARTS = ("validation", "test")
MOST_PAIRS = np.iinfo(np.int32).max  # that an index of int32 places can hold
PAIR_BYTES = 8


@dataclass(frozen=True, eq=False)
class StreamedDataset:
    """What takes the place of a `Dataset` where the training pairs do not fit in memory.

    Attributes:
      name: the folder. stream: the training pairs; its items are followed by those that only the other parts have.
      validation, test: `int32[V, 2]`, `int32[T, 2]`, internal ids; either may be empty.
      user_counts, item_counts: `int64[M]`, `int64[N]`, the training pairs of each; a repeated pair counts again.
      touched: what each user touched in training; None where it was too large.
      most_bytes: what an index of pairs may take. split, duplicates (in the parts that were read): as in `Dataset`.
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
        """What a `Dataset` has and this has not: says so to whoever needs all pairs at once."""
        raise UserError(
            f"{self.name}: this needs all training pairs in memory and they are streamed: use another method or program, "
            "or stream_window=0 with one train and one test file"
        )


def load_streamed(
    folder: str | os.PathLike, most_bytes: int, user_column: str | None = None, item_column: str | None = None
) -> StreamedDataset:
    """Opens a folder as the module says, in one pass for the ids, one to count, and two more where what users touched fits.

    Args:
      folder: the training pairs, and the parts to measure on.
      most_bytes: what an index of pairs may take, that of what users touched (`4 (P + M + 1)`) among them.
      user_column, item_column: as for `read_interactions`.
    Raises:
      UserError: what is given is no folder; as `open_stream` and `read_interactions`; and, as for any set, a user of another part
        without a training pair, or a pair that is in two parts.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        in_memory = "a set of the catalogue, which is read into memory" if str(folder) in NAMES else "no such folder"
        raise UserError(
            f"dataset={str(folder)!r}: {'a file' if root.exists() else in_memory}; streaming needs a folder of Parquet files, "
            "the training pairs in train/ or train*.parquet: give its path, or stream_window=0 to read a set into memory"
        )
    inside = (root / "train").is_dir()
    where = (root / "train", "*.parquet") if inside else (root, "train*.parquet")
    stream = open_stream(where[0], user_column, item_column, pattern=where[1])
    frames = {part: _read(root, part, stream) for part in PARTS}
    stream, parts, dropped = _number(root, frames, stream)
    counts = _count(root, stream, parts)
    fits = stream.num_pairs <= MOST_PAIRS
    touched = train_csr(stream, most_bytes) if fits else None
    return StreamedDataset(
        str(folder), stream, parts["validation"], parts["test"], *counts, touched, most_bytes, duplicates=dropped
    )


def train_pairs_of(dataset: StreamedDataset, users: np.ndarray) -> np.ndarray:
    """`int32[n, 2]`: the training pairs of some users, from the index of what they touched, or by a pass over the files.

    Raises:
      UserError: they would take more than `most_bytes`.
    """
    check_fits(dataset, users)
    if dataset.touched is not None:
        starts = dataset.touched.row_starts
        lengths = starts[users + 1] - starts[users]
        places = np.repeat(starts[users] - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
        return np.stack([np.repeat(users, lengths), dataset.touched.sorted_items[places]], 1).astype(np.int32)
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
    """Raises `UserError` if the training pairs of these (distinct) users are too many to hold."""
    needed = PAIR_BYTES * int(dataset.user_counts[users].sum())
    if needed > dataset.most_bytes:
        raise UserError(
            f"{dataset.name}: what {len(users)} ranked users have seen takes {needed} bytes, and membership_bytes is "
            f"{dataset.most_bytes}: rank fewer users (eval_users, or --users of launch.recommend), or raise it"
        )


def _read(root: Path, part: str, stream: Stream) -> pd.DataFrame:
    """The pairs of a part as they are written; none where there is no such part."""
    folder = root / part
    files = sorted(folder.glob("*.parquet") if folder.is_dir() else root.glob(f"{part}*.parquet"))
    columns = dict(zip(("user_column", "item_column"), stream.columns, strict=True))
    frames = [read_interactions(file, **columns)[["user", "item"]] for file in files]
    for file, frame in zip(files, frames, strict=True):
        for role, numbers in zip(("user", "item"), stream.numbers, strict=True):
            kinds = [pd.api.types.is_integer_dtype(dtype) for dtype in (frame[role].dtype, numbers.dtype)]
            if kinds[0] != kinds[1]:
                words = ["integers" if kind else "text" for kind in kinds]
                raise UserError(
                    f"{file}: the {role} ids are {words[0]}, in {stream.files[0].name} {words[1]}; convert one"
                )
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame({"user": [], "item": []})


def _number(root: Path, frames: dict[str, pd.DataFrame], stream: Stream) -> tuple[Stream, dict[str, np.ndarray], int]:
    """The stream with the items of all parts, the parts in internal ids, and how many repeated pairs were dropped."""
    users, items = stream.numbers
    given = [frame["item"] for frame in frames.values() if len(frame)]
    new = pd.unique(pd.concat(given, ignore_index=True)) if given else np.empty(0, stream.item_ids.dtype)
    new = new[items.get_indexer(new) < 0]
    if len(new):
        kind = None if stream.item_ids.dtype.kind == "i" else np.str_
        item_ids = np.concatenate([stream.item_ids, np.asarray(new, dtype=kind)])
        stream = stream._replace(item_ids=item_ids, numbers=(users, pd.Index(item_ids)))
    parts, dropped = {}, 0
    for part, frame in frames.items():
        if not len(frame):
            parts[part] = np.zeros((0, 2), np.int32)
            continue
        frame, repeated = deduplicate(frame)
        rows = [numbers.get_indexer(frame[role]) for role, numbers in zip(frame, stream.numbers, strict=True)]
        unknown = pd.unique(frame["user"][rows[0] < 0])
        if len(unknown):
            raise UserError(
                f"{root}: {len(unknown)} {part} user(s) have no train pair, the first is {unknown[0]}; a two-tower model "
                f"cannot rank for them: remove them from the {part} part"
            )
        parts[part], dropped = np.stack(rows, 1).astype(np.int32), dropped + repeated
    return stream, parts, dropped


def _count(root: Path, stream: Stream, parts: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The training pairs of every user and item, in one pass that also finds a pair that is in two parts."""
    validation, test = (np.sort(pair_keys(parts[part])) for part in PARTS)
    _refuse(root, stream, validation, test, "validation and test")
    held_out = np.sort(np.concatenate([validation, test]))
    counts = np.zeros(stream.num_users, np.int64), np.zeros(stream.num_items, np.int64)
    for group in range(len(stream.groups)):
        pairs = read_group(stream, group)
        for column, count in zip(pairs.T, counts, strict=True):
            np.add.at(count, column, 1)
        _refuse(root, stream, held_out, pair_keys(pairs), "train and a part that is measured on")
    return counts


def _refuse(root: Path, stream: Stream, ordered: np.ndarray, keys: np.ndarray, where: str) -> None:
    if not len(ordered):
        return
    shared = keys[ordered[np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)] == keys]
    if len(shared):
        user, item = divmod(int(shared[0]), 1 << 32)
        raise UserError(
            f"{root}: the pair of user {stream.user_ids[user]} with item {stream.item_ids[item]} is in both {where}; remove it "
            "from one of them"
        )
