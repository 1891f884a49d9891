"""What a run folder knows of the data that the run was made on, and how it says that they are others now."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.data.catalogue import NAMES, SOURCES
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.matched_ids import say_matched
from onebp_jax.data.pairs import pair_keys
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.errors import UserError

# The fields that may hold a path of a user's own.
_PATHS = ("dataset", "user_features", "item_features")
# The beginning of the split of other data in place of the test part.
OTHER_DATA = "all of "
_BY_TIME_TOO = ", validation latest too"
_PARTS = ("train", "validation", "test")
_PAIRS = ("train_pairs", "validation_pairs", "test_pairs")


def absolute(plain: dict) -> dict:
    """The configuration with absolute paths of a user's own files, so that the run folder is read from any folder.

    Args:
      plain: of `onebp_jax.config.as_plain`.
    """
    return plain | {field: _absolute(plain[field]) for field in _PATHS if isinstance(plain.get(field), str)}


def _absolute(name: str) -> str:
    path = Path(name).expanduser()
    return os.path.abspath(path) if name and name not in NAMES and path.exists() else name


def source_files(dataset: str) -> list[list]:
    """`[name, bytes, time of the last change]` of each of a user's own files of interactions; none for other data sets.

    As long as these are equal, the files need not be read again to know that they have not changed.
    """
    path = Path(dataset).expanduser()
    if not dataset or dataset in NAMES or not path.exists():
        return []
    found = [file for part in _PARTS for each in path.glob(f"{part}*") for file in (each, *each.rglob("*"))] or [path]
    files = sorted(file for file in found if file.is_file())
    stats = [(str(file.relative_to(path.parent)), file.stat()) for file in files]
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]


def difference(name: str, now: dict, then: dict) -> str:
    """How data differ from those that a run was made on, as a sentence; empty if they do not.

    Args:
      name: of the data set, or its path.
      now, then: `onebp_jax.data.fingerprint.fingerprint` of both.
    """
    if now == then:
        return ""
    name, made = os.path.basename(os.path.normpath(name)), "when this run was made"
    if now.get("init") != then.get("init"):
        return "it began with " + ("the vectors of another run (init)" if then.get("init") else "new vectors (no init)")
    count = lambda data, fields: sum(data.get(field) or 0 for field in fields)
    more = {
        kind: count(now, fields) - count(then, fields)
        for kind, fields in {"row": _PAIRS, "user": ["num_users"], "item": ["num_items"]}.items()
    }
    rows, *others = [f"{abs(n)} {'more' if n > 0 else 'fewer'} {kind}{'s' * (abs(n) != 1)}" for kind, n in more.items()]
    others = [text for text in others if not text.startswith("0 ")]
    if more["row"]:
        return f"{name} has {rows} than {made}" + (f" ({', '.join(others)})" if others else "")
    if others:
        return f"{name} has {' and '.join(others)} than {made}"
    if now.get("split") != then.get("split"):
        return f"the split of {name} is {now.get('split')!r} now, and was {then.get('split')!r} {made}"
    changed = sorted(field for field in now.keys() | then.keys() if now.get(field) != then.get(field))
    if all("features" in field for field in changed):
        return f"the side information of {name} is not what it was {made}"
    if changed == ["files"]:
        return f"the files of {name} are others than {made}: their names, sizes or numbers of rows differ"
    return f"{name} has as many rows as {made}, but other ones"


def places(known: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """`int[wanted]`: the row of each original id among the known ones, -1 for a new one. 7 and "7" are the same id."""
    if known.dtype.kind == wanted.dtype.kind == "i":
        return pd.Index(known).get_indexer(pd.Index(wanted))
    as_text = lambda ids: pd.Index([str(original) for original in ids.tolist()])
    return as_text(known).get_indexer(as_text(wanted))


def item_places(known: np.ndarray, dataset: Dataset | StreamedDataset) -> np.ndarray:
    """`places` of a data set's items among those of an earlier run.

    Raises:
      UserError: the run was made when a set of the catalogue had numbers from 0 in place of its published item ids. They look
        alike and mean other items.
    """
    wanted = dataset.item_ids
    numbers = known.dtype.kind == wanted.dtype.kind == "i" and np.array_equal(np.sort(known), np.arange(len(known)))
    if dataset.name in SOURCES and numbers and 0 not in wanted:
        raise UserError(
            f"{dataset.name}: its items have their published ids now, and the run has the numbers 0 to {len(known) - 1} of an "
            f"earlier version: train it again, or give the folder of {dataset.name} as a path, which keeps the numbers"
        )
    return places(known, wanted)


def with_pairs_of(own: Dataset, other: Dataset) -> Dataset:
    """The data set of a run, in which other data take the place of the test part.

    The test part is all pairs of `other` that the run was not trained on. Pairs of items that the run does not know, or of users
    without a training pair, are left out, which is said.
    """
    pairs = np.concatenate([other.train, other.test])
    say_matched(other.name, own, other)
    rows = [places(own.user_ids, other.user_ids), item_places(own.item_ids, other)]
    mapped = np.stack([known[column] for known, column in zip(rows, pairs.T, strict=True)], 1).astype(np.int32)
    known = (mapped >= 0).all(axis=1) & np.isin(mapped[:, 0], own.train[:, 0])
    trained = np.isin(pair_keys(mapped), pair_keys(own.train)) & known
    logging.log(
        logging.INFO if known.all() and not trained.any() else logging.WARNING,
        "%s: of %d pairs, the run was trained on %d; %d are of users or items that it does not know, and are left out",
        *(other.name, len(pairs), trained.sum(), (~known).sum()),
    )
    return replace(
        own, name=other.name, test=mapped[known & ~trained], split=f"{OTHER_DATA}{other.name} that is not in training"
    )


def as_then(dataset: Dataset, split: str | None) -> Dataset:
    """The data set as a run met it, by the sentence about its split.

    Runs before 0.3.0 held out random validation pairs, also where the split is by time: such a run goes on like that.
    """
    if split is not None and split != dataset.split and split == dataset.split.removesuffix(_BY_TIME_TOO):
        return replace(dataset, split=split, train_times=None)
    return dataset
