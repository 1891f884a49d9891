"""Rows of a text file that are no interactions: the header again, a rule below the header, a second header."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.data.blanks import BLANKS
from onebp_jax.errors import UserError

# A rule such as ---- or ====, or a word in brackets, such as the unit of a column.
NO_ID = r"^(?:[-=_~*+#.|: ]{2,}|[(\[<{].*[)\]>}])$"
SAID = "look like a rule or a second header"


def check_no_header(source: str | Path, table: pd.DataFrame, columns: list[str], place: Callable[[int], str]) -> None:
    """Raises `UserError` if a row of a text file is a header: it has the names of these columns, in any case.

    Warns of rows that look like a rule or a second header, unless most rows do.
    """
    plain = lambda value: str(value).strip(BLANKS).split(":")[0].casefold()  # RecBole writes user_id:token
    is_no_id = lambda value: bool(re.search(NO_ID, str(value).strip(BLANKS)))
    first, *others = columns
    codes, distinct = pd.factorize(table.loc[:, first])
    rows = lambda found: np.flatnonzero(np.isin(codes, found)).tolist() if found else []
    for row in rows([code for code, value in enumerate(distinct) if plain(value) == plain(first)]):
        if all(plain(table.loc[:, name].iloc[row]) == plain(name) for name in others):
            raise UserError(
                f"{source}: {place(row)}: the header again, {','.join(table)[:60]!r}; were files joined? remove the line"
            )
    odd = rows([code for code, value in enumerate(distinct) if is_no_id(value)])
    for name in others if 0 < len(odd) <= len(table) / 2 else ():
        odd = [row for row, value in zip(odd, table.loc[:, name].iloc[odd], strict=True) if is_no_id(value)]
    if 0 < len(odd) <= len(table) / 2:
        logging.warning(
            "%s: %d rows %s, such as %r in %s; they were read as rows: remove them if they are none",
            *(source, len(odd), SAID, ",".join(map(str, table.iloc[odd[0]]))[:40], place(odd[0])),
        )
