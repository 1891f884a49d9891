"""One point in time that splits all pairs, found by counting: no engine has to sort, and all find the same."""

from __future__ import annotations

from typing import Any

from onebp_jax.errors import UserError
from onebp_jax.preparation.engines import Table

# Thresholds that one look at the pairs counts.
AT_ONCE = 15


def cut(pairs: Table, fraction: float) -> Any:
    """The time from which on pairs are held out, as `onebp_jax.data.splits.one_cut` chooses it; None: hold out nothing.

    Pairs of equal time stay together, so the share held out is the nearest possible to `fraction`, but neither all nor none.

    Raises:
      UserError: all pairs have the same time.
    """
    count = int(pairs.count().to_pyarrow().as_py())
    wanted = round(count * fraction)
    if not wanted:
        return None
    last = _kth(pairs, count - wanted)
    from_last, after = (
        int(pairs.filter(late).count().to_pyarrow().as_py()) for late in (pairs.time >= last, pairs.time > last)
    )
    if from_last == count and not after:
        raise UserError(
            f"split=time_global: all {count} pairs have the same time; use split=ratio, or another time_column"
        )
    nearest = min((from_last, after), key=lambda held: (held in (0, count), abs(held - wanted)))
    return last if nearest == from_last else pairs.filter(pairs.time > last).time.min().to_pyarrow().as_py()


def _kth(pairs: Table, k: int) -> Any:
    """The time at place `k`, counted from 0, of the times in ascending order."""
    low, high = _ends(pairs)
    before = 0  # pairs before `low`
    while low < high:
        step = (high - low) / (AT_ONCE + 1) if isinstance(low, float) else max(1, (high - low) // (AT_ONCE + 1))
        edges = sorted(
            {edge for number in range(1, AT_ONCE + 1) if low < (edge := low + step * number) <= high} or {high}
        )
        inside = pairs.filter((pairs.time >= low) & (pairs.time <= high))
        counted = inside.aggregate(**{f"n{number}": (inside.time < edge).sum() for number, edge in enumerate(edges)})
        counts = [before + int(found) for found in counted.to_pyarrow().to_pylist()[0].values()]
        place = sum(found <= k for found in counts)  # edges that are not above the time that is looked for
        inside = inside.filter(inside.time >= edges[place - 1]) if place else inside
        inside = inside.filter(inside.time < edges[place]) if place < len(edges) else inside
        before = counts[place - 1] if place else before
        low, high = _ends(inside)
    return low


def _ends(pairs: Table) -> tuple[Any, Any]:
    found = pairs.aggregate(low=pairs.time.min(), high=pairs.time.max()).to_pyarrow().to_pylist()[0]
    return found["low"], found["high"]
