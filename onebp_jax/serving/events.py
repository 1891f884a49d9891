"""Events as people give them: checked."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from onebp_jax.errors import UserError, one_of
from onebp_jax.serving.ids import row_index, rows_of


def check_event(time: Any, weight: Any) -> None:
    """Raises `UserError` unless a time is a finite number or None, and a weight a positive number."""
    is_number = lambda value: (
        isinstance(value, int | float | np.number) and not isinstance(value, bool) and np.isfinite(value)
    )
    if time is not None and not is_number(time):
        raise UserError(f"time={time!r}: expected a number, such as seconds since 1970")
    if not is_number(weight) or weight <= 0:
        raise UserError(f"weight={weight!r}: expected a number above 0")


def weights_of(disliked: int, liked: int, weights: Iterable[float] | None) -> list[float]:
    """-1 for each disliked item, then the weights of the liked ones, 1 by default; raises `UserError` if they do not fit."""
    given = [1.0] * liked if weights is None else list(weights)
    if len(given) != liked:
        raise UserError(f"weights: {len(given)} for {liked} items, expected one of each")
    for one in given:
        check_event(None, one)
    return [-1.0] * disliked + given


def columns_of_events(events: pd.DataFrame, user: str, item: str, time: str | None) -> tuple[list, list, list]:
    """Users, items and times (None each without a column) of a frame of events, oldest first; raises `UserError`."""
    if not isinstance(events, pd.DataFrame):
        raise UserError(f"events: of type {type(events).__name__}, expected a DataFrame with a row for each event")
    names = events.columns.tolist()
    for column in filter(None, (user, item, time)):
        if column not in names:
            raise UserError(f"no column {column!r}, expected {one_of(column, list(map(str, names)))}")
        if missing := int(np.sum(pd.isna(np.asarray(events[column])))):
            raise UserError(f"column {column}: missing values in {missing} row(s); remove or fill them")
    if time is None:
        return events[user].tolist(), events[item].tolist(), [None] * len(events)
    events = events.sort_values(time, kind="stable")
    times = np.asarray(events[time])
    if times.dtype.kind == "M":
        times = times.astype("datetime64[ns]").astype(np.int64) / 1e9
    if times.dtype.kind not in "iuf":
        raise UserError(f"column {time}: of type {events[time].dtype}, expected numbers or dates")
    return events[user].tolist(), events[item].tolist(), times.tolist()


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
