"""Events as people give them: checked."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.data.blanks import BLANKS, BREAKS
from onebp_jax.errors import UserError
from onebp_jax.serving.ids import row_index, rows_of

# A sum of heavier events would leave the range of float32.
MOST_WEIGHT = 1e6
# Columns that tell more of an event than is asked for.
_TELLING = {"time": "time", "timestamp": "time", "weight": "weight", "rating": "weight"}


def time_of(time: Any, known: np.ndarray | None = None) -> float | None:
    """A time as a number: as it is given, or, of a date, the seconds since 1970 (UTC); None stays None.

    Args:
      known: times of the data.

    Raises:
      UserError: neither; or it is a date, and the times of the data are numbers that are no seconds since 1970.
    """
    if time is None:
        return None
    if isinstance(time, datetime.date | np.datetime64) and known is not None and not _seconds(known):
        raise UserError(
            f"time={time!r}: the times of the data are numbers, such as {known[0]}: give a number like these"
        )
    if isinstance(time, datetime.date | np.datetime64) and not pd.isna(time):
        date = pd.Timestamp(time)
        return (date.tz_localize(None) if date.tz is None else date.tz_convert(None)).value / 1e9
    number = _number(time)
    if number is None:
        raise UserError(
            f"time={time!r}: expected a number, such as seconds since 1970, or a datetime or pandas.Timestamp"
        )
    return number


def _seconds(known: np.ndarray) -> bool:
    """Whether times are dates, or numbers that are seconds since 1970: of the years 1973 to 2286."""
    return known.dtype.kind == "M" or not len(known) or bool((known > 1e8).all() and (known < 1e10).all())


def weight_of(weight: Any, dislikes: bool = False) -> float:
    """A weight as a number; raises `UserError` unless it is above 0, or with `dislikes` not 0, and at most a million."""
    number = _number(weight)
    if number is None or not 0 < (abs(number) if dislikes else number) <= MOST_WEIGHT:
        expected = f"a number above 0, at most {MOST_WEIGHT:g}" + (", or below 0 for a dislike" if dislikes else "")
        raise UserError(f"weight={weight!r}: expected {expected}")
    return number


def _number(value: Any) -> float | None:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        return None
    try:
        return float(value) if np.isfinite(float(value)) else None
    except OverflowError:
        return None


def one(ids: list, name: str) -> Any:
    """The only id of a list; raises `UserError` if there are others or none."""
    if len(ids) != 1:
        raise UserError(f"{name}: {len(ids)} ids, expected one")
    return ids[0]


def new_id(given: Any, known: np.ndarray, name: str = "user") -> int | str:
    """An id that training did not know, of the kind of the known ones; raises `UserError`, naming it, if it is none."""
    if isinstance(given, float | np.floating) and float(given).is_integer():
        given = int(given)
    if known.dtype.kind == "i":
        if not re.fullmatch(r"0|-?[1-9][0-9]{0,18}", str(given)) or not -(2**63) <= int(given) < 2**63:
            raise UserError(f"{name}={given!r}: expected an integer, as the ids of the run are")
        return int(str(given))
    text = str(given) if isinstance(given, int | np.integer) and not isinstance(given, bool) else given
    if not isinstance(text, str) or not text.strip(BLANKS):
        raise UserError(f"{name}={given!r}: expected an id, a text that is not blank or an integer")
    if text != text.strip(BLANKS) or set(BREAKS) & set(text) or not _is_unicode(text):
        raise UserError(f"{name}={given!r}: an id has no blanks around it, no line break and only Unicode text")
    return text


def _is_unicode(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


def weights_of(disliked: int, liked: int, weights: Iterable[float] | None) -> list[float]:
    """-1 for each disliked item, then the weights of the liked ones, 1 by default; raises `UserError` if they do not fit."""
    given = [1.0] * liked if weights is None else _listed("weights", weights, liked)
    return [-1.0] * disliked + [weight_of(value) for value in given]


def times_of(count: int, times: Iterable | None, known: np.ndarray | None = None) -> list[float] | None:
    """Times as numbers; None for none. Raises `UserError` if they do not fit."""
    if times is None:
        return None
    made = [time_of(value, known) for value in _listed("times", times, count)]
    if None in made:
        raise UserError("times: one is None; give a time for each item, or none at all")
    return [value for value in made if value is not None]


def _listed(name: str, values: Any, count: int) -> list:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise UserError(f"{name}={values!r:.80}: expected one of each item")
    if len(values := list(values)) != count:
        raise UserError(f"{name}: {len(values)} for {count} items, expected one of each")
    return values


def columns_of_events(
    events: pd.DataFrame, user: str, item: str, time: str | None, weight: str | None, known: np.ndarray | None = None
) -> tuple[list, list, list, list]:
    """Users, items, times (None each without a column) and weights (1) of a frame of events, oldest first.

    Args:
      known: times of the data.

    Raises:
      UserError: a column is missing, or has a value that is none.
    """
    if not isinstance(events, pd.DataFrame):
        raise UserError(f"events: of type {type(events).__name__}, expected a DataFrame with a row for each event")
    names, used = events.columns.tolist(), [column for column in (user, item, time, weight) if column]
    for role, column in zip(("user", "item", "time", "weight"), (user, item, time, weight), strict=True):
        if not column:
            continue
        if names.count(column) != 1:
            found = "2 columns" if column in names else "no column"
            has = (
                f"the frame has {', '.join(map(str, names))}: name one, as in {role}={str(names[0])!r}"
                if names
                else "the frame is empty"
            )
            raise UserError(f"{role}={column!r}: {found} {column!r}; {has}")
        if missing := int(np.sum(pd.isna(np.asarray(events[column])))):
            raise UserError(f"column {column}: missing values in {missing} row(s); remove or fill them")
    if len(set(used)) < len(used):
        raise UserError(f"user={user!r}, item={item!r}, time={time!r}, weight={weight!r}: expected different columns")
    for name in names:
        if (role := _TELLING.get(str(name).lower())) and name not in used:
            says = (
                f"; give {role}={name!r} if it is the {role} of events"
                if (time, weight)[role == "weight"] is None
                else ""
            )
            logging.warning("events: the column %s is not used%s", name, says)
    times: list = [None] * len(events) if time is None else [time_of(value, known) for value in events[time].tolist()]
    weights = (
        [1.0] * len(events) if weight is None else [weight_of(one, dislikes=True) for one in events[weight].tolist()]
    )
    order = range(len(events)) if time is None else np.argsort(times, kind="stable").tolist()
    columns = (events[user].tolist(), events[item].tolist(), times, weights)
    users, items, times, weights = ([column[place] for place in order] for column in columns)
    return users, items, times, weights


def events_of(
    config, path: str | os.PathLike, data_dir: str | os.PathLike | None, in_order: bool = False
) -> pd.DataFrame:
    """The events of a file with the columns of a run's data: user, item, and time where the run needs the order of events.

    Args:
      in_order: the times are needed, and the events are sorted by them.
    """
    from onebp_jax.serving.fitting import load_more, load_ordered  # they train; whoever only serves does without

    if in_order:
        data = load_more(config, path, data_dir, split="time", test_fraction=0.0)
    else:
        data = load_ordered(config, path, data_dir)
    users, items = data.train.T
    frame = pd.DataFrame({"user": data.user_ids[users], "item": data.item_ids[items]})
    if data.train_times is None:
        return frame
    frame = frame.assign(time=data.train_times)
    return frame.sort_values("time", kind="stable", ignore_index=True) if in_order else frame


def known_items(events: pd.DataFrame, item_ids: np.ndarray, skip_unknown: bool) -> pd.DataFrame:
    """The events with items that a run knows; raises `UserError` for others unless they are skipped, with a warning."""
    index = row_index(item_ids)
    rows_of(events["item"], index, "history: item", skip_unknown)
    return events.loc[[str(one) in index for one in events["item"].tolist()]]
