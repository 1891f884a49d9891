"""Numbers of any type -> whole numbers that nothing has rounded."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from onebp_jax.errors import UserError

MOST = np.iinfo(np.int64).max
MOST_OF_FLOATS = 2**53  # from it on a float of 64 bits does not hold each whole number


def whole_numbers(what: str, values: pd.Series, at: Callable, kind: Any = None) -> np.ndarray:
    """Numbers as int64, or as text if some are beyond it; raises `UserError` for one that is not whole.

    Args:
      kind: the type of the column that they are from, if another: pandas has no index of small floats.
    """
    if values.dtype.kind in "iu" and values.max() <= MOST:
        return values.to_numpy(np.int64)
    kind = values.dtype if kind is None else kind
    limit_of = lambda value: most_of_floats(type(value) if pd.api.types.is_object_dtype(kind) else kind)
    exact = [_as_integer(value, limit_of(value)) for value in values]
    wrong = pd.Series([value is None for value in exact])
    if wrong.any():
        where, value = at(wrong)
        is_float = isinstance(value, float | np.floating)
        limit = f" below {limit_of(value)} (floats of this type hold no more digits)" if is_float else ""
        raise UserError(
            f"{what}{where}: {value}, expected whole numbers{limit} or text; convert the column, or choose another"
        )
    try:
        return np.array(exact, np.int64)
    except OverflowError:
        return np.array(list(map(str, exact)), object)


@cache
def most_of_floats(kind: Any) -> int:
    """The number from which on floats of a type of NumPy or pandas do not hold each whole number; 2^53 for other types."""
    known: Any = getattr(kind, "numpy_dtype", getattr(kind, "subtype", kind))
    plain = np.dtype(known)
    return min(2 ** (np.finfo(plain).nmant + 1), MOST_OF_FLOATS) if plain.kind == "f" else MOST_OF_FLOATS


def _as_integer(value: object, limit: int) -> int | None:
    """The whole number that a number is; None if it has a fraction, or is a float of `limit` or more: one of two numbers."""
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else None
    number = float(value)  # type: ignore[arg-type]
    return int(number) if number % 1 == 0 and abs(number) < limit else None
