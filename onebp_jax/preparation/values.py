"""The columns of a log as values that every engine orders alike, and the checks that they can be read as such."""

from __future__ import annotations

import re
from typing import Any

from absl import logging

from onebp_jax.data.columns import COLUMNS
from onebp_jax.data.header_rows import NO_ID, SAID, plain_name_of
from onebp_jax.data.times import UNITS, check_kinds
from onebp_jax.errors import UserError
from onebp_jax.preparation.engines import Table
from onebp_jax.preparation.expressions import EDGES, NUMBER
from onebp_jax.preparation.sources import Source
from onebp_jax.preparation.written_ids import IDS, TEXT, name_of, say_beyond

INTEGER = r"^[+-]?(?:[0-9]{1,18}|[1-8][0-9]{18})$"
DATE = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(?:\.([0-9]{1,6})[0-9]*)?"
    r"(?: ?(?:Z|UTC|([+-])([0-9]{2}):?([0-9]{2})))?)?$"
)
# Fractions of seconds that microseconds do not hold.
FINER = r"\.[0-9]{6}0*[1-9]"
# What a Parquet column holds, by the name of its type in Arrow.
WHOLE_NUMBERS = re.compile(r"u?int(8|16|32)|int64")
LARGE = re.compile(r"uint64|decimal\d*\(\d+, 0\)")
# Floats, and the number from which on they do not hold each whole number.
FLOATS = {"halffloat": 2**11, "float": 2**24, "double": 2**53}
MOMENTS = re.compile(r"timestamp\[.*|date32.*")


def read_values(source: Source, log: Table) -> tuple[Table, dict[str, int]]:
    """The log with ids as int64 or text and with times and ratings as numbers, and how many rows were read and left out.

    It looks once at all rows. Rows without a user or an item are left out, and blanks around ids: both are counted in a warning.

    Raises:
      UserError: a column has values that are no ids, times or numbers; the first line of a file comes again.
    """
    roles = ("user", "item")
    ids = {role: _ids(source, role, log[role], blanks=True, beyond=True) for role in roles}
    totals = {"rows": log.count(), "missing": (ids["user"].isnull() | ids["item"].isnull()).sum()}
    for role in roles:
        totals |= _id_totals(source, role, log[role])
    if source.is_text:
        totals["header"] = _is_header(source, ids).sum()
        totals["rules"] = (ids["user"].re_search(NO_ID) & ids["item"].re_search(NO_ID)).sum()
    values = {}
    for role in ("time", "rating"):
        if role in source.columns:
            totals |= _value_totals(source, role, log[role])
    found = {name: int(value or 0) for name, value in log.aggregate(**totals).to_pyarrow().to_pylist()[0].items()}
    _refuse(source, found)
    # Each later use of a column computes it again, and `strip` is slow.
    there = lambda what, role: found.get(f"{role}_{what}", 0) > 0
    ids = {
        role: _ids(source, role, log[role], blanks=there("blanks", role), beyond=there("beyond", role))
        for role in roles
    }
    for role in ("time", "rating"):
        if role in source.columns:
            values[role] = _value(source, role, log[role], found)
    kept = log.select(**ids, **values).filter(ids["user"].notnull() & ids["item"].notnull())
    return kept, {"read": found["rows"], "without_ids": found["missing"]}


def _is_header(source: Source, ids: dict[str, Any]) -> Any:
    """Whether a row is a header, in any case and order: user and item are two names of columns."""
    usual = (*source.names, *COLUMNS["user"], *COLUMNS["item"])
    kinds = ("", ":token", ":float") if ".inter" in source.files[0].name.lower() else ("",)  # of RecBole
    names = sorted({plain_name_of(name) + kind for name in usual for kind in kinds})
    user, item = (ids[role].lower() for role in ("user", "item"))
    return user.isin(names).ifelse(item.isin(names) & (user != item), False)  # so the second is rarely looked at


def _ids(source: Source, role: str, column: Any, *, blanks: bool, beyond: bool) -> Any:
    """A column of ids as int64 or text; null where there is no id.

    Args:
      blanks: whether there are blanks around ids, which are left out. beyond: whether there are integers beyond 64 bits.
    """
    kind = source.kinds[role]
    if TEXT.fullmatch(kind):
        return (column.re_replace(EDGES, "") if blanks else column).nullif("")
    if WHOLE_NUMBERS.fullmatch(kind) or kind in FLOATS or (LARGE.fullmatch(kind) and not beyond):
        return column.cast("int64")
    if LARGE.fullmatch(kind):
        return column.cast("string")
    raise UserError(f"{source.files[0]}: the {role} column {column.get_name()} is of type {kind}; {IDS}: convert it")


def _id_totals(source: Source, role: str, column: Any) -> dict[str, Any]:
    """How many ids have blanks around them, how many floats are not whole, how many integers are beyond 64 bits."""
    if TEXT.fullmatch(source.kinds[role]):
        return {f"{role}_blanks": column.re_search(EDGES).sum()}
    if source.kinds[role] in FLOATS:
        number, most = column.cast("float64"), FLOATS[source.kinds[role]]
        return {f"{role}_parts": (number.isnan() | (number != number.floor()) | (number.abs() >= most)).sum()}
    if LARGE.fullmatch(source.kinds[role]):
        return {f"{role}_beyond": ((column > 2**63 - 1) | (column < -(2**63))).sum()}
    return {}


def _value_totals(source: Source, role: str, column: Any) -> dict[str, Any]:
    """How many values are missing, and how many of a text column can be read in each way."""
    import ibis

    totals = {f"{role}_missing": column.isnull().sum()}
    kind = source.kinds[role]
    if TEXT.fullmatch(kind):
        totals |= {
            f"{role}_{name}": column.strip().re_search(form).sum()
            for name, form in (("whole", INTEGER), ("number", NUMBER))
        }
        number = column.strip().re_search(NUMBER).ifelse(column.strip(), ibis.null("string")).try_cast("float64")
        if role == "time":
            totals["time_date"] = _seconds(column).notnull().sum()
            totals["time_large"] = (number.abs() > 2.0**53).sum()
            totals["time_finer"] = (number.isnull() & column.re_search(FINER)).sum()
            totals |= _unit_totals(number)
    elif kind.startswith("timestamp[ns"):
        totals[f"{role}_finer"] = column.cast("string").re_search(FINER).sum()
    elif kind in FLOATS:
        totals[f"{role}_missing"] = (column.isnull() | column.isnan()).sum()
    elif not WHOLE_NUMBERS.fullmatch(kind) and not (
        MOMENTS.fullmatch(kind) if role == "time" else kind == "uint64" or kind.startswith("decimal")
    ):
        raise UserError(
            f"{source.files[0]}: the {role} column {column.get_name()} is of type {kind}, expected numbers"
            f"{' or times' if role == 'time' else ''}; convert it, or choose another column with {role}_column"
        )
    if role == "time" and kind in FLOATS:
        totals["time_rounded"] = (column.cast("float64").abs() > FLOATS[kind]).sum()
    if role == "time" and (WHOLE_NUMBERS.fullmatch(kind) or kind in FLOATS):
        totals |= _unit_totals(column.cast("float64"))
    return totals


def _unit_totals(times: Any) -> dict[str, Any]:
    """How many numbers are times of each unit, as `onebp_jax.data.times` tells units apart."""
    edges = [float("-inf"), *UNITS.values(), float("inf")]
    return {
        f"unit_{unit}": ((times >= low) & (times < high)).sum()
        for unit, low, high in zip(("numbers", *UNITS), edges[:-1], edges[1:], strict=True)
    }


def _value(source: Source, role: str, column: Any, found: dict[str, int]) -> Any:
    """A checked column of times or ratings as int64 or float64."""
    kind = source.kinds[role]
    if TEXT.fullmatch(kind):
        if found[f"{role}_whole"] == found["rows"]:
            return column.strip().cast("int64")
        return column.strip().cast("float64") if found[f"{role}_number"] == found["rows"] else _microseconds(column)
    if MOMENTS.fullmatch(kind):
        moment = column.cast("timestamp")
        fraction = (moment.cast("string").re_extract(r"\.([0-9]{1,6})[0-9]*$", 1) + "000000").substr(0, 6)
        return moment.truncate("s").epoch_seconds().cast("int64") * 1_000_000 + fraction.cast("int64")
    return column.cast("int64" if WHOLE_NUMBERS.fullmatch(kind) else "float64")


def _seconds(text: Any) -> Any:
    """Text such as `2024-01-31` or `2024-01-31T12:00:00+01:00` as seconds since 1970 of its own clock; null for other text."""
    import ibis

    day, minutes, seconds = (text.strip().re_extract(DATE, group) for group in (1, 2, 3))
    clock = (minutes == "").ifelse("00:00", minutes) + (seconds == "").ifelse(":00", seconds)
    # Spark reads a clock without a day as today.
    whole = (day == "").ifelse(ibis.null("string"), day + " " + clock)
    return whole.try_cast("timestamp").epoch_seconds().cast("int64")


def _microseconds(text: Any) -> Any:
    """As `_seconds`, in microseconds, the distance to UTC taken away."""
    fraction, sign, hours, minutes = (text.strip().re_extract(DATE, group) for group in (4, 5, 6, 7))
    number = lambda digits: (digits == "").ifelse("0", digits).cast("int64")
    away = (number(hours) * 60 + number(minutes)) * 60 * (sign == "-").ifelse(-1, 1)
    return (_seconds(text) - away) * 1_000_000 + number((fraction + "000000").substr(0, 6))


def _refuse(source: Source, found: dict[str, int]) -> None:
    """Raises `UserError` for what the totals say cannot be read; warns of what is left out."""
    name = name_of(source)
    if not found["rows"]:
        raise UserError(f"{name}: the log has no rows; check the program that wrote it")
    if found.get("header"):
        raise UserError(f"{name}: a line of column names comes again {found['header']} times as a row; remove it")
    if 0 < (rules := found.get("rules", 0)) <= found["rows"] / 2:
        logging.warning("%s: %d rows %s; they are read as rows: remove them if they are none", name, rules, SAID)
    for role in ("user", "item"):
        column = source.columns[role]
        if parts := found.get(f"{role}_parts"):
            raise UserError(
                f"{name}: {parts} values of {column} are no whole numbers below {FLOATS[source.kinds[role]]} (floats of this "
                f"type hold no more digits); {IDS}: convert them"
            )
        if f"{role}_parts" in found:
            logging.warning(
                "%s: the values of %s are floats, all of them whole; they are read as integers", name, column
            )
        if beyond := found.get(f"{role}_beyond"):
            say_beyond(name, column, beyond)
    for role in ("time", "rating"):
        readable = [found[name] for name in (f"{role}_number", f"{role}_date") if name in found]
        wrong = max(found.get(f"{role}_missing", 0), found["rows"] - max(readable, default=found["rows"]))
        if wrong:
            dates = ", or of dates such as 2024-01-31T12:00:00" if role == "time" else ""
            raise UserError(
                f"{name}: {wrong} of {found['rows']} values of {source.columns[role]} are missing or cannot be read, expected a "
                f"column of numbers{dates}; correct them, or choose another column with {role}_column"
            )
    large = found.get("time_large", 0) if found.get("time_whole") != found["rows"] == found.get("time_number") else 0
    if large or found.get("time_finer"):
        what = (
            "have more than 15 digits, beside others that are no integers" if large else "are finer than microseconds"
        )
        raise UserError(
            f"{name}: {large or found['time_finer']} values of {source.columns['time']} {what}, so the order would be lost; "
            "write all as integers of 64 bits"
        )
    if rounded := found.get("time_rounded"):
        logging.warning(
            "%s: %d times are floats beyond %d, which may have been rounded; write integers",
            *(name, rounded, FLOATS[source.kinds["time"]]),
        )
    units = [unit for unit in ("numbers", *UNITS) if found.get(f"unit_{unit}")]
    check_kinds(name, {unit: f"{found[f'unit_{unit}']} of {found['rows']} rows" for unit in units})
    blanks = sum(found.get(f"{role}_blanks", 0) for role in ("user", "item"))
    if blanks:
        logging.warning("%s: %d ids have blanks around them, which are removed", name, blanks)
    if found["missing"]:
        logging.warning(
            "%s: %d of %d rows have no user or no item and are left out", name, found["missing"], found["rows"]
        )
