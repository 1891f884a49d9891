"""Side information: a table with an id and further columns -> numbers and tokens, a row a user or an item.

    numbers              (x - mean) / standard deviation; a missing one is 0, the mean; a column without spread is 0
    `Comedy|Romance`     a token a value, and a token for the whole of a value without `|` (a category)
    `Lost World, The`    a token a lower-cased word that occurs in two rows or more: a word of one row alone would be another id

A column is numbers if every value in it is one. It is text, read by words, if some value has a blank and most values (what
`|` separates) occur once; else it holds categories. Rows have their tokens without order, at most `MOST_TOKENS` a column.
All tokens of a table share one vocabulary, and a word of the title is another token than the same word as a genre.

A column whose name is `id` or ends in `_id` or `Id` is left out unless it is asked for: it says nothing about a new item.
"""

from __future__ import annotations

import csv
import dataclasses
import difflib
from pathlib import Path

import numpy as np
import pandas as pd

from onebp_jax.data.dataset import Dataset, Features
from onebp_jax.data.ids import original_ids
from onebp_jax.data.readers import COLUMNS, listed, read_table, without_rows
from onebp_jax.errors import UserError

MOST_TOKENS = 64
_ENDS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")


def with_features(
    dataset: Dataset,
    wanted: dict[str, tuple[str, str | None]],
    columns: tuple[str, ...] = (),
    folder: Path | None = None,
) -> Dataset:
    """The data set with side information, and with the items that only the file of items has.

    Args:
      dataset: pairs without side information.
      wanted: for "user" and "item", the file ("" for none, "auto" for the one beside the set) and the name of its id column
        (None for the usual ones).
      columns: the columns to use, each of at least one of the files; empty for all but ids.
      folder: where the set is.
    Returns:
      Features have a row an internal id. New items come after the others, in the order of the file; users that only the file has
      are left out.
    Raises:
      UserError: a file that is missing or damaged, without an id column, with an id twice, with none of the set's ids, without a
        column to use; a column that no file has.
    """
    found = {}
    for tower, (file, id_column) in wanted.items():
        if file:
            path = _beside(folder, tower, dataset.name) if file == "auto" else Path(file).expanduser()
            found[tower] = path, *_read(path, tower, id_column)
    _check_columns(found, columns)
    for tower, (path, ids, frame) in found.items():
        used = [name for name in frame if (name in columns if columns else not _is_id(name))]
        known = getattr(dataset, f"{tower}_ids")
        keys, of_file = pd.Index(known.astype(str)), pd.Index(ids.astype(str))
        new = ~of_file.isin(keys)
        if new.all():
            raise UserError(f"{path}: none of its {len(ids)} ids is a known {tower}, such as {known[0]}; check the ids")
        if tower == "item" and new.any():
            both = (known, ids[new]) if known.dtype == ids.dtype == np.int64 else (keys, of_file[new])
            known = np.concatenate([np.asarray(part, None if part.dtype == np.int64 else np.str_) for part in both])
            keys = keys.append(of_file[new])
            dataset = dataclasses.replace(dataset, item_ids=known)
        features = to_features(frame[used].set_axis(of_file).reindex(keys), path)
        if not features.names:
            raise UserError(
                f"{path}: no column to use beside the id, expected features of each {tower}; it has {listed(frame)} (columns "
                "without values are of no use, and ids only where feature_columns names them)"
            )
        dataset = dataclasses.replace(dataset, **{f"{tower}_features": features})
    return dataset


def to_features(frame: pd.DataFrame, source: str | Path = "features") -> Features:
    """`Features` of a table, a row an id in the order of internal ids; a row without any value is all zeros and padding.

    Raises:
      UserError: an infinite number; the message begins with the `source` of the table.
    """
    numbers, tokens, names = [], [], []
    for name in frame:
        column = frame[name].reset_index(drop=True)
        if column.isna().all():
            continue
        values = _numbers(column)
        if values is not None:
            if np.isinf(values).any():
                row = np.isinf(values).argmax()
                raise UserError(
                    f"{source}: the column {name} has {str(column[row])[:40]} for the id {frame.index[row]}, expected numbers "
                    "of at most 1.8e308; mend it or leave it empty"
                )
            numbers.append(_standardised(values))
            names.append(f"{name}: numbers")
        else:
            kind, pairs = _tokens(column)
            tokens.append(pairs.groupby(level=0).head(MOST_TOKENS).radd(f"{name}="))
            names.append(f"{name}: {kind}")
    numeric = np.stack(numbers, 1) if numbers else np.zeros((len(frame), 0), np.float32)
    return Features(numeric, *_padded(tokens, len(frame)), tuple(names))


def parse_columns(text: str) -> tuple[str, ...]:
    """The names in a list separated by commas; one with a comma of its own is in double quotes, as in the header of a CSV file.

    parse_columns('title, "price, EUR"') == ("title", "price, EUR")
    """
    return tuple(filter(None, map(str.strip, next(csv.reader([text.replace("\n", " ")], skipinitialspace=True), []))))


def _numbers(column: pd.Series) -> np.ndarray | None:
    """`f64[N]`, NaN where missing, or None if some value is no number."""
    numbers = pd.to_numeric(column, errors="coerce")
    if (numbers.isna() & column.notna()).any() or not pd.api.types.is_numeric_dtype(numbers):
        return None
    # A date that is missing would come as the least of all integers.
    return numbers.where(column.notna()).to_numpy(np.float64, na_value=np.nan)


def _standardised(numbers: np.ndarray) -> np.ndarray:
    """`f32[N]`, finite, of numbers that are finite or NaN."""
    there = ~np.isnan(numbers)
    # By a power of two, which rounds nothing: the square of 1e200 would be infinite, that of 1e-200 zero.
    scaled = np.ldexp(np.where(there, numbers, 0), -np.frexp(np.abs(numbers[there]).max(initial=0))[1])
    values = scaled[there]
    deviation = values.std() if len(values) else 0.0
    # Equal numbers have a deviation of rounding errors.
    if deviation <= 1e-12 * np.abs(values).max(initial=0):
        return np.zeros(len(numbers), np.float32)
    return np.where(there, (scaled - values.mean()) / deviation, 0).astype(np.float32)


def _tokens(column: pd.Series) -> tuple[str, pd.Series]:
    """What the column holds, "values" or "words", and its distinct tokens, a row of the table in the index."""
    listed = column.map(lambda value: "|".join(map(str, value)) if isinstance(value, list | np.ndarray) else value)
    pieces = listed.dropna().astype(str).str.split("|").explode().str.strip()
    pieces = pieces[pieces != ""]
    kind = "values"
    if pieces.str.contains(r"\s").any() and pieces.nunique() > len(pieces) / 2:
        kind, pieces = "words", pieces.str.lower().str.findall(r"\w+").explode().dropna()
    pairs = pieces[~pd.MultiIndex.from_arrays([pieces.index, pieces]).duplicated()]
    if kind == "words":
        pairs = pairs[pairs.map(pairs.value_counts()) > 1]
    return kind, pairs


def _padded(tokens: list[pd.Series], rows: int) -> tuple[np.ndarray, int]:
    """`i32[N, L]` and `V`; numbers of tokens in the order of their names, so that the order of rows and files has no part."""
    joined = pd.concat(tokens) if tokens else pd.Series([], dtype=str)
    codes, vocabulary = pd.factorize(joined, sort=True)
    row = joined.index.to_numpy(np.int64)
    order = np.lexsort((codes, row))
    row, codes = row[order], codes[order]
    counts = np.bincount(row, minlength=rows)
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    padded = np.full((rows, counts.max(initial=0)), len(vocabulary), np.int32)
    padded[row, place] = codes
    return padded, len(vocabulary)


def _read(path: Path, tower: str, id_column: str | None) -> tuple[np.ndarray, pd.DataFrame]:
    """The ids of a file, int64 or text, and its other columns."""
    frame, is_text = read_table(path)
    usual = ((id_column,) if id_column else ()) + COLUMNS[tower]
    column = next((name for name in usual if name in frame), None)
    if column is None:
        raise UserError(
            f"{path}: no id column: expected {' or '.join(usual)}, the file has {listed(frame)}; "
            f"rename one or set {tower}_column"
        )
    if frame.empty:
        raise UserError(f"{path}: {without_rows(is_text)}, expected one for each {tower}")
    ids = frame.pop(column)
    if ids.isna().any():
        raise UserError(f"{path}: {ids.isna().sum()} ids are missing in the column {column}; fill or remove them")
    ids = original_ids(ids, is_text)
    ids = ids if getattr(ids, "dtype", None) == np.int64 else np.asarray(ids, np.str_)
    repeated = pd.Index(ids).duplicated()
    if repeated.any():
        raise UserError(
            f"{path}: {repeated.sum()} ids occur twice, the first is {ids[repeated][0]}; keep one row an id"
        )
    return ids, frame


def _beside(folder: Path | None, tower: str, name: str) -> Path:
    for end in _ENDS if folder else ():
        if (folder / f"{tower}s{end}").is_file():
            return folder / f"{tower}s{end}"
    where = f"in {folder}" if folder else f"beside {name}"
    raise UserError(
        f"{tower}_features='auto': there is no {tower}s.csv {where}; put it there, or give the path of a file"
    )


def _check_columns(found: dict, columns: tuple[str, ...]) -> None:
    if columns and not found:
        raise UserError(f"feature_columns={','.join(columns)!r} is for item_features or user_features: set one of them")
    there = [name for *_, frame in found.values() for name in frame]
    for name in columns:
        if name not in there:
            near = difflib.get_close_matches(name, there, 1, 0.5)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            if any("," in other for other in there):
                hint += ' (write a name with a comma in quotes, "a, b")'
            raise UserError(f"feature_columns: there is no column {name!r}{hint}, the files have {listed(there)}")


def _is_id(name: str) -> bool:
    return name == "id" or name.endswith(("_id", "Id"))
