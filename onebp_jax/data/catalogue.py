"""`load`: a name of the catalogue, or a path, becomes a `Dataset`.

A set of the catalogue is a folder with a train and a test file, and perhaps a `split.txt` with one sentence that describes the
split. `load` looks for it in the data root (`data_dir`, else `$ONEBP_DATA_DIR`), then in a per-user cache. If it is in neither,
it is downloaded into the cache. Its files number users and items from 0; where `items.csv` beside them has a column `orig_id`
(MovieLens), these are the original item ids.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.data.assemble import SPLITS, Choices, Tables, assemble, check_choices
from onebp_jax.data.columns import Roles
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.download import SOURCES, install
from onebp_jax.data.feature_files import read_by_id, with_features
from onebp_jax.data.ids import clean_ids, int64_or_text
from onebp_jax.data.paths import as_path
from onebp_jax.data.prepared import is_prepared
from onebp_jax.data.readers import SUFFIXES, is_lightgcn, read_roles
from onebp_jax.data.rights import check_rights
from onebp_jax.data.synthetic import generate
from onebp_jax.errors import UserError, no_such, one_of

__all__ = ["NAMES", "SPLITS", "load"]

NAMES = (*SOURCES, "synthetic")
# The column of `items.csv` in the folder of a catalogue set with the ids that the publisher of the set gave the items.
PUBLISHED_IDS = "orig_id"


def load(
    dataset: str | os.PathLike,
    data_dir: str | os.PathLike | None = None,
    *,
    split: str = "auto",
    test_fraction: float = 0.2,
    split_seed: int = 0,
    user_column: str | None = None,
    item_column: str | None = None,
    time_column: str | None = None,
    rating_column: str | None = None,
    min_rating: float | None = None,
    min_user_items: int = 0,
    min_item_users: int = 0,
    deduplicate: str = "first",
    encoding: str = "",
    synthetic: dict | None = None,
    user_features: str = "",
    item_features: str = "",
    feature_columns: tuple[str, ...] = (),
    download: bool = True,
) -> Dataset:
    """Loads a data set and checks it.

    Args:
      dataset: one of `NAMES`; or the path of a file that `read_interactions` reads; or the path of a folder with two such
        files, `train.*` and `test.*`.
      data_dir: the data root, with one folder per set of the catalogue. Default: `$ONEBP_DATA_DIR`, else a per-user cache.
      split: "given" (the train and the test file), "ratio" (per user, random), "time" (per user, the latest), "time_global"
        (one point in time for all; test users without a train pair are left out), "leave_one_out", "leave_one_out_time",
        "none" (all pairs are train); "auto" is "given" if there are two files, else "ratio". All but "given" split the
        union of the files. After a split by time, validation is by time too.
      test_fraction: for "ratio", "time" and "time_global", and for the synthetic set.
      split_seed: for "ratio" and "leave_one_out".
      user_column, item_column, time_column: see `read_interactions`.
      rating_column: the column that `min_rating` reads; None for the usual names (rating, stars, plays, ..).
      min_rating: leave out rows with a lower rating; None keeps all.
      min_user_items, min_item_users: leave out users with fewer items and items with fewer users, until all have enough.
      deduplicate: which row of a repeated pair counts, the "first" or the "last": by time, else in the order of the file.
      encoding: of text files, such as "gbk"; empty: UTF-8, or else cp1252 (Windows, Latin-1) with a warning.
      synthetic: arguments of `generate`, if the dataset is "synthetic".
      user_features, item_features: a file of side information, see `onebp_jax.data.features`; "auto" is `users.*` or
        `items.*` beside the files of the set. Items that only this file has join the item catalogue.
      feature_columns: the columns to use of these files; empty for all but ids.
      download: whether a missing set may be downloaded.
    Raises:
      UserError: the set cannot be found, read or split as asked, or it is not fit for training (see `check`).
    """
    as_path(dataset, "dataset")
    name = os.fspath(dataset)
    choices = Choices(split, test_fraction, split_seed, min_rating, min_user_items, min_item_users, deduplicate)
    check_choices(choices)
    if name == "synthetic":
        made = _generate({"test_fraction": test_fraction, **(synthetic or {})})
        parts = (made.train, made.train_times), (made.test, made.test_times)
        frames = [_as_frame(*part) for part in parts]
        tables = Tables(frames, indexed=True, sizes=(made.num_users, made.num_items), given=made.split)
        loaded, folder = assemble(name, tables, choices), None
        if not choices.filters:
            loaded = replace(loaded, truth=made.truth)
    else:
        files = _find(name, data_dir, download)
        roles = Roles.of(
            user_column, item_column, time_column, rating_column, rated=min_rating is not None, timed=choices.by_time
        )
        frames = [read_roles(file, roles, encoding, argument="dataset", say=file == files[0]) for file in files]
        folder = files[0].parent
        note = folder / "split.txt"
        given = note.read_text().strip() if note.is_file() else "given"
        indexed = is_lightgcn(files[0])
        loaded = assemble(name, Tables(frames, indexed=indexed, given=given), choices)
    wanted = {"user": (user_features, user_column), "item": (item_features, item_column)}
    loaded = with_features(loaded, wanted, tuple(feature_columns), folder, encoding)
    return _with_published_ids(loaded, folder, item_features) if folder and name in SOURCES else loaded


def _with_published_ids(dataset: Dataset, folder: Path, item_features: str) -> Dataset:
    """A set of the catalogue with the item ids of its publisher, if `items.csv` has them: rows and pairs stay."""
    path = folder / "items.csv"
    if not path.is_file():
        return dataset
    numbers, frame = read_by_id(path, "item", None)
    if PUBLISHED_IDS not in frame:
        return dataset
    given: pd.Series = frame.loc[:, PUBLISHED_IDS]
    published = int64_or_text(clean_ids(f"{path}: the column {PUBLISHED_IDS}", given, is_text=True))
    rows = pd.Index(numbers).get_indexer(pd.Index(dataset.item_ids))
    if rows.min() < 0 or len(pd.unique(published)) < len(published):
        raise UserError(
            f"{path}: expected each item of {dataset.name} with an {PUBLISHED_IDS} of its own; restore the file"
        )
    if item_features not in ("", "auto") and not path.samefile(Path(item_features).expanduser()):
        logging.warning(
            "%s: the ids of %s were read as numbers of the catalogue (column item of %s), not as its published ids (%s)",
            *(dataset.name, item_features, path, PUBLISHED_IDS),
        )
    return replace(dataset, item_ids=published[rows])


def _as_frame(pairs: np.ndarray, times: np.ndarray | None) -> pd.DataFrame:
    frame = pd.DataFrame(pairs, columns=["user", "item"])
    if times is not None:
        frame["time"] = times
        frame.attrs["times"] = {"numbers": 0}
    return frame


def _generate(options: dict) -> Dataset:
    try:
        return generate(**options)
    except TypeError as error:
        raise UserError(f"synthetic: {error}; pass arguments of onebp_jax.data.generate") from error


def _find(name: str, data_dir: str | os.PathLike | None, download: bool) -> list[Path]:
    """The single file of a set, or its train and its test file."""
    if name in SOURCES:
        return _find_in_catalogue(name, data_dir, download)
    path = Path(name).expanduser()
    check_rights(path)
    if path.is_dir():
        if files := _train_and_test(path):
            if unused := [file.name for part in ("valid", "validation", "val", "dev") for file in _files(path, part)]:
                logging.warning(
                    "%s: %s is not used: validation pairs are held out of the train file (validation_fraction)",
                    *(path, " and ".join(unused)),
                )
            return files
        if is_prepared(path):
            raise UserError(
                f"{path}: a prepared folder, which is streamed: set stream_window=8388608, or load its log instead"
            )
        parts = [file.name for file in sorted(path.iterdir()) if file.name.lower().endswith(SUFFIXES)]
        if len(parts) > 1:
            raise UserError(
                f"{path}: the folder has no train and test file, but {len(parts)} others, such as {parts[0]}; if they are "
                f"parts of one log, make one data set of them: onebp prepare --input={path} --out=prepared; else give one file"
            )
        raise UserError(f"{path}: the folder has no train and test file, such as train.csv and test.csv; give a file")
    if not path.exists() and path.name == name and not path.suffix:  # a word, not a path
        raise UserError(
            f"dataset={name!r}: no known set, expected {one_of(name, NAMES)}; {no_such('file or folder', path)}"
        )
    return [path]


def _find_in_catalogue(name: str, data_dir: str | os.PathLike | None, download: bool) -> list[Path]:
    folders = data_folders(data_dir)
    given, root = next(iter(folders.items()))
    if given != "cache" and not root.is_dir():
        raise UserError(f"{given}={root}: is not a folder; make it, or give another as data_dir or $ONEBP_DATA_DIR")
    for folder in folders.values():
        if files := _train_and_test(folder / name):
            return files
    install(name, folders["cache"] / name, root, download=download)
    return _train_and_test(folders["cache"] / name)


def data_folders(data_dir: str | os.PathLike | None = None) -> dict[str, Path]:
    """Where sets of the catalogue are looked for, in this order: what names each folder, and the folder.

    The data root is `data_dir`, else `$ONEBP_DATA_DIR`, else there is none; the per-user cache, "cache", comes last.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onebp_jax"
    given = {"data_dir": data_dir, "$ONEBP_DATA_DIR": os.environ.get("ONEBP_DATA_DIR")}
    roots = [(name, as_path(value, name)) for name, value in given.items() if value]
    return dict(roots[:1]) | {"cache": cache}


def _train_and_test(folder: Path) -> list[Path]:
    """The train and the test file of a folder; an empty list if it has neither."""
    found = []
    for part in ("train", "test"):
        files = _files(folder, part)
        if len(files) > 1:
            raise UserError(
                f"{folder}: has {' and '.join(file.name for file in files)}, expected one {part} file; move the others away"
            )
        found += files
    for file in found:
        check_rights(file)
    if len(found) == 1:
        raise UserError(f"{folder}: has only {found[0].name}, expected a train and a test file; add the other one")
    if found and len({is_lightgcn(file) for file in found}) == 2:
        raise UserError(f"{folder}: {found[0].name} and {found[1].name} differ in format; convert one of them")
    return found


def _files(folder: Path, part: str) -> list[Path]:
    """The files of a part of the data in a folder."""
    names = {part + end for end in SUFFIXES}
    there = sorted(folder.iterdir()) if folder.is_dir() else ()
    return [path for path in there if path.name.lower() in names and path.is_file()]
