"""Results as Markdown tables: metrics of runs, trials of a search, and rows of the paper's tables."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from onebp_jax.config.fields import PROTOCOLS
from onebp_jax.evaluation.protocols import SELECTION
from onebp_jax.evaluation.tables import aligned, by_length
from onebp_jax.experiments.published import METRICS, ROWS

__all__ = ["SHOWN", "aligned", "as_settings", "by_length", "markdown", "table"]

# The metrics that `markdown` shows, for each table of the paper.
SHOWN = {2: ("P@5", "NDCG@5", "R@20", "NDCG@20"), 3: ("P@5", "R@5", "P@20", "R@20")}


def table(
    rows: Sequence[tuple[str, Sequence[dict[str, float]]]], columns: Sequence[str] = METRICS, *, digits: int = 4
) -> str:
    """A Markdown table with one row per label: the mean over its runs, and `±` standard deviation if there are several.

    Args:
      rows: `(label, [metrics of each run])`. columns: names of metrics; a row that lacks one has a blank there.
    """
    cells = [
        [label, *(_cell([run[name] for run in runs if name in run], digits) for name in columns)]
        for label, runs in rows
    ]
    return aligned(["", *columns], cells)


def _cell(values: list[float], digits: int) -> str:
    if not values:
        return ""
    if len(values) == 1 and isinstance(values[0], int):
        return str(values[0])
    return _spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, digits)


def _spread(mean: float, sd: float | None, digits: int = 4) -> str:
    return f"{mean:.{digits}f}" if sd is None else f"{mean:.{digits}f} ±{sd:.{digits}f}"


def as_settings(changes: dict) -> str:
    """The settings of a trial, for a person to read."""
    return " ".join(f"{field}={value}" for field, value in changes.items()) or "as the config"


def markdown(rows: Sequence[dict], number: int, dataset: str) -> str:
    """Published numbers beside measured ones: one Markdown table per metric, then how each row was made.

    Args:
      rows: entries of `onebp_jax.experiments.reproduce`; other tables and data sets are left out. number: of the paper's table.
    """
    rows = [row for row in rows if (row["table"], row["dataset"]) == (number, dataset)]
    order = list(ROWS[number])
    rows.sort(key=lambda row: order.index(row["row"]) if row["row"] in order else len(order))
    splits = "; ".join(dict.fromkeys(row["split"] for row in rows))
    lines = [
        f"# Table {number} of arXiv 2403.18227, {dataset} (split: {splits})\n",
        "Mean ± standard deviation over seeds, on the test set.",
        *(f"- {protocol}: {SELECTION[protocol]}" for protocol in PROTOCOLS),
    ]
    head = ["method", "published", "paper_oracle", "difference", "honest"]
    for metric in SHOWN[number]:
        lines += ["", f"## {metric}\n", aligned(head, [[row["row"], *_compared(row, metric)] for row in rows])]
    head = ["method", "ours", "trials", "chosen", "seeds", "honest epochs", "oracle epochs, at most", "seconds"]
    return "\n".join([*lines, "", "## How\n", aligned(head, [_how(row) for row in rows]), ""])


def _compared(row: dict, metric: str) -> list[str]:
    """Published, measured by the paper's protocol, their difference, and measured by the honest protocol."""
    published = f"{row['published'][metric]:.4f}" if row["published"] else ""
    if "failed" in row:
        return [published, f"failed: {row['failed']}", "", ""]
    difference = f"{row['difference_percent'][metric]:+.1f} %" if row["difference_percent"] else ""
    oracle, honest = (
        _spread(row[protocol]["mean"][metric], row[protocol]["sd"][metric]) for protocol in ("paper_oracle", "honest")
    )
    return [published, oracle, difference, honest]


def _how(row: dict) -> list[str]:
    """How a row was made: trials, the chosen settings, seeds, epochs and seconds."""
    if "failed" in row:
        return [row["row"], row["method"], "", f"failed: {row['failed']}", "", "", "", ""]
    seconds = sum(line.get("seconds", 0) for line in row["trials"])
    seconds += sum(sum(row[protocol]["seconds"]) for protocol in PROTOCOLS)
    epochs = " ".join(map(str, row["honest"]["epochs"]))
    count, seeds = str(row["num_trials"]), " ".join(map(str, row["seeds"]))
    most = str(row["paper_oracle"]["epochs_at_most"])
    return [row["row"], row["method"], count, as_settings(row["settings"]), seeds, epochs, most, f"{seconds:.0f}"]
