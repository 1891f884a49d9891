"""Ids as a log writes them: which become int64, and what is said of those that almost do; as `onebp_jax.data.written_ids`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import logging

from onebp_jax.errors import UserError
from onebp_jax.preparation.engines import Table
from onebp_jax.preparation.expressions import forms
from onebp_jax.preparation.sources import Source

# What a Parquet column of text holds, by the name of its type in Arrow.
TEXT = re.compile(r"text|(large_)?string(_view)?")
IDS = "ids are integers or text"


def as_integers(source: Source, role: str, ids: Table) -> Callable[[Any], Any] | None:
    """How the distinct ids of a text file become int64, as `onebp_jax.data.load` reads them; None if they stay text.

    They are integers if each is written as Python writes it, or all are numbers and some are written as `7.0`. Warns of numbers
    among ids that stay text, also of those that are text in Parquet.

    Raises:
      UserError: all are numbers, but some have a fraction or an exponent; or all are `True` or `False`.
    """
    if not TEXT.fullmatch(source.kinds[role]):
        return None
    found = ids.aggregate(**forms(ids.id)).to_pyarrow().to_pylist()[0]
    name, column = name_of(source), source.columns[role]
    if found["broken"]:
        raise UserError(
            f"{name}: {found['broken']} values of {column} have a line break or a zero character, or are not UTF-8: a stray "
            "quote, or another encoding; repair or convert the file"
        )
    if found["in_quotes"]:
        logging.warning(
            "%s: %d ids of %s have quotes that are a part of the id; remove them if they are none",
            *(name, found["in_quotes"], column),
        )
    if source.is_text:
        if found["booleans"] == found["texts"]:
            raise UserError(
                f"{name}: the ids of {column} are of type boolean (True, False); {IDS}: choose another column"
            )
        if found["integers"] == found["texts"]:
            return lambda text: text.cast("int64")
        if found["numbers"] == found["texts"] and found["scientific"]:
            raise UserError(
                f"{name}: {found['scientific']} ids of {column} are in scientific notation, which loses digits; write them in "
                "full"
            )
        if found["numbers"] == found["texts"] and found["pointed"]:
            return _of_points(name, column, found)
    numbers = found["long_integers"] + found["whole_points"]
    words = found["texts"] - numbers
    if found["long_integers"] == found["texts"] and source.is_text:
        say_beyond(name, column, found["texts"] - found["integers"])
    elif 0 < 10 * words <= numbers:
        logging.warning(
            "%s: %d of %d ids of %s are no integers, so all are read as text; remove or correct these if ids are integers",
            *(name, words, found["texts"], column),
        )
    elif found["whole_points"]:
        logging.warning(
            "%s: %d ids of %s are whole numbers written as 1.0 in a column of text; all stay text",
            *(name, found["whole_points"], column),
        )
    return None


def _of_points(name: Path, column: str, found: dict[str, int]) -> Callable[[Any], Any]:
    """How ids become int64 that are numbers, some with a point."""
    if wrong := found["texts"] - found["whole_floats"]:
        raise UserError(
            f"{name}: {wrong} ids of {column} are no whole numbers of at most 15 digits, or have zeros or a plus in front, and "
            f"{found['pointed']} are written with a point; {IDS}: write them in one way, or choose another column"
        )
    logging.warning("%s: the values of %s are whole numbers written as 1.0; they are read as integers", name, column)
    return lambda text: text.cast("float64").cast("int64")


def say_beyond(name: Path, column: str, beyond: int) -> None:
    """Warns of integers that 64 bits do not hold."""
    logging.warning("%s: %d ids of %s are integers beyond 64 bits, so all are read as text", name, beyond, column)


def name_of(source: Source) -> Path:
    """The file of a log, or the folder of its files, for messages."""
    return source.files[0].parent if len(source.files) > 1 else source.files[0]
