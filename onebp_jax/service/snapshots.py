"""`live_users.npz`: users as they were after so many records, so that a start replays only what came later.

A snapshot is of one run and one log. It is only a saving of time: without it, or with one that does not fit, the log is replayed
from its beginning.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging

from onebp_jax.errors import UserError
from onebp_jax.service.log import EventLog
from onebp_jax.service.model import Model
from onebp_jax.serving.histories import History
from onebp_jax.training.files import read_npz, write_npz

_LISTS = ("items", "weights", "times", "others")
_NAMES = ("head", "rows", "sums", *_LISTS, "lengths")


class Snapshot(NamedTuple):
    """What `take` found: see `LiveUsers.events_since`."""

    head: dict
    new_ids: list
    histories: dict[int, History]


def take(model: Model) -> Snapshot:
    """A copy of the users as they are now; quick, the work is in `write`."""
    return Snapshot({"seq": model.seq, "run": model.identity}, *model.live.events_since())


def write(path: Path, snapshot: Snapshot, log: EventLog) -> None:
    """Writes it in place of an earlier one; raises OSError or `LogUnavailable` if it cannot."""
    histories = list(snapshot.histories.values())
    head = json.dumps(snapshot.head | _place(log, snapshot.head["seq"]) | {"new_ids": snapshot.new_ids})
    columns = {
        name: np.array([value for one in histories for value in getattr(one, name)], kind)
        for name, kind in zip(_LISTS, (np.int64, np.float64, np.float64, np.int64), strict=True)
    }
    arrays = {
        "head": np.frombuffer(head.encode(), np.uint8),
        "rows": np.array(list(snapshot.histories), np.int64),
        "sums": np.stack([one.sums for one in histories]) if histories else np.zeros((0, 0, 0), np.float32),
        "lengths": np.array([[len(one.items), len(one.others)] for one in histories], np.int64).reshape(-1, 2),
    }
    write_npz(path, arrays | columns)


def _place(log: EventLog, seq: int) -> dict[str, object]:
    """What tells a log up to a record from other logs, and from a copy of the log that went on in another way."""
    return {"log": log.name, "received": log.received(seq)}


def restore(path: Path, model: Model, log: EventLog) -> bool:
    """Gives a model the users of a snapshot; False, with a line that says why, if it does not fit."""
    if not path.exists():
        return False
    try:
        arrays = read_npz(path, _NAMES)
        head = json.loads(arrays["head"].tobytes())
        expected = {"run": model.identity} | _place(log, head["seq"])
        if any(head[name] != value for name, value in expected.items()):
            logging.info("%s: of another run or log, so all events are read again", path)
            return False
        histories = _histories(arrays)
        _check(model, head["new_ids"], histories)
    except (UserError, ValueError, KeyError, TypeError, IndexError) as error:
        logging.warning("%s: cannot be used (%s), so all events are read again", path, error)
        return False
    model.live.restore(head["new_ids"], histories)
    model.seq = head["seq"]
    return True


def _check(model: Model, new_ids: list, histories: dict[int, History]) -> None:
    """Raises ValueError, or `UserError`, for what this run cannot have."""
    users, items = len(model.user_ids) + len(new_ids), len(model.item_ids)
    shape = model.live.of_events([]).sums.shape
    if any(user is not None and model.user_id(str(user)) != user for user in new_ids):
        raise ValueError("an id is not one of a new user")
    for row, one in histories.items():
        known = [*one.items, *one.others]
        fits = 0 <= row < users and one.sums.shape == shape and len(one.have) == len(one.items)
        finite = np.isfinite(one.sums).all() and np.isfinite(one.weights).all() and not np.isnan(one.times).any()
        if not (fits and finite and all(0 <= item < items for item in known)):
            raise ValueError(f"row {row} is no user of the run")


def _histories(arrays: dict[str, np.ndarray]) -> dict[int, History]:
    totals = arrays["lengths"].sum(0).tolist()
    if [len(arrays[name]) for name in _LISTS] != [totals[0]] * 3 + [totals[1]]:
        raise ValueError("its parts do not fit together")
    made, own, others = {}, 0, 0
    for row, sums, (count, further) in zip(
        arrays["rows"].tolist(), arrays["sums"], arrays["lengths"].tolist(), strict=True
    ):
        items, weights, times = (arrays[name][own : own + count].tolist() for name in _LISTS[:3])
        made[row] = History(sums, items, weights, times, arrays["others"][others : others + further].tolist())
        own, others = own + count, others + further
    return made
