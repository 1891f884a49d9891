"""Rows of a text file that are no interactions: the header again, a rule below the header, a second header."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.data.blanks import BLANKS
from onebp_jax.errors import UserError

# A rule such as ---- or ====, or a word in brackets, such as the unit of a column.
NO_ID = r"^(?:[-=_~*+#.|: ]{2,}|[(\[<{].*[)\]>}])$"
SAID = "look like a rule or a second header"


def check_no_header(
    source: str | Path, table: pd.DataFrame, columns: dict[str, tuple[str, ...]], place: Callable[[int], str]
) -> None:
    """Raises `UserError` if a row of a text file is a header, in any case and any order: files were joined.

    It is one if these columns hold their own names or usual ones, or if every field of the row is a name of a column.
    Warns of rows that look like a rule or a second header, unless most rows do.

    Args:
      columns: columns of ids -> their usual names. place: where a row is.
    """
    is_no_id = lambda value: bool(re.search(NO_ID, str(value).strip(BLANKS)))
    first, *others = columns
    codes, distinct = pd.factorize(table.loc[:, first])
    rows = lambda found: np.flatnonzero(np.isin(codes, found)).tolist() if found else []
    names = [{plain_name_of(name) for name in (column, *usual)} for column, usual in columns.items()]
    known = {plain_name_of(name) for name in table}.union(*names)
    maybe = rows([code for code, value in enumerate(distinct) if plain_name_of(value) in known])
    for row, fields in zip(maybe, table.iloc[maybe].fillna("").to_numpy(object), strict=True):
        if _is_header(dict(zip(table, map(plain_name_of, fields), strict=True)), list(columns), names, known):
            raise UserError(
                f"{source}: {place(row)}: the header again, {','.join(map(str, fields))[:60]!r}; were files joined? remove the "
                "line, and join files only if their columns have one order"
            )
    odd = rows([code for code, value in enumerate(distinct) if is_no_id(value)])
    for name in others if 0 < len(odd) <= len(table) / 2 else ():
        odd = [row for row, value in zip(odd, table.loc[:, name].iloc[odd], strict=True) if is_no_id(value)]
    if 0 < len(odd) <= len(table) / 2:
        logging.warning(
            "%s: %d rows %s, such as %r in %s; they were read as rows: remove them if they are none",
            *(source, len(odd), SAID, ",".join(map(str, table.iloc[odd[0]]))[:40], place(odd[0])),
        )


def plain_name_of(value: object) -> str:
    """The name of a column in small letters, without blanks and types: RecBole writes `user_id:token`."""
    return str(value).strip(BLANKS).split(":")[0].casefold()


def _is_header(row: dict[str, str], columns: list[str], names: list[set[str]], known: set[str]) -> bool:
    """Whether a row (column -> plain field) has names of columns in the columns of ids, or everywhere."""
    ids = [row[column] for column in columns]
    if any(all(one in own for one, own in zip(ids, order, strict=True)) for order in permutations(names)):
        return True
    return len(set(ids)) == len(ids) and known.issuperset(ids) and known.issuperset(filter(None, row.values()))
