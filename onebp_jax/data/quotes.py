"""Quotes that are not what they seem: refused with their line, or said. pandas reads them in a way that nobody means.

Quotes around a whole field belong to the format, in files separated by commas or tabs: `"Heroes"` and `Heroes` are one id.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from absl import logging

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


def check_after_quotes(path: Path, text: str, separator: str) -> None:
    """Raises `UserError` if text follows the closing quote of a field, such as `"a"b`; blanks may."""
    if not re.search(rf'[^{separator}\r\n]" *[^{separator}\r\n ]', text):  # a fast test: no quote is inside a field
        return
    bare = re.sub(rf'" +(?=[{separator}\r\n]|\Z)', '"', text)
    records = csv.reader(io.StringIO(bare, newline=None), delimiter=separator, strict=True)
    try:
        for _ in records:
            pass
    except csv.Error as error:
        line = re.split(r"\r\n?|\n", bare)[records.line_num - 1].strip()[:60]
        raise UserError(
            f"{path}: line {records.line_num}: text follows a closing quote: {line!r}; double each quote inside a field in "
            "quotes, or take away the quotes around it"
        ) from error


def without_blanks_before_quotes(path: Path, text: str, separator: str) -> str:
    """The text without blanks between a separator and the quote that opens a field; says how many fields had them."""
    if not re.search(rf'(?:^|[{separator}\r\n]) +"', text):  # a fast test
        return text
    spaced = 0

    def bare(found: re.Match[str]) -> str:
        nonlocal spaced
        spaced += bool(found[2])
        return found[1] + found[3]

    # Whole fields are matched, so that what is inside quotes stays.
    text = re.sub(rf'(^|[{separator}\r\n])( *)("[^"]*(?:""[^"]*)*")', bare, text)
    if spaced:
        logging.warning("%s: %d fields in quotes have blanks before the quotes; the blanks were left out", path, spaced)
    return text


def mark_needless_quotes(text: str, separator: str, column: int) -> str | None:
    """The text with quotes that nothing needs as a part of their fields; None if all fields of the column are alike."""
    field = rf'(?:"[^"]*(?:""[^"]*)*"|[^{separator}"\r\n][^{separator}\r\n]*|)'
    needless = rf'"([^{separator}"\r\n]+)"(?=[{separator}\r\n]|\Z)'
    begin = rf"[\r\n](?:{field}{separator}){{{column}}}"
    if not (re.search(begin + needless, text) and re.search(rf'{begin}[^{separator}"\r\n]', text)):
        return None
    return re.sub(rf"(^|[{separator}\r\n]){needless}", r'\1"""\2"""', text)


def say_quotes(what: str, column: pd.Series, in_quotes: pd.Series | None) -> None:
    """Warns that ids are written with and without quotes: each kind of program writes one id in one way.

    Args:
      what: whose ids they are, for messages. column: the ids, without quotes. in_quotes: see `TextTable.in_quotes`.
    """
    if in_quotes is None:
        return
    quoted, plain = (pd.Series(column.loc[which].dropna().unique()) for which in (in_quotes, ~in_quotes))
    both = quoted.loc[quoted.isin(plain)]
    words = [ids.loc[ids.str.fullmatch(r"\w+")] for ids in (quoted, plain)]  # some programs quote all that is no word
    if not len(both) and not (len(words[0]) and len(words[1])):
        return
    logging.warning(
        '%s: %d of %d stand in quotes that they do not need, such as "%s"; the quotes were left out, and %d of these ids are '
        'also there without; write quotes that belong to an id three times: """%s"""',
        *(what, in_quotes.sum(), len(column), quoted.iloc[0][:40], len(both), quoted.iloc[0][:40]),
    )
