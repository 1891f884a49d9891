"""Checks of arguments. Each raises ValueError with the name of the argument, what it must be, and what was given."""

from __future__ import annotations

import math
from collections.abc import Collection

from onebp_jax.errors import one_of


def check_count(name: str, value: float, least: int = 1) -> None:
    """`value` must be a whole number of at least `least`, which is 1 or 0."""
    if isinstance(value, bool) or not least <= value < math.inf or int(value) != value:
        kind = "positive whole number" if least else "whole number, zero or more"
        raise ValueError(f"{name} must be a {kind}, got {value}")


def check_choice(name: str, value: object, known: Collection[str]) -> None:
    """`value` must be one of the `known` names."""
    if value not in known:
        raise ValueError(f"{name} must be {one_of(value, known)}, got {value!r}")


def check_positive(name: str, value: float) -> None:
    """`value` must be finite and above 0."""
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be a positive number, got {value}")


def check_not_negative(name: str, value: float) -> None:
    """`value` must be finite and at least 0."""
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be zero or a positive number, got {value}")


def check_share(name: str, value: float, zero: bool = True, one: bool = True) -> None:
    """`value` must be between 0 and 1; `zero` and `one` say whether 0 and 1 are allowed."""
    if not (0 < value < 1 or (zero and value == 0) or (one and value == 1)):
        low, high = "at least 0" if zero else "above 0", "at most 1" if one else "below 1"
        raise ValueError(f"{name} must be {'between 0 and 1' if zero and one else f'{low} and {high}'}, got {value}")


def check_cosine_margin(name: str, value: float) -> None:
    """`value` must be a margin in cosine: at least -1 and below 1."""
    if not -1 <= value < 1:
        raise ValueError(f"{name} must be a cosine, at least -1 and below 1, got {value}")
