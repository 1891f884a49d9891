"""Numbers as a report writes them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable


def plain(value: float, digits: int = 4, sign: bool = False) -> str:
    """A number without the 0 before its point.

    >>> plain(0.4501), plain(-0.0152, sign=True), plain(12.34, 1), plain(0, 0)
    ('.4501', '−.0152', '12.3', '0')
    """
    text = f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "−")
    return text.replace("0.", ".", 1) if text.lstrip("+−").startswith("0.") else text


def counted(count: int, one: str) -> str:
    """A number of things.

    >>> counted(1, "run"), counted(2, "run")
    ('1 run', '2 runs')
    """
    return f"{count:,} {one}{'s' * (count != 1)}"


def spread(values: Iterable[float], digits: int = 4) -> str:
    """The mean and the standard deviation; of one value or of equal ones the value alone, of none nothing.

    >>> spread([0.25, 0.75], 2), spread([0.5, 0.5], 2), spread([float("nan")])
    ('.50 ±.35', '.50', '')
    """
    there = [float(value) for value in values if value == value]
    if not there:
        return ""
    sd = f" ±{plain(statistics.stdev(there), digits)}" if len(set(there)) > 1 else ""
    return plain(statistics.fmean(there), digits) + sd
