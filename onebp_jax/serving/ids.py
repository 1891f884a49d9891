"""Original ids, as a person gives them, to rows of the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
from absl import logging

from onebp_jax.errors import UserError, closest, no_such

# Not more ids are compared with an unknown one letter by letter.
_MOST_COMPARED = 20_000


def row_index(known: np.ndarray) -> dict[str, int]:
    """The row of each original id, by its text: `7`, `np.int64(7)` and `"7"` are the same id.

    Args:
      known: the original ids, by row.
    """
    return {str(original): row for row, original in enumerate(known.tolist())}


def like_it(text: str, known: Iterable[str], write: Callable[[str], str] = repr) -> str:
    """`"; the nearest: A, B"`: known ids like a text, first those that differ in marks and case only; if there are none, any ids.

    Args:
      write: how an id is shown.
    """
    plain = lambda one: "".join(filter(str.isalnum, one.casefold()))
    known, wanted = list(known), plain(text)
    same = [one for one in known if plain(one) == wanted]
    alike = islice((one for one in known if plain(one)[:2] == wanted[:2]), _MOST_COMPARED)
    near = list(dict.fromkeys([*same, *closest(text, alike, 3, 0.6)]))
    return f"; {'the nearest:' if near else 'known ids are such as'} {', '.join(map(write, (near or known)[:3]))}"


def rows_of(
    ids: Iterable[object],
    index: Mapping[str, int],
    name: str = "users",
    skip_unknown: bool | None = None,
    write: Callable[[str], str] = repr,
) -> np.ndarray:
    """The rows of ids.

    Args:
      ids: original ids. index: see `row_index`. name: what the message calls the argument, "users" or "items".
      skip_unknown: leave unknown ids out, with a warning that counts them; None: the caller has no such option.
      write: how the message shows known ids.

    Returns:
      `int[n]`, in the order of the ids; an id that is given twice has its row twice.

    Raises:
      UserError: an id is unknown, and `skip_unknown` is not true. It shows the nearest known ids.
    """
    texts = [str(one) for one in ids]
    rows = np.array([index.get(text, -1) for text in texts], np.int64)
    if (unknown := rows < 0).any():
        first = texts[int(unknown.argmax())]
        found = f"{name}={first!r}: not an id of the run ({unknown.sum()} of the {len(rows)} given ids are unknown)"
        if not skip_unknown:
            advice = ", or set skip_unknown=True" if skip_unknown is False else ""
            raise UserError(f"{found}{like_it(first, index, write)}; leave unknown ids out{advice}")
        logging.warning("%s: left out", found)
    return rows[~unknown]


def parse_ids(texts: Iterable[object], known: np.ndarray, name: str = "users") -> np.ndarray:
    """`rows_of(texts, row_index(known), name)`: the rows of ids, where each id must be known."""
    return rows_of(texts, row_index(known), name)


def read_ids(path: str | Path) -> list[str]:
    """The ids of a text file in UTF-8, one per line, as they are written; empty lines are left out.

    Raises:
      UserError: the file cannot be read, or has no ids.
    """
    if not Path(path).expanduser().exists():
        raise UserError(f"users_file={path}: {no_such('file', Path(path).expanduser())}")
    try:
        lines = Path(path).expanduser().read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path} ({error}): expected a text file in UTF-8 with one id per line") from error
    ids = [line.strip() for line in lines if line.strip()]
    if not ids:
        raise UserError(f"{path}: the file is empty, expected one id per line")
    return ids
