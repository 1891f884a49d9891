"""Text files with one row per line -> tables whose columns are all text. Only an empty field is a missing value."""

from __future__ import annotations

import csv
import io
import re
import warnings
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd
from absl import logging

from onebp_jax.data.decoding import check_is_table, decode, without_lines_before_header
from onebp_jax.data.ids import numeric
from onebp_jax.data.packed import plain_name, read_bytes
from onebp_jax.data.quotes import (
    check_after_quotes,
    check_swallowed,
    mark_needless_quotes,
    without_blanks_before_quotes,
)
from onebp_jax.errors import UserError


class Layout(NamedTuple):
    """How lines are cut.

    Attributes:
      separator: what stands between fields. quotes: whether quotes mean something.
      names: the columns of a file without a header.
    """

    separator: str
    quotes: bool = True
    names: tuple[str, ...] = ()


RAW = ("user", "item", "rating", "timestamp")
LAYOUTS = {  # ending of the name -> layout
    ".csv": Layout(","),
    ".tsv": Layout("\t"),
    ".inter": Layout("\t", quotes=False),
    "u.data": Layout("\t", False, RAW),
    "ratings.dat": Layout("::", False, RAW),
}


class TextTable(NamedTuple):
    """A table from a text file.

    Attributes:
      frame: all columns, as text.
      text: what was parsed. layout: how.
    """

    frame: pd.DataFrame
    text: str
    layout: Layout

    def place(self, row: int) -> str:
        """Where a row of the frame is: "line 7" is where it ends. Slow: for messages only."""
        wanted, records = row + (1 if self.layout.names else 2), _records(self.text, self.layout)
        for fields in records:
            wanted -= bool(fields)
            if not wanted:
                break
        return f"line {records.line_num}"

    def in_quotes(self, column: int) -> pd.Series | None:
        """Which fields of a column have quotes around them without need, if others have none; None: all are alike."""
        if not self.layout.quotes or '"' not in self.text:
            return None
        marked = mark_needless_quotes(self.text, self.layout.separator, column)
        if marked is None:
            return None
        fields = _parse(Path(), marked, self.layout).iloc[:, column]
        return fields.fillna("") != self.frame.iloc[:, column].fillna("")


def layout_of(path: Path) -> Layout | None:
    """The layout that the name of a text file tells; None for another format."""
    return next((layout for end, layout in LAYOUTS.items() if plain_name(path).endswith(end)), None)


def read_text_table(path: Path, layout: Layout, encoding: str = "", argument: str = "") -> TextTable:
    """Reads a text file; raises `UserError` with the line at fault if it is not a table."""
    text = decode(path, read_bytes(path, argument), encoding)
    check_is_table(path, text)
    if not layout.names:
        text = without_lines_before_header(path, text, layout.separator)
    first, separator = text.lstrip().split("\n", 1)[0], layout.separator
    if separator not in first:
        other = next((repr(other) for other in ("\t", "::", *";|, ") if other in first), None)
        found = f"wrong separator: found {other}" if other else "one column only: found no separator"
        raise UserError(
            f"{path}: {found} in the first line {first[:60]!r}, expected {separator!r} because of the name; repair, "
            "rename or convert it (.csv: comma, .tsv: tab)"
        )
    if separator == "::":  # pandas reads a separator of two characters in a slow Python loop
        text, layout = text.replace(separator, "\t"), layout._replace(separator="\t")
    elif layout.quotes and '"' in text:
        text = without_blanks_before_quotes(path, text, separator)
    table = TextTable(_parse(path, text, layout), text, layout)
    if layout.names:
        _check_first(path, table)
    if re.search(r"[\r\n]#\s", text):
        _say_comments(path, table)
    if layout.quotes and '"' in text:
        check_swallowed(path, table.frame, text, separator, table.place)
        check_after_quotes(path, text, separator)
    return table


def _parse(path: Path, text: str, layout: Layout) -> pd.DataFrame:
    names = list(layout.names) or next(filter(None, _records(text, layout)))
    options = {
        **{"sep": layout.separator, "header": None if layout.names else 0, "index_col": False},
        **{"dtype": str, "keep_default_na": False, "na_values": [""], "quoting": _quoting(layout)},
    }
    at = ""
    # Numbers in place of names: pandas would rename a name that is there twice.
    for columns in (len(names), None):
        if columns is None:  # lines may end in empty fields
            columns, at = _widest(text, layout, len(names))
            if at:
                break
        try:
            with warnings.catch_warnings():  # pandas only warns when it drops surplus fields
                warnings.simplefilter("error", pd.errors.ParserWarning)
                frame = pd.read_csv(io.StringIO(text), names=range(columns), **options)  # type: ignore[arg-type]
            if _has_blank_fields(text, layout):
                frame = frame.mask(frame.apply(lambda column: column.str.fullmatch(" +").fillna(False).astype(bool)))
            return frame.loc[:, : len(names) - 1].set_axis(names, axis=1)
        except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
            if "EOF inside string" in str(error):
                raise UserError(
                    f"{path}: {_last_record(text, layout)}: a quote that never closes; remove it, or close it"
                ) from error
            at = f" ({error!r})"
    raise UserError(f"{path}: not every line has the columns of the first{at}; repair the file")


def _quoting(layout: Layout) -> Literal[0, 3]:
    return csv.QUOTE_MINIMAL if layout.quotes else csv.QUOTE_NONE


def _records(text: str, layout: Layout):
    """The lines of the text as lists of fields; `line_num` is the line where the last one ends."""
    csv.field_size_limit(max(len(text), csv.field_size_limit()))
    lines = io.StringIO(text, newline=None)  # every kind of line end becomes one
    return csv.reader(lines, delimiter=layout.separator, quoting=_quoting(layout))


def _last_record(text: str, layout: Layout) -> str:
    """Where the last record begins."""
    records, before, end = _records(text, layout), 0, 0
    for _ in records:
        before, end = end, records.line_num
    return f"line {before + 1}"


def _has_blank_fields(text: str, layout: Layout) -> bool:
    """Whether some field may hold blanks alone; the fast test comes first."""
    if not (text.startswith(" ") or f"{layout.separator} " in text or "\n " in text):
        return False
    return bool(re.search(rf"(?:^|{layout.separator}) +(?:{layout.separator}|\r|$)", text, re.MULTILINE))


def _widest(text: str, layout: Layout, columns: int) -> tuple[int, str]:
    """The most fields of a line, and where the first line with too many is: one with more than an empty field there."""
    widest, records = columns, _records(text, layout)
    for fields in records:
        if any(fields[columns:]):
            return len(fields), f": line {records.line_num} has {len(fields)} fields, the first has {columns}"
        widest = max(widest, len(fields))
    return widest, ""


def _check_first(path: Path, table: TextTable) -> None:
    """Raises `UserError` if a file without a header has one: its first line has words for the numbers, or begins with user."""
    first = table.frame.iloc[0]
    numbers = first.iloc[2:].dropna()
    if str(first.iloc[0]).strip().casefold().startswith("user") or (len(numbers) and numeric(numbers).isna().all()):
        raise UserError(
            f"{path}: {table.place(0)}: a header, {','.join(map(str, first.dropna()))[:60]!r}, expected none in a file of this "
            "name; remove the line, or convert the file to .csv"
        )


def _say_comments(path: Path, table: TextTable) -> None:
    """Warns of rows that look like comments."""
    comments = table.frame.iloc[:, 0].str.match(r"#\s").fillna(False).to_numpy(bool)
    if 0 < comments.mean() < 0.5:
        logging.warning(
            "%s: %d rows begin with '#', the first in %s; they were read as rows: remove them if they are comments",
            *(path, comments.sum(), table.place(int(comments.argmax()))),
        )
