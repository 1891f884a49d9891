"""Files of interactions -> the columns user, item and, if the file has them, time and rating.

The ending of the name tells the format:

    .txt                  LightGCN text: each line is `user item item ...`, ids counted from 0
    .csv .tsv .parquet    a table with named columns, see `read_interactions`
    .inter                RecBole: separated by tabs, columns named `user_id:token`, `item_id:token`, `timestamp:float`
    u.data ratings.dat    MovieLens as unpacked, no header: user, item, rating, timestamp; separated by tabs or `::`

All formats but Parquet may be compressed (`.gz`, `.zip` with one file, `.zst`, `.bz2`, `.xz`). Text is UTF-8, or UTF-16 with a
byte order mark, or of the `encoding` given, or else cp1252 (Windows, Latin-1), with a warning.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from onebp_jax.data.beginnings import PACKED, check_packing, packing
from onebp_jax.data.blanks import BLANKS
from onebp_jax.data.column_names import check_distinct, check_names, index_as_columns, of_recbole
from onebp_jax.data.columns import Roles, choose_columns, interactions, say_columns_not_taken
from onebp_jax.data.lightgcn import read_lightgcn
from onebp_jax.data.packed import check_file, plain_name
from onebp_jax.data.paths import as_path
from onebp_jax.data.quotes import say_quotes
from onebp_jax.data.text_tables import LAYOUTS, layout_of, read_text_table
from onebp_jax.errors import NEEDS_PYARROW, UserError

_ENDS = (".txt", ".csv", ".tsv", ".inter")
SUFFIXES = (*(end + packed for end in _ENDS for packed in ("", *PACKED)), ".parquet")


class Table(NamedTuple):
    """A table from a file.

    Attributes:
      frame: all columns. is_text: whether they are text from a text file.
      place: where a row is, for messages: "line 7" or "row 6".
      in_quotes: which fields of a column stand in quotes, see `TextTable.in_quotes`.
      kinds: column -> its type, if the file is of RecBole.
    """

    frame: pd.DataFrame
    is_text: bool
    place: Callable[[int], str]
    in_quotes: Callable[[str], pd.Series | None] = lambda name: None
    kinds: dict[str, str] = {}


def is_lightgcn(path: Path) -> bool:
    """Whether the name is that of LightGCN text."""
    return plain_name(path).endswith(".txt")


def read_interactions(
    path: str | Path,
    *,
    user_column: str | None = None,
    item_column: str | None = None,
    time_column: str | None = None,
    rating_column: str | None = None,
    encoding: str = "",
) -> pd.DataFrame:
    """Reads one file of any of the formats above; the name tells which.

    Args:
      path: the file.
      user_column, item_column, time_column: names of columns. The default is the first that the file has of user,
        user_id, userId, uid; of item, item_id, itemId, movieId, iid; and of timestamp, time (a file may have no times;
        time_column="none" says that it has none).
      rating_column: the name of a column of numbers. By default ratings are not read.
      encoding: of a text file, such as "gbk"; empty: see above.
    Returns:
      The columns user and item, and time and rating (numbers) if they are read; one row per interaction, in file order.
      Ids are int64, or text if they are text in Parquet or integers would lose how they are written ("007").
    Raises:
      UserError: if the file is missing, damaged, empty, or not what its name says.
    """
    return read_roles(as_path(path, "path"), Roles.of(user_column, item_column, time_column, rating_column), encoding)


def read_roles(path: Path, roles: Roles, encoding: str = "", *, argument: str = "", say: bool = False) -> pd.DataFrame:
    """As `read_interactions`; `say` that a column of ratings is not used. A missing file is that of the `argument`."""
    if is_lightgcn(path):
        if any(roles[:4]) or roles.rated:
            raise UserError(f"{path}: LightGCN text has no columns to choose; leave user_column and the others out")
        frame = pd.DataFrame(read_lightgcn(path, argument), columns=["user", "item"])
        frame.attrs["file"] = path
        return frame
    table = read_table(path, encoding, argument)
    names = list(table.frame)
    columns = choose_columns(path, names, roles, table.kinds)
    if table.frame.empty:
        raise UserError(f"{path}: {without_rows(table.is_text)}; check the program that wrote it")
    if say:
        say_columns_not_taken(path, names, roles)
    roles = roles._replace(**columns)
    found = interactions(path, table.frame, roles, table.place, is_text=table.is_text)
    for role in ("user", "item"):
        say_quotes(f"{path}: the {role} ids", table.frame.loc[:, columns[role]], table.in_quotes(columns[role]))
    return found


def read_table(path: Path, encoding: str = "", argument: str = "") -> Table:
    """All columns of a table; the ending of the name tells the format. Raises as `read_interactions`."""
    layout = layout_of(path)
    if not layout and path.suffix.lower() != ".parquet":
        check_file(path, argument)
        ends = [end for end in SUFFIXES if not (is_lightgcn(path) and end.startswith(".txt"))]
        known = ", ".join(end for end in ends if not end.endswith(PACKED))
        if packing(path) in PACKED and not Path(path.stem).suffix:
            raise UserError(
                f"{path}: packed, and the name does not say what is inside; rename it, such as to {path.stem}.csv{path.suffix} "
                f"(or {known} before {path.suffix})"
            )
        raise UserError(f"{path}: unknown format; convert or rename to {known}, {' or '.join(list(LAYOUTS)[-2:])}")
    if not layout:
        frame = index_as_columns(path, _read_parquet(path, argument))
        return Table(check_names(path, frame), False, lambda row: f"row {row + 1}")
    table = read_text_table(path, layout, encoding, argument)
    frame, kinds = table.frame, {}
    if plain_name(path).endswith(".inter"):
        kinds = of_recbole(frame)
        frame = frame.rename(columns=lambda name: name.split(":")[0])
    places = {name.strip(BLANKS): place for place, name in enumerate(frame)}
    return Table(check_names(path, frame), True, table.place, lambda name: table.in_quotes(places[name]), kinds)


def without_rows(is_text: bool) -> str:
    """The error text for a table that has columns but no rows."""
    return "the file is empty: it has a header but no rows" if is_text else "the Parquet file has columns but no rows"


def _read_parquet(path: Path, argument: str) -> pd.DataFrame:
    check_file(path, argument)
    try:
        import pyarrow.parquet

        check_packing(path)
        check_distinct(path, pyarrow.parquet.read_schema(path).names)
        return pd.read_parquet(path)
    except ImportError as error:
        raise UserError(f"{path}: {NEEDS_PYARROW}, or convert it to CSV") from error
    except UserError:
        raise
    except (OSError, ValueError) as error:  # pyarrow raises a ValueError for a damaged file
        raise UserError(f"{path}: cannot be read as Parquet ({error!r}); write or copy the file again") from error
