"""Names of columns, also those of an index: different ones, found in another Unicode form, shown in messages."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from absl import logging

from onebp_jax.data.blanks import BLANKS
from onebp_jax.errors import UserError


def check_names(source: str | Path, table: pd.DataFrame) -> pd.DataFrame:
    """The table with the names of its columns as text without blanks around them, and without columns that have no name.

    Dictionaries of Arrow, which pandas takes for none of its types, become their values.

    Raises:
      UserError: two columns have one name.
    """
    table = table.set_axis([str(name).strip(BLANKS) for name in table], axis=1)
    table = table.loc[:, [bool(name) for name in table]]
    check_distinct(source, list(table))
    encoded = {name: kind for name, kind in table.dtypes.items() if str(kind).startswith("dictionary<")}
    values = {name: pd.ArrowDtype(kind.pyarrow_dtype.value_type) for name, kind in encoded.items()}
    return table.astype(values) if values else table


def check_distinct(source: str | Path, names: list[str]) -> None:
    """Raises `UserError` if two columns have one name."""
    twice = pd.Index(names).duplicated()
    if twice.any():
        raise UserError(
            f"{source}: two columns are called {names[twice.argmax()]!r}, expected different names; rename one"
        )


def index_as_columns(source: str | Path, table: pd.DataFrame) -> pd.DataFrame:
    """The table with those levels of its index as columns that have a name; says if a column of this name is another."""
    names = {place: name for place, name in enumerate(table.index.names) if name is not None}
    check_distinct(source, list(map(str, names.values())))
    for place, name in names.items():
        same = [column for column in table if column == name]
        if len(same) == 1 and not table.index.get_level_values(place).equals(pd.Index(table[name])):
            logging.warning(
                "%s: the index %r has other values than the column of this name, which was taken", source, name
            )
    levels = [name for name in names.values() if name not in table.columns]
    return table.reset_index(level=levels) if levels else table


def same_name(source: str | Path, name: str, found: list[str]) -> str | None:
    """The column of this name; where only the Unicode form differs, this is said; None: there is none."""
    alike = [one for one in found if unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", name)]
    if name in found or len(alike) != 1:
        return name if name in found else None
    logging.warning("%s: the column %r was taken for %r, they differ by Unicode form only", source, alike[0], name)
    return alike[0]


def of_recbole(names: Iterable[str]) -> dict[str, str]:
    """The plain names of columns as RecBole writes them -> their types: `user_id:token` -> "token"."""
    parts = [name.strip(BLANKS).partition(":") for name in names]
    return {name: kind.strip(BLANKS) for name, _, kind in parts}


def check_one_id(source: str | Path, role: str, name: str, kind: str) -> None:
    """Raises `UserError` if a type of RecBole says that a field of the column holds several ids."""
    if kind in ("token_seq", "float_seq"):
        raise UserError(
            f"{source}: the {role} column {name} is of type {kind}, several ids in one field; expected one {role} in each row: "
            f"write a row for each, or choose another column with {role}_column"
        )


def listed(columns: Iterable[str]) -> str:
    """Column names for a message: quoted if they have a comma, escaped if they cannot be printed, cut if they are long."""
    names = [name[:40] if name[:40].isprintable() else repr(name[:40]) for name in columns]
    names = [f'"{name}"' if "," in name else name for name in names]
    return ", ".join(names[:20]) + (" ..." if len(names) > 20 else "") or "none"
