"""The expressions of a preparation: each function makes one ibis table from others and computes nothing.

Every engine must give the same rows. So they hold only what engines do alike: integers, comparisons of text by its bytes, MD5,
windows whose order has no ties, and regular expressions without special classes.

The tables: a log has the columns user, item and perhaps time and rating. An id table has id and row, numbers from 0 in the order
of the ids. Pairs have user and item (rows of the id tables), each pair once, and perhaps time and rating.
"""

from __future__ import annotations

from typing import Any

from onebp_jax.data.blanks import BLANKS, BREAKS
from onebp_jax.data.written_ids import IN_QUOTES
from onebp_jax.preparation.engines import Table

TRAIN, VALIDATION, TEST = range(3)
# Places of a pair: hexadecimal numbers of 12 digits, from the MD5 of its ids and the seed.
DIGITS = 12
_CLASS = lambda characters: "[" + "".join(f"\\x{{{ord(one):x}}}" for one in characters) + "]"
# Blanks around ids, and what no id may have: a line break, a zero character, or what replaced text that is not UTF-8.
EDGES = f"^{_CLASS(BLANKS)}+|{_CLASS(BLANKS)}+$"
BROKEN = _CLASS(BREAKS + "\ufffd")
WHOLE = r"^(?:0|-?[1-9][0-9]{0,17}|-[1-8][0-9]{18})$"
ANY_WHOLE = r"^(?:0|-?[1-9][0-9]*)$"
LONG = r"^[1-9][0-9]{18}$"
NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
WHOLE_POINT = r"^-?[0-9]+\.0*$"
WHOLE_FLOAT = r"^-?(?:0|[1-9][0-9]{0,14})(?:\.0*)?$"


def whole(text: Any) -> Any:
    """Whether each text is an int64, written as Python writes it."""
    return text.re_search(WHOLE) | (text.re_search(LONG) & (text <= str(2**63 - 1)))


def forms(text: Any) -> dict[str, Any]:
    """How many texts there are, and how many of each form that decides what ids become."""
    number = text.re_search(NUMBER)
    return {
        "texts": text.count(),
        "broken": text.re_search(BROKEN).sum(),
        "booleans": text.lower().isin(["true", "false"]).sum(),
        "integers": whole(text).sum(),
        "long_integers": text.re_search(ANY_WHOLE).sum(),
        "numbers": number.sum(),
        "scientific": (number & text.lower().contains("e")).sum(),
        "pointed": (number & text.contains(".")).sum(),
        "whole_points": text.re_search(WHOLE_POINT).sum(),
        "whole_floats": text.re_search(WHOLE_FLOAT).sum(),
        "in_quotes": text.re_search(IN_QUOTES).sum(),
    }


def id_table(ids: Table) -> Table:
    """The table of ids (a column id, no id twice), with the column row: numbers from 0 in the order of the ids."""
    import ibis

    return ids.select("id", row=ibis.row_number().over(ibis.window(order_by=ids.id)).cast("int64"))


def numbered(log: Table, users: Table, items: Table) -> Table:
    """The log with rows of the id tables in place of ids."""
    rest = [name for name in log.columns if name not in ("user", "item")]
    log = log.rename(user_id="user", item_id="item")
    log = log.join(users.select(user_id="id", user=users.row.cast("int32")), "user_id")
    log = log.join(items.select(item_id="id", item=items.row.cast("int32")), "item_id")
    return log.select("user", "item", *rest)


def one_row_per_pair(log: Table, keep: str) -> Table:
    """The first or the last row of each (user, item) by time; of rows at one time, or without times, the highest rating."""
    import ibis

    if "rating" not in log.columns:
        time = {"time": log.time.min() if keep == "first" else log.time.max()} if "time" in log.columns else {}
        return log.group_by(["user", "item"]).agg(**time) if time else log.select("user", "item").distinct()
    order = [ibis.desc("rating")]
    if "time" in log.columns:
        order = [ibis.asc("time") if keep == "first" else ibis.desc("time"), *order]
    place = ibis.row_number().over(ibis.window(group_by=["user", "item"], order_by=order))
    return log.mutate(place=place).filter(ibis._.place == 0).drop("place")


def with_enough(pairs: Table, role: str, least: int) -> Table:
    """The users (or items) with at least `least` of the pairs: one column, named by the role."""
    import ibis

    return pairs.group_by(role).agg(pairs=pairs.count()).filter(ibis._.pairs >= least).select(role)


def with_places(pairs: Table, users: Table, items: Table, seed: int) -> Table:
    """The pairs with two random places, from a hash of their original ids and the seed.

    `drawn` decides a random split, and the order of equal times; `place` the order in the files. They are independent.
    """
    import ibis

    pairs = pairs.join(users.select(user="row", user_id=users.id.cast("string")), "user")
    pairs = pairs.join(items.select(item="row", item_id=items.id.cast("string")), "item")
    text = ibis.literal(f"{seed}\n") + pairs.user_id + "\n" + pairs.item_id
    pairs = pairs.mutate(digest=text.hexdigest("md5")).drop("user_id", "item_id")
    return pairs.mutate(drawn=pairs.digest.substr(0, DIGITS), place=pairs.digest.substr(DIGITS, DIGITS)).drop("digest")


def held_out_per_user(pairs: Table, test: float | None, validation: float, by_time: bool) -> Table:
    """The pairs with the column part: the last pairs of each user are test, those before validation, the rest train.

    The column tied says that a pair is the last one before the test part and has the time of the first one in it.

    Of a user's n pairs `round(n * test)` are test, one if `test` is None, but never all; of the other n pairs
    `round(n * validation)` are validation, at least one if n is 5 or more, but never all. `round` is Python's.
    """
    import ibis

    order = [ibis.desc(name) for name in (["time"] if by_time else []) + ["drawn", "item"]]
    pairs = pairs.mutate(
        pairs_of_user=ibis._.count().over(ibis.window(group_by="user")),
        from_end=ibis.row_number().over(ibis.window(group_by="user", order_by=order)),
    )
    quota = ibis.literal(1, "int64") if test is None else _rounded(pairs.pairs_of_user, test)
    pairs = pairs.mutate(test=ibis.least(quota, pairs.pairs_of_user - 1))
    rest = pairs.pairs_of_user - pairs.test
    at_least = ((rest >= 5) & (validation > 0)).cast("int64")
    held_out = ibis.least(ibis.greatest(_rounded(rest, validation), at_least), rest - 1)
    part = ibis.cases(
        (pairs.from_end < pairs.test, TEST), (pairs.from_end < pairs.test + held_out, VALIDATION), else_=TRAIN
    )
    tied = ibis.literal(False)
    if by_time:
        next_time = ibis._.time.lag().over(ibis.window(group_by="user", order_by=order))
        pairs = pairs.mutate(next_time=next_time)
        tied = (pairs.from_end == pairs.test) & (pairs.test > 0) & (pairs.time == pairs.next_time)
    return pairs.mutate(part=part.cast("int8"), tied=tied).select("user", "item", "place", "part", "tied")


def held_out_from(pairs: Table, validation: Any, test: Any) -> Table:
    """The pairs with the column part: test from one time on, validation from an earlier one on; None: nothing."""
    import ibis

    branches = [(pairs.time >= cut, part) for cut, part in ((test, TEST), (validation, VALIDATION)) if cut is not None]
    part = ibis.cases(*branches, else_=TRAIN) if branches else ibis.literal(TRAIN)
    return pairs.mutate(part=part.cast("int8")).select("user", "item", "place", "part")


def renumbered(pairs: Table, users: Table, items: Table) -> Table:
    """The pairs in the numbers of the column new of two tables with the columns row and new."""
    pairs = pairs.rename(old_user="user", old_item="item")
    pairs = pairs.join(users.select(old_user="row", user=users.new.cast("int32")), "old_user")
    return pairs.join(items.select(old_item="row", item=items.new.cast("int32")), "old_item")


def in_range(pairs: Table, part: int, number: int, of: int) -> Table:
    """The pairs of a part whose place is in the range with this number, of so many equal ranges; in the order of places."""
    borders = [f"{16**DIGITS * edge // of:0{DIGITS}x}" for edge in (number, number + 1)]
    chosen = pairs.filter((pairs.part == part) & (pairs.place >= borders[0]))
    return chosen if number + 1 == of else chosen.filter(chosen.place < borders[1])


def _rounded(counts: Any, fraction: float) -> Any:
    """`round(counts * fraction)` as Python rounds: halves go to the even number."""
    import ibis

    product = counts.cast("float64") * ibis.literal(float(fraction), "float64")
    floor = product.floor().cast("int64")
    rest = product - floor.cast("float64")
    return floor + ((rest > 0.5) | ((rest == 0.5) & (floor % 2 == 1))).cast("int64")
