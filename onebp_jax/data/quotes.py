"""Quotes that are not what they seem: refused with their line. pandas reads them in a way that nobody means."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from onebp_jax.errors import UserError


def check_swallowed(path: Path, frame: pd.DataFrame, text: str, separator: str, place: Callable[[int], str]) -> None:
    """Raises `UserError` if a field in quotes holds what looks like rows of the table: a stray quote swallowed them.

    A field that swallowed rows has no quotes inside. So its inner lines have as many separators as the header, and its last line
    has those before this column. A text that has line breaks and is meant passes: its commas are others, or have blanks after.
    """
    if max(map(text.count, "\n\r")) <= len(frame) + 1:
        return
    blank = f"{separator} "
    spaced = blank in text.lstrip().split("\n", 1)[0]
    for column_at, (name, column) in enumerate(frame.items()):
        for row in np.flatnonzero(column.str.contains(r"[\r\n]", regex=True, na=False)):
            _, *inner, last = str(column.iloc[row]).splitlines()
            as_rows = (
                all(line.count(separator) == frame.shape[1] - 1 for line in inner)
                and last.count(separator) >= column_at
            )
            if as_rows and (inner or column_at) and (spaced or not any(blank in line for line in (*inner, last))):
                raise UserError(
                    f"{path}: {place(int(row))}: the field {name} holds {len(inner) + 1} line(s) that look like rows, "
                    f"such as {(*inner, last)[0][:40]!r}; "
                    "is there a stray quote? remove it; write a text that is meant without line breaks"
                )


def check_after_quotes(path: Path, text: str, separator: str, skip_blanks: bool) -> None:
    """Raises `UserError` if text follows the closing quote of a field, such as `"a"b`; blanks may."""
    if not re.search(rf'[^{separator}\r\n]" *[^{separator}\r\n ]', text):  # a fast test: no quote is inside a field
        return
    bare = re.sub(rf'" +(?=[{separator}\r\n]|\Z)', '"', text)
    records = csv.reader(
        io.StringIO(bare, newline=None), delimiter=separator, skipinitialspace=skip_blanks, strict=True
    )
    try:
        for _ in records:
            pass
    except csv.Error as error:
        line = re.split(r"\r\n?|\n", bare)[records.line_num - 1].strip()[:60]
        raise UserError(
            f"{path}: line {records.line_num}: text follows a closing quote: {line!r}; double each quote inside a field in "
            "quotes, or take away the quotes around it"
        ) from error
