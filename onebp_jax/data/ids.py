"""Original ids: checked, and numbered from 0."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.data.blanks import BLANKS, BREAKS
from onebp_jax.data.lightgcn import place_of
from onebp_jax.data.whole_numbers import whole_numbers
from onebp_jax.data.written_ids import say_beyond, say_floats, say_forms, say_why_text, written_numbers
from onebp_jax.errors import UserError

_WORDS = {"int": "integers", "str": "text", "bool": "booleans", "ndarray": "list"}
_EXPECTED = "expected integers or text; convert the column, or choose another"


def number_ids(
    frames: list[pd.DataFrame], *, indexed: bool, sizes: tuple[int, int] | None = None
) -> tuple[list[pd.DataFrame], np.ndarray, np.ndarray]:
    """Replaces the ids in the columns user and item of the frames by internal ids.

    Args:
      frames: as `read_interactions` returns them. The ids of all frames together are numbered by first appearance.
      indexed: True if the ids are already internal ids (LightGCN text, a matrix); then they are only checked.
      sizes: `(M, N)` of indexed ids; None: up to the largest id.
    Returns:
      The frames with int32 ids, the original user ids `[M]` and item ids `[N]` (int64 or text).
    Raises:
      UserError: if indexed ids have such large gaps that most rows of a table would never be used.
    """
    frames = [frame.copy() for frame in frames]
    originals = []
    for column, role in enumerate(("user", "item")):
        joined = join(role, [frame.loc[:, role] for frame in frames])
        if indexed:
            codes = joined.to_numpy()
            original = np.arange(sizes[column], dtype=np.int64) if sizes else _dense_ids(codes, role, frames)
        else:
            codes, original = pd.factorize(joined)
            original = int64_or_text(original)
            say_forms(f"the {role} ids", original)
        originals.append(original)
        ends = np.cumsum([len(frame) for frame in frames])
        for frame, part in zip(frames, np.split(codes.astype(np.int32), ends[:-1]), strict=True):
            frame[role] = part
    return frames, originals[0], originals[1]


def renumber(
    frames: list[pd.DataFrame], user_ids: np.ndarray, item_ids: np.ndarray
) -> tuple[list[pd.DataFrame], np.ndarray, np.ndarray]:
    """Numbers the internal ids that the frames still use anew, by first appearance; returns as `number_ids`."""
    frames, users, items = number_ids(
        [frame.astype({"user": np.int64, "item": np.int64}) for frame in frames], indexed=False
    )
    return frames, user_ids[users], item_ids[items]


def clean_ids(
    what: str, column: pd.Series, place: Callable[[int], str] | None = None, *, is_text: bool = False
) -> np.ndarray | pd.api.extensions.ExtensionArray:
    """The ids of a column, int64 or text: the one check of ids, whatever they were read from.

    Whole numbers stay whole numbers, also where they are stored as floats or decimals; they become text if some are beyond 64
    bits. Text stays text, without blanks around it. In a column of a text file (`is_text`) ids are numbers if each is written as
    Python writes that integer, or all as `7.0`; if all are `True` or `False`, they are booleans.

    Args:
      what: where the ids are from and whose they are, for messages: "clicks.csv: the user ids".
      place: where a row is, for messages; None if the rows are distinct ids, not rows of a file.
    Raises:
      UserError: ids of another type, numbers with fractions or in scientific notation, an empty id, one with a line break.
    """
    kind = id_kind(what, _type_of(column))
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    codes, distinct = pd.factorize(column)  # there are far fewer ids than rows
    values = pd.Series(distinct)
    at = lambda wrong: _at(values, codes, wrong.to_numpy(bool), place)
    if kind == "numbers":
        integers = whole_numbers(what, values, at, column.dtype)
        if any(isinstance(value, float | np.floating) for value in values):
            say_floats(what)
        if integers.dtype.kind == "O":
            say_beyond(what, pd.Series(integers))
        return integers[codes]
    try:
        text = _text(what, values.astype(str), at)
    except UserError:
        raise
    except ValueError:  # of pandas or pyarrow
        check_unicode(what, column, place)
        raise
    if is_text:
        if text.str.lower().isin(["true", "false"]).all():
            raise UserError(f"{what} are of type boolean ({text.iloc[0]}), {_EXPECTED}")
        if (integers := written_numbers(what, text, at)) is not None:
            return integers[codes]
    say_why_text(what, text)
    return text.array.take(codes)


def id_kind(what: str, found: str) -> str:
    """ "numbers" or "text" for a type as `pandas.api.types.infer_dtype` names it; raises `UserError` for any other."""
    if found in ("integer", "floating", "mixed-integer-float", "decimal"):
        return "numbers"
    if found in ("string", "empty"):
        return "text"
    raise UserError(f"{what} are of type {found}, {_EXPECTED}")


def check_unicode(what: str, column: pd.Series, place: Callable[[int], str] | None) -> None:
    """Raises `UserError` if a value is no Unicode text. Slow: for a column that pandas could not read."""
    row = 0
    try:
        for value in column:
            str(value).encode()
            row += 1
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        where = f": {place(row)}" if place else ""
        raise UserError(f"{what}{where}: not Unicode text ({error.reason}); write the text as UTF-8") from error


def _type_of(column: pd.Series) -> str:
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = pd.Series(column.cat.categories)
    found = pd.api.types.infer_dtype(column, skipna=True)
    if found == "unknown-array":  # of Arrow
        return str(column.dtype).removesuffix("[pyarrow]")
    if found not in ("mixed", "mixed-integer"):
        return found
    kinds = sorted({_WORDS.get(name := type(one).__name__, name) for one in column.dropna()})
    return " and ".join(kinds) + " mixed" * (len(kinds) > 1)


def _at(
    values: pd.Series, codes: np.ndarray, wrong: np.ndarray, place: Callable[[int], str] | None
) -> tuple[str, object]:
    """Where the first wrong one of the distinct values is in the file (": line 7"), and the value."""
    first = int(wrong.argmax())
    return f": {place(int((codes == first).argmax()))}" if place else "", values.iloc[first]


def _text(what: str, text: pd.Series, at: Callable) -> pd.Series:
    """Text without blanks around it."""
    broken = text.str.contains(f"[{BREAKS}]", regex=True)
    if broken.any():
        where, value = at(broken)
        zero = "\0" in str(value)
        found = "the zero character (NUL)" if zero else "a line break"
        raise UserError(
            f"{what}{where}: {str(value)[:40]!r} has {found}, expected none in an id; "
            f"{'' if zero else 'is there a stray quote? '}remove it"
        )
    bare = text.str.strip(BLANKS)
    changed = bare != text
    if changed.any():
        logging.warning(
            "%s: %d have blanks around them, such as %r; they were read without",
            what,
            changed.sum(),
            text.loc[changed].iloc[0],
        )
    empty = bare == ""
    if empty.any():
        raise UserError(
            f"{what}{at(empty)[0]}: missing values: an id that is empty or blank; remove or fill these rows"
        )
    return bare


def int64_or_text(ids: np.ndarray | pd.Index | pd.api.extensions.ExtensionArray) -> np.ndarray:
    """The ids as a NumPy array: integers are int64, anything else becomes text, as Python strings in an array of objects."""
    if ids.dtype.kind == "i":
        return np.asarray(ids, np.int64)
    return np.array([str(one) for one in ids.tolist()], object)


def numeric(column: pd.Series) -> pd.Series:
    """The values as numbers; NaN if a value is missing or not a number."""
    return pd.Series(pd.to_numeric(column, errors="coerce"))


def join(role: str, columns: list[pd.Series]) -> pd.Series:
    """Concatenates the columns, as text unless all of them are integers: 7 and "007" are two ids."""
    whole = [pd.api.types.is_integer_dtype(column) for column in columns if len(column)]
    if not all(whole):
        if any(whole):
            say_mixed(role)
        columns = [column.astype(str) for column in columns]
    return pd.concat(columns, ignore_index=True)


def say_mixed(role: str) -> None:
    """Warns that ids are integers and text."""
    logging.warning("the %s ids are integers in one part and text in the other; all were read as text", role)


def _dense_ids(ids: np.ndarray, role: str, frames: list[pd.DataFrame]) -> np.ndarray:
    """`0..max`, if the ids use a reasonable part of that range; the frames are of LightGCN text."""
    size, distinct = int(ids.max(initial=-1)) + 1, len(pd.unique(ids))
    if size > 4 * distinct + 1000:
        frame = next(frame for frame in frames if frame[role].to_numpy().max() == size - 1)
        where = f"{place_of(frame.attrs['file'], role, size - 1)}: " if "file" in frame.attrs else ""
        raise UserError(
            f"{where}{role} ids out of range: they run up to {size - 1} but only {distinct} are used; "
            "LightGCN text needs ids counted from 0 without large gaps: convert to CSV with columns user and item"
        )
    if size > distinct:
        first = int(np.bincount(ids, minlength=size).argmin())
        logging.warning(
            "the %s ids of LightGCN text run from 0 to %d, and %d of them are in no pair, the first is %d: each counts as %s "
            "%s without interactions%s",
            *(role, size - 1, size - distinct, first, "an" if role == "item" else "a", role),
            "; do the ids count from 1?" if first == 0 else "",
        )
    return np.arange(size, dtype=np.int64)
