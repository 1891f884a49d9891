"""Original ids, as a person gives them, to rows of the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.data.paths import as_path
from onebp_jax.errors import UserError, closest, no_such

# Not more ids are compared with an unknown one letter by letter.
_MOST_COMPARED = 20_000


def row_index(known: np.ndarray) -> dict[str, int]:
    """The row of each original id, by its text: `7`, `np.int64(7)` and `"7"` are the same id.

    Args:
      known: the original ids, by row.
    """
    return {str(original): row for row, original in enumerate(known.tolist())}


def listed(ids: object, name: str) -> list:
    """One id or several as a list; raises `UserError`, naming the argument, for what is neither."""
    if isinstance(ids, np.ndarray) and not ids.ndim:
        ids = ids.item()
    if isinstance(ids, bytes | bytearray | memoryview | Mapping | pd.DataFrame):
        raise UserError(
            f"{name}: of type {type(ids).__name__}, expected an id, or several in a list, an array or a column"
        )
    return list(ids) if isinstance(ids, Iterable) and not isinstance(ids, str) else [ids]


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
    lines: Sequence[int] = (),
) -> np.ndarray:
    """The rows of ids. A whole float is the integer, as in data.

    Args:
      ids: original ids. index: see `row_index`. name: what the message calls the argument, such as "users".
      skip_unknown: leave unknown ids out, with a warning that counts them; None: the caller has no such option.
      write: how the message shows known ids.
      lines: the line of each id, for ids of a file; `name` is then `users_file=PATH`.

    Returns:
      `int[n]`, in the order of the ids; an id that is given twice has its row twice.

    Raises:
      UserError: an id is unknown, and `skip_unknown` is not true. It shows the nearest known ids.
    """
    texts = [_text(one, index) for one in ids]
    rows = np.array([index.get(text, -1) for text in texts], np.int64)
    if (unknown := rows < 0).any():
        at = int(unknown.argmax())
        first, where = texts[at], f"{name}: line {lines[at]}: " if lines else f"{name}="
        found = f"{where}{first!r}: not an id of the run ({unknown.sum()} of the {len(rows)} given ids are unknown)"
        if not skip_unknown:
            advice = ", or set skip_unknown=True" if skip_unknown is False else ""
            raise UserError(f"{found}{like_it(first, index, write)}; leave unknown ids out{advice}")
        logging.warning("%s: left out", found)
    return rows[~unknown]


def _text(one: object, index: Mapping[str, int]) -> str:
    """The text of an id; of a float that no id is like and that is an integer for sure, that of the integer."""
    text = str(one)
    if text not in index and isinstance(one, float | np.floating) and float(one).is_integer():
        return str(int(one)) if abs(one) < 2 / np.finfo(type(one)).eps else text
    return text


def parse_ids(texts: Iterable[object], known: np.ndarray, name: str = "users") -> np.ndarray:
    """`rows_of(texts, row_index(known), name)`: the rows of ids, where each id must be known."""
    return rows_of(texts, row_index(known), name)


def rows_of_file(path: str | Path, known: np.ndarray, skip_unknown: bool = False) -> np.ndarray:
    """The rows of the ids in a file, see `read_ids` and `rows_of`. Errors name the file and the line."""
    ids = read_ids(path)
    return rows_of(ids.values(), row_index(known), f"users_file={path}", skip_unknown, lines=list(ids))


def read_ids(path: str | Path) -> dict[int, str]:
    """Line -> id of a text file in UTF-8, one per line, as they are written; empty lines are left out.

    Raises:
      UserError: the file cannot be read, or has no ids.
    """
    file = as_path(path, "users_file")
    if not file.exists():
        raise UserError(f"users_file={path}: {no_such('file', file)}")
    wanted = "expected a text file in UTF-8 with one id per line"
    try:
        lines = file.read_text("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"users_file={path}: line {line}: not UTF-8, {wanted}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"users_file={path}: cannot be read ({error}), {wanted}") from error
    ids = {number: line.strip() for number, line in enumerate(lines, 1) if line.strip()}
    if not ids:
        raise UserError(f"users_file={path}: it has no ids, {wanted}")
    return ids
