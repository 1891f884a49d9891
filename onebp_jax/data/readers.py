"""Files of interactions -> the columns user, item and, if the file has it, time.

The ending of the name tells the format:

    .txt                  LightGCN text: each line is `user item item ...`, ids counted from 0
    .csv .tsv .parquet    a table with named columns, see `read_interactions`
    .inter                RecBole: separated by tabs, columns named `user_id:token`, `item_id:token`, `timestamp:float`
    u.data ratings.dat    MovieLens as unpacked, no header: user, item, rating, timestamp; separated by tabs or `::`

All formats but Parquet may be compressed (`.gz`). Text is UTF-8, or else Latin-1. Every rating counts as an interaction.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import warnings
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from onebp_jax.data.columns import Roles, choose_columns, interactions, say_unused_ratings
from onebp_jax.errors import NEEDS_PYARROW, UserError

RAW = {"header": None, "names": ["user", "item", "rating", "timestamp"], "quoting": csv.QUOTE_NONE}
LAYOUTS = {  # ending of the name -> options of pandas.read_csv
    ".csv": {"sep": ","},
    ".tsv": {"sep": "\t"},
    ".inter": {"sep": "\t", "quoting": csv.QUOTE_NONE},
    "u.data": {"sep": "\t", **RAW},
    "ratings.dat": {"sep": "::", **RAW},
}
MOST = np.iinfo(np.int32).max  # the largest id
LIGHTGCN = (".txt", ".txt.gz")
SUFFIXES = (*LIGHTGCN, ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".inter", ".inter.gz", ".parquet")


def read_interactions(
    path: str | Path,
    *,
    user_column: str | None = None,
    item_column: str | None = None,
    time_column: str | None = None,
    rating_column: str | None = None,
) -> pd.DataFrame:
    """Reads one file of any of the formats above; the name tells which.

    Args:
      path: the file.
      user_column, item_column, time_column: names of columns. The default is the first that the file has of user,
        user_id, userId, uid; of item, item_id, itemId, movieId, iid; and of timestamp, time (a file may have no times).
      rating_column: the name of a column of numbers. By default ratings are not read.
    Returns:
      The columns user and item, and time and rating (numbers) if they are read; one row per interaction, in file order.
      Ids are int64, or text if they are text in Parquet or integers would lose how they are written ("007").
    Raises:
      UserError: if the file is missing, damaged, empty, or not what its name says.
    """
    return read_roles(Path(path), Roles(user_column, item_column, time_column, rating_column))


def read_roles(path: Path, roles: Roles, *, say: bool = False) -> pd.DataFrame:
    """As `read_interactions`; `say` that a column of ratings is not used."""
    if path.name.endswith(LIGHTGCN):
        if any(roles[:4]) or roles.rated:
            raise UserError(f"{path}: LightGCN text has no columns to choose; leave user_column and the others out")
        return pd.DataFrame(read_lightgcn(path), columns=["user", "item"])
    table, is_text = read_table(path)
    choose_columns(path, list(table), roles)
    if table.empty:
        raise UserError(f"{path}: {without_rows(is_text)}; check the program that wrote it")
    if say:
        say_unused_ratings(path, list(table), roles)
    return interactions(path, table, is_text, roles)


def read_table(path: Path) -> tuple[pd.DataFrame, bool]:
    """All columns of a table, and whether the file is text; the ending of the name tells the format.

    Raises as `read_interactions`.
    """
    layout = next((LAYOUTS[end] for end in LAYOUTS if path.name.removesuffix(".gz").endswith(end)), None)
    if not layout and path.suffix != ".parquet":
        _check_file(path)
        ends = SUFFIXES[len(LIGHTGCN) if path.name.endswith(LIGHTGCN) else 0 :]
        raise UserError(f"{path}: unknown format; convert or rename to {', '.join(ends)}, u.data or ratings.dat")
    frame = _read_text(path, layout) if layout else _read_parquet(path)
    return frame.rename(columns=str), bool(layout)


def without_rows(is_text: bool) -> str:
    """The error text for a table that has columns but no rows."""
    return "the file is empty: it has a header but no rows" if is_text else "the Parquet file has columns but no rows"


def read_lightgcn(path: str | Path) -> np.ndarray:
    """Reads LightGCN text (lines `user item item ...`) as `int32[P, 2]`, columns user and item, in file order.

    Raises:
      UserError: as `read_interactions`, and for a token that is not an integer from 0 to 2**31 - 1; it names the line.
    """
    data = _read_bytes(Path(path))
    lines = data.splitlines()
    lengths = np.array([len(line.split()) for line in lines])
    try:
        ids = np.fromstring(data, dtype=np.int64, sep=" ")
    except (ValueError, DeprecationWarning):
        ids = np.empty(0, np.int64)
    if len(ids) != lengths.sum() or ids.min() < 0 or ids.max() > MOST:
        _explain(path, lines)
    lengths = lengths[lengths > 0]
    is_user = np.zeros(len(ids), bool)
    is_user[np.cumsum(lengths) - lengths] = True
    return np.stack([np.repeat(ids[is_user], lengths - 1), ids[~is_user]], axis=1).astype(np.int32)


def _explain(path: str | Path, lines: list[bytes]) -> None:
    """Raises `UserError` for the first token that is not an id; slow, but it names the line."""
    for row, line in enumerate(lines, 1):
        for token in line.split():
            if not re.fullmatch(rb"\d{1,10}", token) or int(token) > MOST:
                problem = "ids out of range" if re.fullmatch(rb"-?\d+", token) else "not an integer"
                raise UserError(
                    f"{path}: line {row}: {problem}: {token[:40].decode(errors='replace')!r}; LightGCN text is 'user "
                    f"item item ...' with ids from 0 to {MOST}: convert to CSV (columns user,item; name .csv)"
                )


def _check_file(path: Path) -> None:
    """Raises `UserError` unless the path is a file; the message lists the files that the folder has."""
    if path.is_file():
        return
    folder = path if path.is_dir() else path.parent
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    there = ", ".join(names[:10]) + (" ..." if len(names) > 10 else "") or "nothing"
    what = "is a folder, expected a file" if path.is_dir() else "no such file"
    raise UserError(f"{path}: {what}; in {folder} there is {there}; check the path")


def _read_bytes(path: Path) -> bytes:
    """The content of a text file, unpacked, without a UTF-8 byte order mark."""
    _check_file(path)
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" and data else data
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read or unpacked ({error}); copy or download the file again") from error
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise UserError(f"{path}: the file is empty, expected rows; check the program that wrote it")
    if b"\0" in data:
        raise UserError(
            f"{path}: binary data or UTF-16 (byte {data.index(0)} is 0), expected text in UTF-8 or Latin-1; convert or rename it"
        )
    return data


def _read_text(path: Path, layout: dict) -> pd.DataFrame:
    """All columns, as text."""
    data = _read_bytes(path)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    first, separator = text.lstrip().split("\n", 1)[0], layout["sep"]
    if separator not in first:
        other = next((repr(other) for other in ("\t", "::", *";|, ") if other in first), None)
        found = f"wrong separator: found {other}" if other else "one column only: found no separator"
        raise UserError(
            f"{path}: {found} in the first line {first[:60]!r}, expected {separator!r} because of the name; repair, "
            "rename or convert it (.csv: comma, .tsv: tab)"
        )
    if separator == "::":  # pandas reads a separator of two characters in a slow Python loop
        text, layout = text.replace(separator, "\t"), {**layout, "sep": "\t"}
    try:
        with warnings.catch_warnings():  # pandas only warns when it drops surplus fields
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(io.StringIO(text), dtype=str, index_col=False, skipinitialspace=True, **layout)
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise UserError(f"{path}: not every line has the columns of the first ({error!r}); repair the file") from error
    return frame.rename(columns=lambda name: name.split(":")[0]) if layout is LAYOUTS[".inter"] else frame


def _read_parquet(path: Path) -> pd.DataFrame:
    _check_file(path)
    try:
        return pd.read_parquet(path)
    except ImportError as error:
        raise UserError(f"{path}: {NEEDS_PYARROW}, or convert it to CSV") from error
    except (OSError, ValueError) as error:  # pyarrow raises a ValueError for a damaged file
        raise UserError(f"{path}: cannot be read as Parquet ({error!r}); write or copy the file again") from error
