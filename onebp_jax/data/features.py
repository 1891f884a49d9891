"""Side information: a table with further columns -> numbers and tokens, one row per user or item.

    numbers              (x - mean) / standard deviation; 0, the mean, if missing; 0 everywhere if all values are equal
    `Comedy|Romance`     one token per value; a value without `|` is one token as a whole (a category)
    `Lost World, The`    one token per lower-cased word that occurs in two rows or more: a word of one row alone is only an id

A column is numbers if every value in it is a number. It is text, and read by words, if some value has a blank and most
values (between `|`) occur once. Otherwise it holds categories; if most values are numbers, a warning says so.
The tokens of a row have no order; a column gives a row at most `MOST_TOKENS`. All tokens of a table share one
vocabulary. A word of the title and the same word as a genre are two tokens.

`onebp_jax.data.feature_files` reads such tables from files and adds them to a data set.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.data.dataset import Features
from onebp_jax.data.ids import numeric
from onebp_jax.data.pairs import row_places
from onebp_jax.errors import UserError

MOST_TOKENS = 64


def to_features(frame: pd.DataFrame, source: str | Path = "features") -> Features:
    """`Features` of a table with one row per internal id, in their order; a row without values is all zeros and padding.

    Raises:
      UserError: an infinite number; the message begins with the `source` of the table.
    """
    numbers, tokens, names = [], [], []
    for name, column in frame.items():
        column = column.reset_index(drop=True)
        if column.isna().all():
            continue
        values = _numbers(column)
        if values is not None:
            if np.isinf(values).any():
                row = np.isinf(values).argmax()
                raise UserError(
                    f"{source}: the column {name} has {str(column[row])[:40]} for the id {frame.index[row]}, expected numbers "
                    "of at most 1.8e308; correct it or leave it empty"
                )
            numbers.append(_standardised(values))
            names.append(f"{name}: numbers")
        else:
            _say_text_among_numbers(source, name, column.set_axis(frame.index))
            kind, pairs = _tokens(column)
            tokens.append(pairs.groupby(level=0).head(MOST_TOKENS).radd(f"{name}="))
            names.append(f"{name}: {kind}")
    standardised = np.stack(numbers, 1) if numbers else np.zeros((len(frame), 0), np.float32)
    return Features(standardised, *_padded(tokens, len(frame)), tuple(names))


def parse_columns(text: str) -> tuple[str, ...]:
    """The names in a list separated by commas; a name with a comma is in double quotes, as in the header of a CSV file.

    parse_columns('title, "price, EUR"') == ("title", "price, EUR")
    """
    return tuple(filter(None, map(str.strip, next(csv.reader([text.replace("\n", " ")], skipinitialspace=True), []))))


def _numbers(column: pd.Series) -> np.ndarray | None:
    """`f64[N]`, NaN where missing; None if some value is not a number."""
    numbers = numeric(column)
    if (numbers.isna() & column.notna()).any() or not pd.api.types.is_numeric_dtype(numbers):
        return None
    # pandas turns a missing date into the smallest integer.
    return numbers.where(column.notna()).to_numpy(np.float64, na_value=np.nan)


def _say_text_among_numbers(source: str | Path, name: object, column: pd.Series) -> None:
    """Warns of a column that is no numbers although most of its values are."""
    there = column.dropna()
    text: pd.Series = there.loc[numeric(there).isna()]
    if len(text) < len(there) / 2:
        logging.warning(
            "%s: the column %s has %d numbers, and %d values that are none, such as %s for the id %s; all were read as "
            "categories; only an empty field is a missing value",
            *(source, name, len(there) - len(text), len(text), repr(text.iloc[0])[:40], text.index[0]),
        )


def _standardised(numbers: np.ndarray) -> np.ndarray:
    """`f32[N]`, finite, of numbers that are finite or NaN."""
    there = ~np.isnan(numbers)
    # Dividing by a power of two rounds nothing. Without it the square of 1e200 is infinite and that of 1e-200 zero.
    scaled = np.ldexp(np.where(there, numbers, 0), -np.frexp(np.abs(numbers[there]).max(initial=0))[1])
    values = scaled[there]
    deviation = values.std() if len(values) else 0.0
    # The deviation of equal numbers is rounding error.
    if deviation <= 1e-12 * np.abs(values).max(initial=0):
        return np.zeros(len(numbers), np.float32)
    return np.where(there, (scaled - values.mean()) / deviation, 0).astype(np.float32)


def _tokens(column: pd.Series) -> tuple[str, pd.Series]:
    """What the column holds ("values" or "words"), and the distinct tokens of each row; the index is the row."""
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
    """`i32[N, L]` and `V`. Tokens are numbered by name, so the order of rows and files does not matter."""
    joined = pd.concat(tokens) if tokens else pd.Series([], dtype=str)
    codes, vocabulary = pd.factorize(joined, sort=True)
    row = joined.index.to_numpy(np.int64)
    order = np.lexsort((codes, row))
    row, codes = row[order], codes[order]
    counts = np.bincount(row, minlength=rows)
    place = row_places(np.zeros_like(counts), counts)
    padded = np.full((rows, counts.max(initial=0)), len(vocabulary), np.int32)
    padded[row, place] = codes
    return padded, len(vocabulary)
