"""Files of side information, added to a data set: each has one id column, and one row per user or item.

A column is left out unless it is asked for if its name is `id` or ends in `_id` or `Id`: it says nothing about a new item.
"""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.data.column_names import check_names, check_one_id, index_as_columns, listed, same_name
from onebp_jax.data.columns import COLUMNS
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.features import to_features
from onebp_jax.data.header_rows import check_no_header
from onebp_jax.data.ids import clean_ids, int64_or_text
from onebp_jax.data.paths import as_path
from onebp_jax.data.quotes import say_quotes
from onebp_jax.data.readers import Table, read_table, without_rows
from onebp_jax.data.rights import check_rights
from onebp_jax.errors import UserError

_ENDS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")


def with_features(
    dataset: Dataset,
    wanted: dict[str, tuple[str, str | None]],
    columns: tuple[str, ...] = (),
    folder: Path | None = None,
    encoding: str = "",
) -> Dataset:
    """The data set with side information, and with the items that only the file of items has.

    Args:
      dataset: pairs without side information.
      wanted: for "user" and "item", the file and the name of its id column. The file is "" for none, "auto" for the one
        beside the set; the name is None for the usual ones.
      columns: the columns to use, each of at least one of the files; empty for all but ids.
      folder: where the set is. encoding: of text files, see `read_interactions`.
    Returns:
      The data set, its features with one row per internal id. New items follow the others, in the order of the file.
      Users that only the file has are left out.
    Raises:
      UserError: a file is missing or damaged, has no id column, an id twice, none of the set's ids, or no column to use; no
        file has one of the columns.
    """
    found = {}
    for tower, (file, id_column) in wanted.items():
        if file:
            path = _beside(folder, tower, dataset.name) if file == "auto" else as_path(file, f"{tower}_features")
            found[tower] = path, *read_by_id(path, tower, id_column, encoding)
    columns = _known_columns(found, columns)
    for tower, (path, ids, frame) in found.items():
        dataset = _add(dataset, tower, path, ids, frame, columns)
    return dataset


def _add(
    dataset: Dataset, tower: str, path: Path, ids: np.ndarray, frame: pd.DataFrame, columns: tuple[str, ...]
) -> Dataset:
    """The data set with the side information of one tower, and with the new items if they are items."""
    known = getattr(dataset, f"{tower}_ids")
    keys, of_file = (pd.Index([str(one) for one in each.tolist()]) for each in (known, ids))
    new = ~of_file.isin(keys)
    if new.all():
        raise UserError(f"{path}: none of its {len(ids)} ids is a known {tower}, such as {known[0]}; check the ids")
    if tower == "item" and new.any():
        both = (known, ids[new]) if known.dtype == ids.dtype == np.int64 else (keys, of_file[new])
        keys = keys.append(of_file[new])
        dataset = dataclasses.replace(dataset, item_ids=np.concatenate([int64_or_text(part) for part in both]))
    _say_cover(path, tower, known=len(known), covered=int((~new).sum()), new=int(new.sum()))
    used = [name for name in frame if (name in columns if columns else not _is_id(name))]
    features = to_features(frame.loc[:, used].set_axis(of_file).reindex(keys), path)
    if not features.names:
        raise UserError(
            f"{path}: no column to use beside the id, expected features of each {tower}; it has {listed(frame)} (columns "
            "without values are not used, and ids only if feature_columns names them)"
        )
    return dataclasses.replace(dataset, **{f"{tower}_features": features})


def _say_cover(path: Path, tower: str, *, known: int, covered: int, new: int) -> None:
    """Says how many users or items have no row in their file, and what becomes of rows of new ones."""
    if covered < known:
        logging.warning(
            "%s: has rows for %s of %s %ss; the others have no features",
            *(path, f"{covered:,}", f"{known:,}", tower),
        )
    if new:
        what = (
            "are items without pairs and join the catalogue" if tower == "item" else "are of unknown users and left out"
        )
        logging.warning("%s: %s more rows %s", path, f"{new:,}", what)


def read_by_id(
    source: Path | pd.DataFrame, tower: str, id_column: str | None, encoding: str = ""
) -> tuple[np.ndarray, pd.DataFrame]:
    """The ids of a file or frame of users or items, int64 or text, and its other columns.

    Args:
      source: one row per user or item. tower: "user" or "item". id_column: the column of ids; None for its usual spellings.
      encoding: of a text file, see `read_interactions`.

    Raises:
      UserError: there is no such file or column, it has no rows, or an id is missing or twice.
    """
    path = "the frame" if isinstance(source, pd.DataFrame) else source
    if isinstance(source, pd.DataFrame):
        table = Table(check_names(path, index_as_columns(path, source)), False, lambda row: f"row {row + 1}")
    else:
        check_rights(source)
        table = read_table(source, encoding, f"{tower}_features")
    frame, is_text, place, in_quotes, kinds = table
    usual = (() if id_column in (None, "") else (str(id_column),)) + COLUMNS[tower]
    column = next(filter(None, (same_name(path, name, list(frame)) for name in usual)), None)
    if column is None:
        raise UserError(
            f"{path}: no id column: expected {' or '.join(usual)}, the file has {listed(frame)}; "
            f"rename one or set {tower}_column"
        )
    check_one_id(path, tower, column, kinds.get(column, ""))
    if frame.empty:
        raise UserError(f"{path}: {without_rows(is_text)}, expected one for each {tower}")
    if is_text:
        check_no_header(path, frame, {str(frame.columns[-1]): (), column: COLUMNS[tower]}, place)
    given: pd.Series = frame.loc[:, column]
    if given.isna().any():
        row = int(given.isna().to_numpy().argmax())
        raise UserError(
            f"{path}: {given.isna().sum()} ids are missing in the column {column}, the first in {place(row)}; fill or remove them"
        )
    say_quotes(f"{path}: the {tower} ids", given, in_quotes(column))
    ids = int64_or_text(clean_ids(f"{path}: the {tower} ids", given.reset_index(drop=True), place, is_text=is_text))
    repeated = pd.Index(ids).duplicated()
    if repeated.any():
        raise UserError(
            f"{path}: {repeated.sum()} ids occur twice, the first is {ids[repeated][0]}; keep one row per id"
        )
    return ids, frame.drop(columns=column)


def _beside(folder: Path | None, tower: str, name: str) -> Path:
    """The file of side information in the folder of the set."""
    if folder:
        for end in _ENDS:
            if (folder / f"{tower}s{end}").is_file():
                return folder / f"{tower}s{end}"
    where = f"in {folder}" if folder else f"beside {name}"
    raise UserError(
        f"{tower}_features='auto': there is no {tower}s.csv {where}; put it there, or give the path of a file"
    )


def _known_columns(found: dict, columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns to use, as the files write them. Raises `UserError` if no file has one of them, or if there is no file."""
    if columns and not found:
        raise UserError(f"feature_columns={','.join(columns)!r} is for item_features or user_features: set one of them")
    there = [name for *_, frame in found.values() for name in frame]
    columns = tuple(same_name("feature_columns", name, there) or name for name in columns)
    for name in columns:
        if name not in there:
            near = difflib.get_close_matches(name, there, 1, 0.5)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            if any("," in other for other in there):
                hint += ' (write a name with a comma in quotes, "a, b")'
            raise UserError(
                f"feature_columns={','.join(columns)!r}: there is no column {name!r}{hint}, the files have {listed(there)}"
            )
    return columns


def _is_id(name: str) -> bool:
    return name == "id" or name.endswith(("_id", "Id"))
