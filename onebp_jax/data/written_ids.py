"""Ids as a text file writes them: which columns are integers, and what is said of those that almost are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.errors import UserError


def written_numbers(what: str, text: pd.Series, at: Callable) -> np.ndarray | None:
    """Text of a text file as int64, if all ids are written as integers or as `7.0`; None if it stays text."""
    try:  # no integer of 64 bits is longer than 20 characters; one long id would make a wide array
        if text.str.len().max() > 20:
            return None
        numbers = text.to_numpy(dtype=np.str_).astype(np.int64)
        if (numbers.astype(np.str_) == text).all():
            return numbers
    except (ValueError, OverflowError):
        pass
    if not text.str.fullmatch(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?").all():
        return None
    scientific = text.str.contains("e", case=False)
    if scientific.any():
        where, value = at(scientific)
        raise UserError(
            f"{what}{where}: {value} is in scientific notation, which loses digits; write the ids in full, or as text"
        )
    if not text.str.contains(".", regex=False).any():
        return None
    fraction = ~text.str.fullmatch(r"-?(?:0|[1-9]\d{0,14})(?:\.0*)?")
    if fraction.any():
        where, value = at(fraction)
        raise UserError(f"{what}{where}: {value}, expected whole numbers or text; correct it, or choose another column")
    point = text.loc[text.str.contains(".", regex=False)]
    logging.warning(
        "%s: %d of %d are whole numbers written as %s; they were read as integers",
        *(what, len(point), len(text), point.iloc[0]),
    )
    return text.astype(float).to_numpy(np.int64)


def say_why_text(what: str, text: pd.Series) -> None:
    """Warns if a few ids make all others text, and of ids that differ by `.0` alone."""
    whole = text.str.fullmatch(r"-?(?:0|[1-9]\d*)").to_numpy(bool)
    others = text.loc[~whole]
    if 0 < 10 * len(others) <= whole.sum():
        logging.warning(
            "%s: %d of %d are no integers, the first is %r, so all were read as text; remove or correct these if ids are "
            "integers",
            *(what, len(others), len(text), others.iloc[0][:40]),
        )
    bare = others.str.extract(r"^(-?\d+)\.0*$")[0]
    twice = others.loc[bare.isin(text.loc[whole])]
    if len(twice):
        logging.warning(
            "%s: %d are integers of the same column but for the point, such as %s; they are ids of their own, "
            "because the column is text",
            *(what, len(twice), twice.iloc[0]),
        )
