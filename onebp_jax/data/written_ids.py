"""Ids as they are written: which columns of text files are integers, and what is said of those that almost are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.errors import UserError

WHOLE = r"0|-?[1-9]\d*"
# Quotes that belong to no format of tables: ="007" of spreadsheets, and single ones.
IN_QUOTES = r"^(?:=\".*\"|'.*')$"


def written_numbers(what: str, text: pd.Series, at: Callable) -> np.ndarray | None:
    """Text of a text file as int64, if all ids are written as integers or as `7.0`; None if it stays text."""
    if text.str.len().max() <= 20:  # as long as integers of 64 bits; one long id would make a wide array
        with suppress(ValueError, OverflowError):
            numbers = text.to_numpy(dtype=np.str_).astype(np.int64)
            if (numbers.astype(np.str_) == text).all():
                return numbers
    if not text.str.fullmatch(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?").all():
        return None
    scientific = text.str.contains("e", case=False)
    if scientific.any():
        where, value = at(scientific)
        raise UserError(
            f"{what}{where}: {value} is in scientific notation, which loses digits; write the ids in full, or as text"
        )
    point = text.loc[text.str.contains(".", regex=False)]
    if not len(point):
        if text.str.fullmatch(WHOLE).all():
            say_beyond(what, text)
        return None
    other = ~text.str.fullmatch(r"-?(?:0|[1-9]\d{0,14})(?:\.0*)?")
    if other.any():
        where, value = at(other)
        if re.fullmatch(r"-?[1-9]\d+\.0*", str(value)):
            raise UserError(
                f"{what}{where}: {value} has more than 15 digits and a point; write all ids without a point"
            )
        point = [one for one in point if one != value]
        if point and re.fullmatch(r"[+-]?\d+(?:\.0*)?", str(value)):
            raise UserError(
                f"{what}{where}: {value} has zeros or a plus in front, or more than 15 digits, so it is text; but "
                f"{point[0][:40]} in the same column is a number; write all ids without a point, or make all of them text"
            )
        raise UserError(f"{what}{where}: {value}, expected whole numbers or text; correct it, or choose another column")
    logging.warning(
        "%s: %d of %d are whole numbers written as %s; they were read as integers",
        *(what, len(point), len(text), point.iloc[0][:40]),
    )
    return text.astype(float).to_numpy(np.int64)


def say_floats(what: str) -> None:
    """Warns of whole numbers in a column of floats."""
    logging.warning("%s are whole numbers in a column of numbers with a point; they were read as integers", what)


def say_beyond(what: str, text: pd.Series) -> None:
    """Warns of integers, as text, that 64 bits do not hold."""
    beyond = [one for one in text if not -(2**63) <= int(one) < 2**63]
    logging.warning(
        "%s: %d of %d are integers beyond 64 bits, such as %s, so all were read as text",
        *(what, len(beyond), len(text), beyond[0][:40]),
    )


def say_why_text(what: str, text: pd.Series) -> None:
    """Warns of numbers with a point in a column of text, of quotes in ids, and if a few ids make all others text.

    Whole numbers count as numbers with a point (`7.0`) and without.
    """
    quoted = text.loc[text.str.contains(IN_QUOTES)]
    if len(quoted):
        logging.warning(
            "%s: %d of %d have quotes that are a part of the id, such as %s; remove them if they are none",
            *(what, len(quoted), len(text), quoted.iloc[0][:40]),
        )
    whole = text.str.fullmatch(WHOLE).to_numpy(bool)
    others = text.loc[~whole]
    bare = others.str.extract(r"^(-?\d+)\.0*$")[0]
    twice = others.loc[bare.isin(text.loc[whole])]
    words = others.loc[bare.isna()]
    if len(others) and not len(words):
        logging.warning(
            "%s: %d of %d are whole numbers written as %s in a column of text; all stay text, convert the column if they are "
            "numbers",
            *(what, len(others), len(text), others.iloc[0][:40]),
        )
        return
    if 0 < 10 * len(words) <= len(text) - len(words):
        logging.warning(
            "%s: %d of %d are no integers, the first is %r, so all were read as text; remove or correct these if ids are "
            "integers",
            *(what, len(words), len(text), words.iloc[0][:40]),
        )
    if len(twice):
        logging.warning(
            "%s: %d are integers of the same column but for the point, such as %s; they are ids of their own, "
            "because the column is text",
            *(what, len(twice), twice.iloc[0]),
        )


def say_forms(what: str, ids: np.ndarray) -> None:
    """Warns of distinct ids (int64 or text) that look alike because they differ in their Unicode form only."""
    if ids.dtype.kind == "i":
        return
    marked = pd.Series([one for one in ids if not one.isascii()], dtype=object)
    alike = marked.loc[marked.map(lambda one: unicodedata.normalize("NFC", one)).duplicated(keep=False).to_numpy(bool)]
    if len(alike):
        logging.warning(
            "%s: %d look like another one, such as %s: they differ in their Unicode form only (NFC or NFD) and are ids of their "
            "own; write all in one form if they mean the same",
            *(what, len(alike), ascii(alike.iloc[0])),
        )
