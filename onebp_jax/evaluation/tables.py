"""Metrics as Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of texts with aligned columns."""
    cells = [head, *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def by_length(metrics: dict[str, float]) -> str:
    """One run as a small table: a line per list length, a column per metric."""
    names = list(dict.fromkeys(name.split("@")[0] for name in metrics))
    lengths = sorted({int(name.split("@")[1]) for name in metrics})
    return aligned(["", *names], [[f"@{k}", *(f"{metrics[f'{name}@{k}']:.4f}" for name in names)] for k in lengths])
