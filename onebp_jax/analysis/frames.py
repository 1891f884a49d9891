"""Frames in long form: rows that are wanted, and their means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd


def rows_of(frame: pd.DataFrame, **wanted: object) -> pd.DataFrame:
    """The rows whose columns have these values: `rows_of(frame, model="onebp", k=20)`."""
    for column, value in wanted.items():
        frame = frame.loc[frame[column] == value]
    return frame


def with_columns(frame: pd.DataFrame, **columns: object) -> pd.DataFrame:
    """The frame with constant columns before its own."""
    return pd.DataFrame(columns, index=frame.index).join(frame)


def means(frame: pd.DataFrame, by: Sequence[str], value: str) -> dict[tuple, float]:
    """The mean of a column for each combination of the others that occurs; NaN counts for none."""
    mean: Any = frame.groupby(list(by), as_index=False)[value].mean()
    return dict(zip(zip(*(mean[column] for column in by), strict=True), mean[value], strict=True))
