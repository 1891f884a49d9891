"""Ids that are matched with those of an earlier set or run: it is said where they may mean other users or items."""

from __future__ import annotations

from typing import Any

import numpy as np
from absl import logging

ROLES = ("user", "item")


def say_matched(what: str, known: Any, given: Any) -> None:
    """Warns where one has integers and the other text, and where only the given ids are numbers from 0, as of a matrix.

    Args:
      what: the given set, for messages. known, given: both have `user_ids` and `item_ids`, int64 or text.
    """
    then, now = ([getattr(data, f"{role}_ids") for role in ROLES] for data in (known, given))
    if all(np.array_equal(known_ids, ids[: len(known_ids)]) for known_ids, ids in zip(then, now, strict=True)):
        return  # the known ids, perhaps with new ones after them
    for role, known_ids, ids in zip(ROLES, then, now, strict=True):
        say_matched_kinds(f"{what}: its {role} ids", known_ids, ids)
    if all(ids.dtype.kind == "i" for ids in (*then, *now)) and _are_numbers(now) and not _are_numbers(then):
        logging.warning(
            "%s: its users and items are the numbers 0 to %d and 0 to %d, as rows and columns of a matrix; the ids so far are "
            "others, such as %s and %s: they were taken for the same kind of ids",
            *(what, len(now[0]) - 1, len(now[1]) - 1, then[0][-1], then[1][-1]),
        )


def say_matched_kinds(what: str, known: np.ndarray, given: np.ndarray) -> None:
    """Warns if one has integers and the other text: they are matched as text."""
    if len(known) and len(given) and (known.dtype.kind == "i") != (given.dtype.kind == "i"):
        kinds = [
            f"{'integers' if ids.dtype.kind == 'i' else 'text'} such as {ids.tolist()[0]!r}" for ids in (given, known)
        ]
        logging.warning("%s are %s, those so far are %s: they were matched as text", what, *kinds)


def _are_numbers(of_roles: list[np.ndarray]) -> bool:
    """Whether users and items are all numbers from 0 on, in any order."""
    return all(len(ids) > 1 and np.array_equal(np.sort(ids), np.arange(len(ids))) for ids in of_roles)
