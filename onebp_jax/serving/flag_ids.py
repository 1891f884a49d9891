"""Original ids in a flag of a program, separated by commas as in CSV."""

from __future__ import annotations

import csv
import io
import shlex

import numpy as np

from onebp_jax.errors import UserError
from onebp_jax.serving.ids import like_it, row_index, rows_of


def rows_of_flag(name: str, text: str, known: np.ndarray, skip_unknown: bool | None = None) -> np.ndarray:
    """The rows of the ids in the flag `--name=text`.

    Args:
      known: the original ids, by row. skip_unknown: as for `rows_of`.

    Raises:
      UserError: an id is unknown or empty, or the text is no line of CSV. It shows how the nearest ids are written in the flag.
    """
    index = row_index(known)
    write = lambda one: f"--{name}={as_written(one)}"
    try:
        ids = [one.strip() for one in next(csv.reader([text], strict=True, skipinitialspace=True))]
    except csv.Error as error:
        raise UserError(f"--{name}={text}: not ids as in CSV ({error}){like_it(text, index, write)}") from error
    if not ids or not all(ids):
        raise UserError(f"--{name}={text}: an id is empty, expected ids separated by commas")
    if text in index and not all(one in index for one in ids):
        raise UserError(f"--{name}={text}: this is one id, with a mark of CSV; write {write(text)}")
    return rows_of(ids, index, name, skip_unknown, write)


def as_written(one: str) -> str:
    """An id as it is written in a flag: as in CSV, within what a shell needs."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([one])
    text = line.getvalue()
    return f'"{text}"' if "'" in text and not set(text) & set('"$`\\!') else shlex.quote(text)
