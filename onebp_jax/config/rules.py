"""Rules for the value of one field: each returns what was expected, or an empty string for a value that fits."""

from __future__ import annotations

import math
from collections.abc import Callable

from onebp_jax.errors import one_of

Rule = Callable[[object], str]


def number(low: float, high: float = math.inf, *, above: bool = False, whole: bool = False) -> Rule:
    """A finite number from `low` to `high`, without `low` itself if `above`; a whole one if `whole`."""
    wanted = "a whole number" if whole else "a finite number"
    limits = f"{'above' if above else 'at least'} {low}" + (f" and at most {high}" if high < math.inf else "")

    def expected(value: object) -> str:
        if isinstance(value, bool) or not isinstance(value, int | float) or not -math.inf < value < math.inf:
            return wanted
        if whole and not isinstance(value, int):
            return wanted
        return "" if low <= value <= high and not (above and value == low) else limits

    return expected


def choice(*known: str) -> Rule:
    """One of these texts."""
    return lambda value: "" if value in known else one_of(value, known)


def optional(rule: Rule) -> Rule:
    """None, or what the rule wants."""
    return lambda value: "" if value is None or not (wanted := rule(value)) else f"{wanted}, or None"


def text(value: object) -> str:
    """A text."""
    return "" if isinstance(value, str) else "a text"


def true_or_false(value: object) -> str:
    """A `bool`."""
    return "" if isinstance(value, bool) else "True or False"


def checked_later(value: object) -> str:
    """Anything: the code that reads the field checks it."""
    del value
    return ""


def name_or_function(value: object) -> str:
    """A name or a function of the config: `onebp_jax.methods.build` checks it, because it knows the names."""
    return checked_later(value)
