"""The columns of a table that hold users, items, times and ratings: found by their usual names, or named; then checked."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.data.column_names import check_one_id, listed, same_name
from onebp_jax.data.header_rows import check_no_header
from onebp_jax.data.ids import check_unicode, clean_ids, numeric
from onebp_jax.data.times import check_kinds, say_rounded, to_times
from onebp_jax.errors import UserError

COLUMNS = {
    "user": ("user", "user_id", "userId", "uid"),
    "item": ("item", "item_id", "itemId", "movieId", "iid"),
    "time": ("timestamp", "time"),
}
# Columns that say how much a user liked an item. They are used only where a threshold asks for them.
RATINGS = ("rating", "ratings", "score", "stars", "plays", "playcount", "play_count", "count", "weight")

NO_COLUMN = "none"
# Types that pandas turns into numbers, and that are neither times nor ratings.
_NO_NUMBERS = (
    bool,
    np.bool_,
    bytes,
    complex,
    np.complexfloating,
    datetime.timedelta,
    np.timedelta64,
    pd.Period,
    pd.Interval,
)
_DATES = (datetime.date, np.datetime64)


class Roles(NamedTuple):
    """The names of columns; None for the usual ones.

    Attributes:
      rating: None for the usual ones if `rated`.
      rated: whether ratings are needed.
      timed: whether times are needed.
    """

    user: str | None = None
    item: str | None = None
    time: str | None = None
    rating: str | None = None
    rated: bool = False
    timed: bool = True

    @classmethod
    def of(cls, *names: object, rated: bool = False, timed: bool = True) -> Roles:
        """The roles by names as people give them: 0 is the column `0`, as names are text."""
        return cls(*(None if name is None else str(name) for name in names), rated=rated, timed=timed)  # type: ignore[arg-type]


def interactions(
    source: str | Path, table: pd.DataFrame, roles: Roles, place: Callable[[int], str], *, is_text: bool
) -> pd.DataFrame:
    """The columns user and item of a table, and time and rating if it has them; one row per interaction, in order.

    Args:
      source: what the table is, for messages. place: where a row is.
      is_text: whether all columns are text from a text file.
    Returns:
      The frame; `attrs["times"]` has an example of each kind of times, if the split needs them.

    Raises:
      UserError: a column is missing or has missing or wrong values; times only if they are needed.
    """
    columns = choose_columns(source, list(table), roles)
    found, attrs = {}, {}
    if is_text:
        check_no_header(source, table, {columns[role]: COLUMNS[role] for role in ("user", "item")}, place)
    for role, name in columns.items():
        column: pd.Series = table.loc[:, name].reset_index(drop=True)
        try:
            _check_missing(source, role, column, place)
            if role == "time":
                _check_types(source, role, column, _NO_NUMBERS, "numbers or dates")
                found[role], attrs["times"] = _times(source, column, place, timed=roles.timed)
            elif role == "rating":
                _check_types(source, role, column, (*_NO_NUMBERS, *_DATES), "numbers")
                found[role] = _ratings(source, name, column, place)
            else:
                found[role] = clean_ids(f"{source}: the {role} ids", column, place, is_text=is_text)
        except UserError as error:
            if role != "time" or roles.timed:
                raise
            logging.warning("%s: the times were not read, this split needs none", str(error).partition(", expected")[0])
    frame = pd.DataFrame(found)
    frame.attrs.update(attrs)
    return frame


def _check_missing(source: str | Path, role: str, column: pd.Series, place: Callable[[int], str]) -> None:
    missing = column.isna().to_numpy()
    if missing.any():
        raise UserError(
            f"{source}: missing values: {missing.sum()} in the {role} column, the first in {place(int(missing.argmax()))}, "
            "expected none; remove or fill these rows"
        )


def _check_types(source: str | Path, role: str, column: pd.Series, wrong: tuple[type, ...], expected: str) -> None:
    dtype = column.cat.categories.dtype if isinstance(column.dtype, pd.CategoricalDtype) else column.dtype
    kinds = set(map(type, column)) if pd.api.types.is_object_dtype(dtype) else {dtype.type}
    found = sorted(kind.__name__.rstrip("_") for kind in kinds if issubclass(kind, wrong))
    if found:
        raise UserError(
            f"{source}: the {role} column is of type {found[0]}, expected {expected}; convert it, or choose another with "
            f"{role}_column"
        )


def _times(
    source: str | Path, column: pd.Series, place: Callable[[int], str], *, timed: bool
) -> tuple[pd.Series, dict[str, str]]:
    """The times, and an example of each kind with its place, if the split needs times."""
    try:
        times, rows = to_times(source, column, place)
        said = {kind: f"{str(column.iloc[row])[:40]} in {place(row)}" for kind, row in rows.items()} if timed else {}
        check_kinds(source, said)
        if timed:
            say_rounded(source, column)
        return times, {kind: f"{where} of {Path(source).name}" for kind, where in said.items()}
    except UserError:
        raise
    except Exception:  # pyarrow has errors of its own
        check_unicode(f"{source}: the time column", column, place)
        raise


def choose_columns(
    source: str | Path, found: list[str], roles: Roles, kinds: dict[str, str] | None = None
) -> dict[str, str]:
    """Which column holds each role: user, item and, if there are any, time and rating; raises as `interactions`.

    Args:
      kinds: column -> its type in RecBole; by default the end of its name, such as `token_seq` of `items:token_seq`.
    """
    chosen = {}
    for role, defaults in (*COLUMNS.items(), ("rating", RATINGS)):
        asked = getattr(roles, role)
        if role == "rating" and not roles.rated and not asked:
            continue
        if role == "time" and asked == NO_COLUMN and NO_COLUMN not in found:
            continue
        wanted = (asked,) if asked else defaults
        column = next(filter(None, (same_name(source, name, found) for name in wanted)), None)
        if column:
            chosen[role] = column
        elif role in ("user", "item", "rating") or asked:
            near = [match for name in wanted for match in difflib.get_close_matches(name, found, 1, cutoff=0.5)]
            raise UserError(
                f"{source}: no {role} column: expected {' or '.join(wanted)}, the file has {listed(found)}"
                f"{f' (nearest: {near[0]})' if near else ''}; choose one with {role}_column"
            )
    if len(set(chosen.values())) < len(chosen):
        raise UserError(f"{source}: one column has two roles: {chosen}; choose different columns")
    for role in ("user", "item"):
        name = chosen[role]
        check_one_id(source, role, name, name.partition(":")[2] or (kinds or {}).get(name, ""))
    return chosen


def say_columns_not_taken(
    source: str | Path, found: list[str], roles: Roles, advice: str = "min_rating sets a threshold"
) -> None:
    """Warns of columns that are not taken: one of ratings that is not used, and further ones of usual names for a role."""
    _say_choice(source, found, roles)
    used = set(filter(None, roles[:3]))
    unused = [name for name in found if name == roles.rating or (name.lower() in RATINGS and name not in used)]
    if unused and not roles.rated:
        logging.warning(
            "%s: the column %s is not used, each row counts as one interaction; %s", source, unused[0], advice
        )


def _say_choice(source: str | Path, found: list[str], roles: Roles) -> None:
    """Warns of each role that is used, is not named and has several columns to choose from."""
    needed = {"user": True, "item": True, "time": roles.timed, "rating": roles.rated}
    for role, defaults in (*COLUMNS.items(), ("rating", RATINGS)):
        there = [name for name in defaults if name in found]
        if needed[role] and not getattr(roles, role) and len(there) > 1:
            logging.warning(
                "%s: the columns %s may hold the %ss; %s was taken, %s_column chooses another",
                *(source, listed(there), role, there[0], role),
            )


def _ratings(source: str | Path, name: str, column: pd.Series, place: Callable[[int], str]) -> pd.Series:
    """The ratings as numbers."""
    numbers = numeric(column)
    wrong = numbers.isna().to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError(
            f"{source}: the rating column {name} has {column.iloc[row]!r} in {place(row)}, expected numbers; correct it, or "
            "choose another column with rating_column"
        )
    return numbers
