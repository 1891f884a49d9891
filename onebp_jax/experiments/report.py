"""Tables of metrics for a person to read: plain text, and Markdown for a file."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

HEAD = tuple(f"{name}@{k}" for k in (5, 10, 20) for name in ("P", "R", "F1", "NDCG"))


def table(
    rows: Sequence[tuple[str, Sequence[dict[str, float]]]], columns: Sequence[str] = HEAD, *, digits: int = 4
) -> str:
    """A Markdown table, one row a label: mean over the runs given for it, and `±` standard deviation where there are several.

    Args:
      rows: `(label, [metrics of each run])`. columns: metric names; one that a row lacks is left blank.
    """
    cells = [["", *columns]]
    for label, runs in rows:
        cells.append([label, *(_cell([run[name] for run in runs if name in run], digits) for name in columns)])
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _cell(values: list[float], digits: int) -> str:
    if not values:
        return ""
    if len(values) == 1 and isinstance(values[0], int):
        return str(values[0])
    mean = f"{statistics.fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ±{statistics.stdev(values):.{digits}f}"


def by_length(metrics: dict[str, float]) -> str:
    """One run as a small table: a line per list length, a column per metric."""
    names = list(dict.fromkeys(name.split("@")[0] for name in metrics))
    lengths = sorted({int(name.split("@")[1]) for name in metrics})
    rows = [(f"@{k}", [{name: metrics[f"{name}@{k}"] for name in names}]) for k in lengths]
    return table(rows, names)
