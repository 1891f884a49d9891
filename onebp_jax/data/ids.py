"""Original ids -> internal ids that count from 0, and columns of a table as numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from onebp_jax.errors import UserError


def number_ids(
    frames: list[pd.DataFrame], *, indexed: bool, sizes: tuple[int, int] | None = None
) -> tuple[list[pd.DataFrame], np.ndarray, np.ndarray]:
    """Replaces the ids in the columns user and item of the frames by internal ids.

    Args:
      frames: as `read_interactions` returns them. The ids of all frames together are numbered by first appearance.
      indexed: True if the ids are already internal ids (LightGCN text, a matrix); then they are only checked.
      sizes: `(M, N)` of indexed ids; None: up to the largest id.
    Returns:
      The frames with int32 ids, the original user ids `[M]` and item ids `[N]` (int64 or text).
    Raises:
      UserError: if indexed ids have such large gaps that most rows of a table would never be used.
    """
    frames = [frame.copy() for frame in frames]
    originals = []
    for column, role in enumerate(("user", "item")):
        joined = _join([frame.loc[:, role] for frame in frames])
        if indexed:
            codes = joined.to_numpy()
            original = np.arange(sizes[column], dtype=np.int64) if sizes else _dense_ids(codes, role)
        else:
            codes, original = pd.factorize(joined)
            original = int64_or_text(original)
        originals.append(original)
        ends = np.cumsum([len(frame) for frame in frames])
        for frame, part in zip(frames, np.split(codes.astype(np.int32), ends[:-1]), strict=True):
            frame[role] = part
    return frames, originals[0], originals[1]


def renumber(
    frames: list[pd.DataFrame], user_ids: np.ndarray, item_ids: np.ndarray
) -> tuple[list[pd.DataFrame], np.ndarray, np.ndarray]:
    """Numbers the internal ids that the frames still use anew, by first appearance; returns as `number_ids`."""
    frames, users, items = number_ids(
        [frame.astype({"user": np.int64, "item": np.int64}) for frame in frames], indexed=False
    )
    return frames, user_ids[users], item_ids[items]


def original_ids(column: pd.Series, is_text: bool) -> np.ndarray | pd.api.extensions.ExtensionArray:
    """The ids of a column, int64 or text.

    Ids from a text file (`is_text`) become integers if each of them is written as Python writes that integer.
    """
    codes, originals = pd.factorize(column)  # there are far fewer ids than rows
    text = pd.Series(originals).astype(str)
    if is_text or not isinstance(originals[0], str):
        try:
            numbers = text.to_numpy(dtype=np.str_).astype(np.int64)
            if (numbers.astype(np.str_) == text).all():
                return numbers[codes]
        except (ValueError, OverflowError):
            pass
    return text.array.take(codes)


def int64_or_text(ids: np.ndarray | pd.Index | pd.api.extensions.ExtensionArray) -> np.ndarray:
    """The ids as a NumPy array: int64 stays, anything else becomes text."""
    return np.asarray(ids, None if ids.dtype == np.int64 else np.str_)


def numeric(column: pd.Series) -> pd.Series:
    """The values as numbers; NaN if a value is missing or not a number."""
    return pd.Series(pd.to_numeric(column, errors="coerce"))


def to_numbers(path: str | Path, column: pd.Series) -> pd.Series:
    """Numbers as they are, dates as nanoseconds since 1970; raises `UserError` for any other value."""
    times = numeric(column)
    if times.isna().any():
        dates = pd.to_datetime(column, errors="coerce", format="ISO8601", utc=True)
        wrong = dates.isna().to_numpy()
        if wrong.any():
            raise UserError(
                f"{path}: the time column has {column.iloc[wrong.argmax()]!r}, expected numbers, or dates such as "
                "2024-01-31T12:00:00; convert it, or choose another column with time_column"
            )
        times = dates.dt.as_unit("ns").astype(np.int64)
    return times


def _join(columns: list[pd.Series]) -> pd.Series:
    """Concatenates the columns, as text unless all of them are integers: 7 and "007" are two ids."""
    if not all(pd.api.types.is_integer_dtype(column) for column in columns):
        columns = [column.astype(str) for column in columns]
    return pd.concat(columns, ignore_index=True)


def _dense_ids(ids: np.ndarray, role: str) -> np.ndarray:
    """`0..max`, if the ids use a reasonable part of that range."""
    size, distinct = int(ids.max(initial=-1)) + 1, len(pd.unique(ids))
    if size > 4 * distinct + 1000:
        raise UserError(
            f"{role} ids out of range: they run up to {size - 1} but only {distinct} are used; "
            "LightGCN text needs ids counted from 0 without large gaps: convert to CSV with columns user and item"
        )
    return np.arange(size, dtype=np.int64)
