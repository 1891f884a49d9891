"""Times of any spelling -> numbers in the order of time. What is ambiguous is refused."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.data.blanks import BLANKS
from onebp_jax.data.ids import numeric
from onebp_jax.data.whole_numbers import MOST, MOST_OF_FLOATS, most_of_floats
from onebp_jax.errors import UserError

_ZONE = r"\s*(?:UTC|GMT|utc|gmt)(?:[+-]00:?00)?$"
_CLOCK = r"(?:[ T,]\s*\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:\s*[AaPp][Mm])?)?"
_BY_NUMBERS = rf"(\d{{1,2}})([/.-])(\d{{1,2}})\2(\d{{4}})({_CLOCK})"
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = r"([A-Za-z]{3,9})\.?"
_DAY_FIRST = rf"(\d{{1,2}})(?:st|nd|rd|th)?[ -]{_MONTH},?[ -](\d{{4}})({_CLOCK})"
_MONTH_FIRST = rf"{_MONTH} (\d{{1,2}})(?:st|nd|rd|th)?,? (\d{{4}})({_CLOCK})"
# The least time of each unit: 1973 and later.
UNITS = {"seconds": 1e8, "milliseconds": 1e11, "microseconds": 1e14, "nanoseconds": 1e17}


def to_times(source: str | Path, column: pd.Series, place: Callable[[int], str]) -> tuple[pd.Series, dict[str, int]]:
    """Numbers as they are, dates as nanoseconds since 1970 (UTC where no zone is given); and the first row of each kind.

    The kinds are "dates", or "numbers" below 1e8 and those of a unit, such as "seconds"; see `check_kinds`.
    Numbers of text that 64 bits hold as integers, but not as floats, are integers.
    Dates are ISO 8601 (2024-01-31T12:00:00, also with a blank, slashes, `UTC`), or as people write them: 31/01/2024, 31.1.2024,
    Jan 31, 2024. Of the orders day/month and month/day, the column must rule out one.

    Raises:
      UserError: another value, or an ambiguous one; it names the place.
    """
    numbers = numeric(column)
    is_date = pd.api.types.is_datetime64_any_dtype(column)
    if not numbers.isna().any() and not is_date:
        return _exact(source, column, numbers, place), _kinds(source, numbers.to_numpy(np.float64), place)
    if numbers.notna().any() and not is_date:
        is_number = numbers.notna().to_numpy()
        odd, others = (is_number, "dates or words") if 2 * is_number.sum() < len(numbers) else (~is_number, "numbers")
        row = int(odd.argmax())
        raise UserError(
            f"{source}: {place(row)}: the time column has {str(column.iloc[row])[:40]!r} among {others} ({odd.sum()} of "
            f"{len(odd)} such rows); write all alike, choose another column with time_column, or set time_column=none"
        )
    dates = _iso_8601(source, column, place)
    other = dates.isna()
    if other.any():
        texts = pd.Series(column.loc[other].astype(str).str.strip(BLANKS))
        read = _iso_8601(source, texts.str.replace(_ZONE, "Z", regex=True), place)
        rest = read.isna()
        if rest.any():
            read[rest] = _as_people_write(source, texts.loc[rest], place)
        dates[other] = read
    return dates.astype(np.int64), {"dates": 0}


def check_kinds(source: str | Path, examples: dict[str, str]) -> None:
    """Raises `UserError` for dates beside numbers, and for numbers of two units; warns of small numbers beside those of a unit.

    Args:
      examples: the kinds of times, as `to_times` finds them -> where the first is: "1709251200 in line 3".
    """
    units = [kind for kind in examples if kind in UNITS]
    if "dates" in examples and len(examples) > 1:
        other = next(where for kind, where in examples.items() if kind != "dates")
        raise UserError(
            f"{source}: the times are numbers in one part and dates in the other: {other}, {examples['dates']}; write both alike"
        )
    if len(units) > 1:
        raise UserError(
            f"{source}: times in two units ({units[0]} and {units[1]}?): {examples[units[0]]}, {examples[units[1]]}; convert one"
        )
    if units and "numbers" in examples:
        logging.warning(
            "%s: some times are below 1e8 and others are not: %s, %s; all were read as numbers of one unit: correct those that "
            "are missing times, dates such as 20240101, or of another unit",
            *(source, examples["numbers"], examples[units[0]]),
        )


def check_later(source: str, known: np.ndarray, later: np.ndarray) -> None:
    """Raises `UserError` if times that are joined with known ones are of another unit, by the largest of each.

    Of dates only nanoseconds are left (see `to_times`), so they count as such. Times below 1e8 are let pass beside seconds, with
    a warning as in `check_kinds`.
    """
    largest = [times[np.abs(times).argmax()] for times in (known, later)]
    names = ["numbers", *UNITS]
    old, new = (names[int(np.digitize(abs(float(time)), list(UNITS.values())))] for time in largest)
    if old == new:
        return
    where = [
        f"{value:.0f} is the largest {of}" for value, of in zip(largest, ("so far", "of the new ones"), strict=True)
    ]
    if {old, new} == {"numbers", "seconds"}:
        check_kinds(source, {old: where[0], new: where[1]})
        return
    said = [unit.replace("numbers", "below 1e8").replace("nano", "dates or nano") for unit in (old, new)]
    raise UserError(
        f"{source}: times in two units (so far {said[0]}, the new ones {said[1]}?): {where[0]}, {where[1]}; convert one"
    )


def say_rounded(source: str | Path, column: pd.Series) -> None:
    """Warns of a column of floats so large that times in it may have been rounded before it was made."""
    if not pd.api.types.is_float_dtype(column):
        return
    most = most_of_floats(column.dtype)
    large = column.loc[column.abs() > most]
    if len(large):
        logging.warning(
            "%s: %d of %d times are floats beyond 2^%d, such as %.0f; these may have been rounded, so that later ones count as "
            "equal: write times as integers",
            *(source, len(large), len(column), most.bit_length() - 1, large.iloc[0]),
        )


def _exact(source: str | Path, column: pd.Series, numbers: pd.Series, place: Callable[[int], str]) -> pd.Series:
    """The numbers, as integers where floats would round those that are written; refused where neither holds them."""
    rounded = numbers.abs().to_numpy(np.float64) > MOST_OF_FLOATS
    is_written = not pd.api.types.is_numeric_dtype(column)
    if not is_written or not pd.api.types.is_float_dtype(numbers) or not rounded.any() or np.isinf(numbers).any():
        return numbers
    codes, distinct = pd.factorize(column)
    exact = [Decimal(str(value).strip(BLANKS)) for value in distinct]
    whole = [value == value.to_integral_value() and abs(value) <= MOST for value in exact]
    if all(whole):
        return pd.Series(np.array([int(value) for value in exact], np.int64)[codes])
    if all(Decimal(float(value)) == value for value in exact if abs(value) > MOST_OF_FLOATS):
        return numbers
    row, large = int((codes == whole.index(False)).argmax()), int(rounded.argmax())
    beside = "" if row == large else f" beside {str(column.iloc[large])[:40]}"
    raise UserError(
        f"{source}: {place(row)}: the time {str(column.iloc[row])[:40]} cannot be held exactly{beside} (more than 15 digits), so "
        "the order would be lost; write all times as whole numbers of 64 bits, choose another column with time_column, or set "
        "time_column=none"
    )


def _iso_8601(source: str | Path, column: pd.Series, place: Callable[[int], str]) -> pd.Series:
    """Dates in nanoseconds; a missing one where the text is another."""
    if not pd.api.types.is_datetime64_any_dtype(column):
        column = column.mask(column.isin(["now", "today"]))  # pandas takes the current time for them
    return _nanoseconds(source, pd.to_datetime(column, errors="coerce", format="ISO8601", utc=True), place)


def _nanoseconds(source: str | Path, dates: pd.Series, place: Callable[[int], str]) -> pd.Series:
    """The dates in nanoseconds; their index is the row. Raises `UserError` for one that 64 bits cannot hold."""
    years = pd.Series(dates.dt.year)
    outside = ~years.between(1678, 2261) & dates.notna()
    if outside.any():
        row = int(dates.index[int(outside.to_numpy().argmax())])
        raise UserError(
            f"{source}: {place(row)}: the time column has a date of the year {years[row]:.0f}, expected years from 1678 to "
            "2261; correct or remove the row, or set time_column=none"
        )
    return dates.dt.as_unit("ns")


def _kinds(source: str | Path, numbers: np.ndarray, place: Callable[[int], str]) -> dict[str, int]:
    """The first row of each kind of numbers. Raises `UserError` for infinite times."""
    infinite = ~np.isfinite(numbers)
    if infinite.any():
        raise UserError(f"{source}: {place(int(infinite.argmax()))}: an infinite time; correct it")
    unit = np.digitize(numbers, list(UNITS.values()))
    found = {kind: unit == number for number, kind in enumerate(("numbers", *UNITS))}
    return {kind: int(there.argmax()) for kind, there in found.items() if there.any()}


def _as_people_write(source: str | Path, texts: pd.Series, place: Callable[[int], str]) -> pd.Series:
    """The dates of texts such as 31/01/2024 or Jan 31, 2024; their index is the row."""
    written = pd.Series(index=texts.index, dtype=object)
    parts = texts.str.extract(rf"^{_BY_NUMBERS}$")
    by_numbers = parts[0].notna()
    if by_numbers.any():
        first, second = (parts.loc[by_numbers, part].astype(int) for part in (0, 2))
        orders = [order for order, month in (("day/month", second), ("month/day", first)) if (month <= 12).all()]
        example = texts.loc[by_numbers].iloc[0]
        row = int(by_numbers.index[by_numbers.to_numpy().argmax()])
        if len(orders) != 1:
            why = "may be day/month or month/day" if orders else "are in two orders, day/month and month/day"
            raise UserError(
                f"{source}: {place(row)}: dates such as {example!r} {why}; write them as year-month-day, such as 2024-01-31"
            )
        logging.warning(
            "%s: dates such as %r were read as %s/year, the only order that fits all", source, example, orders[0]
        )
        day, month = (first, second) if orders[0] == "day/month" else (second, first)
        written[by_numbers] = _iso(parts[3], month, day, parts[4])[by_numbers]
    for pattern, places in ((_DAY_FIRST, (0, 1, 2, 3)), (_MONTH_FIRST, (1, 0, 2, 3))):
        parts = texts.str.extract(rf"^(?:[A-Za-z]{{3,9}},? )?{pattern}$")
        day, month, year, clock = (parts[number] for number in places)
        month = month.str.lower().str[:3].map({name: number for number, name in enumerate(_MONTHS, 1)})
        found = month.notna()
        if found.any():
            written[found] = _iso(year[found], month[found].astype(int), day[found].astype(int), clock[found])
    dates = _nanoseconds(source, pd.to_datetime(written, errors="coerce", format="mixed", utc=True), place)
    wrong = dates.isna()
    if wrong.any():
        row = int(wrong.index[int(wrong.to_numpy().argmax())])
        raise UserError(
            f"{source}: {place(row)}: the time column has {texts[row][:40]!r}, expected numbers, or dates such as "
            "2024-01-31T12:00:00; convert it, choose another column with time_column, or set time_column=none"
        )
    return dates


def _iso(year: pd.Series, month: pd.Series, day: pd.Series, clock: pd.Series) -> pd.Series:
    numbers = (part.astype(int).astype(str).str.zfill(2) for part in (month, day))
    return year.str.cat(numbers, sep="-") + " " + clock.fillna("").str.strip(" T,")
