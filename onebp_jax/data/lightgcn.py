"""LightGCN text: each line is `user item item ...`, ids counted from 0, one line for each user."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from absl import logging

from onebp_jax.data.packed import read_bytes
from onebp_jax.errors import UserError

MOST = np.iinfo(np.int32).max  # the largest id
_ADVICE = "convert to CSV (columns user,item; name .csv)"


def read_lightgcn(path: str | Path, argument: str = "") -> np.ndarray:
    """Reads LightGCN text (lines `user item item ...`) as `int32[P, 2]`, columns user and item, in file order.

    A user may have several lines, unless all lines are of one width: that is a table such as `user item rating`.

    Raises:
      UserError: as `read_interactions`, and for a token that is not an integer from 0 to 2**31 - 1; it names the line.
    """
    data = read_bytes(Path(path), argument).removeprefix(b"\xef\xbb\xbf")
    if b"\0" in data:
        raise UserError(
            f"{path}: binary data or UTF-16 (byte {data.index(0)} is 0), expected digits and blanks; convert it"
        )
    lines = data.splitlines()
    lengths = np.array([len(line.split()) for line in lines])
    try:
        ids = np.fromstring(data, dtype=np.int64, sep=" ")
    except (ValueError, DeprecationWarning):
        ids = np.empty(0, np.int64)
    if len(ids) != lengths.sum() or ids.min() < 0 or ids.max() > MOST:
        _explain(path, lines)
    full = np.flatnonzero(lengths)
    lengths = lengths[full]
    is_user = np.zeros(len(ids), bool)
    is_user[np.cumsum(lengths) - lengths] = True
    users = ids[is_user]
    if len(lengths) > 1 and lengths.min() == lengths.max() > 2:
        _check_table(path, users, int(lengths[0]), full + 1)
    if alone := int((lengths == 1).sum()):
        logging.warning(
            "%s: %d lines have a user and no items, the first is line %d; they give no pairs",
            path,
            alone,
            full[lengths.argmin()] + 1,
        )
    return np.stack([np.repeat(users, lengths - 1), ids[~is_user]], axis=1).astype(np.int32)


def place_of(path: Path, role: str, number: int) -> str:
    """Where an id comes first in a file that was read: "train.txt: line 7". Slow: for messages only."""
    lines = read_bytes(path).removeprefix(b"\xef\xbb\xbf").splitlines()
    ids = lambda line: line.split()[:1] if role == "user" else line.split()[1:]
    return f"{path}: line {next(row for row, line in enumerate(lines, 1) if number in map(int, ids(line)))}"


def _check_table(path: str | Path, users: np.ndarray, width: int, lines: np.ndarray) -> None:
    """Lines of one width: refused if a user has two of them, else a warning where they may be a table."""
    _, first, counts = np.unique(users, return_index=True, return_counts=True)
    if (counts > 1).any():
        user = users[first[counts > 1].min()]
        once, again = lines[np.flatnonzero(users == user)[:2]]
        raise UserError(
            f"{path}: lines {once} and {again} begin with {user}, and each line has {width} numbers: this is a table such as "
            f"'user item rating', not LightGCN text ('user item item ...', one line for each user); {_ADVICE}"
        )
    if width <= 4 and len(lines) >= 10:
        logging.warning(
            "%s: each line has %d numbers and was read as a user with %d items; if it is a table such as 'user item rating', %s",
            *(path, width, width - 1, _ADVICE),
        )


def _explain(path: str | Path, lines: list[bytes]) -> None:
    """Raises `UserError` for the first token that is not an id; slow, but it names the line."""
    for row, line in enumerate(lines, 1):
        for token in line.split():
            if not re.fullmatch(rb"\d{1,10}", token) or int(token) > MOST:
                problem = "ids out of range" if re.fullmatch(rb"-?\d+", token) else "not an integer"
                raise UserError(
                    f"{path}: line {row}: {problem}: {token[:40].decode(errors='replace')!r}; LightGCN text is 'user "
                    f"item item ...' with ids from 0 to {MOST}: {_ADVICE}"
                )
