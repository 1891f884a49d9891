"""The rows of `onebp_jax.experiments.reproduce` as Markdown: published beside measured."""

from __future__ import annotations

from collections.abc import Sequence

from onebp_jax.config.fields import PROTOCOLS
from onebp_jax.evaluation.protocols import SELECTION
from onebp_jax.experiments.published import ROWS

SHOWN = {2: ("P@5", "NDCG@5", "R@20", "NDCG@20"), 3: ("P@5", "R@5", "P@20", "R@20")}


def markdown(rows: Sequence[dict], table: int, dataset: str) -> str:
    """The rows of one table and data set, in the order of the paper: a table a metric, then how each row was made."""
    rows = [row for row in rows if (row["table"], row["dataset"]) == (table, dataset)]
    order = list(ROWS[table])
    rows.sort(key=lambda row: order.index(row["row"]) if row["row"] in order else len(order))
    splits = "; ".join(dict.fromkeys(row["split"] for row in rows))
    lines = [
        f"# Table {table} of arXiv 2403.18227, {dataset} (split: {splits})\n",
        "Mean ± standard deviation over seeds, on the test set.",
    ]
    lines += [f"- {protocol}: {SELECTION[protocol]}" for protocol in PROTOCOLS]
    for metric in SHOWN[table]:
        cells = [[row["row"], *_cells(row, metric)] for row in rows]
        lines += ["", f"## {metric}\n", _table(["method", "published", "paper_oracle", "difference", "honest"], cells)]
    head = ["method", "ours", "trials", "chosen", "seeds", "honest epochs", "oracle epochs, at most", "seconds"]
    return "\n".join([*lines, "", "## How\n", _table(head, [_how(row) for row in rows]), ""])


def _cells(row: dict, metric: str) -> list[str]:
    published = f"{row['published'][metric]:.4f}" if row["published"] else ""
    if "failed" in row:
        return [published, f"failed: {row['failed']}", "", ""]
    difference = f"{row['difference_percent'][metric]:+.1f} %" if row["difference_percent"] else ""
    oracle, honest = (_value(row[protocol], metric) for protocol in ("paper_oracle", "honest"))
    return [published, oracle, difference, honest]


def _value(part: dict, metric: str) -> str:
    mean, sd = part["mean"][metric], part["sd"][metric]
    return f"{mean:.4f}" if sd is None else f"{mean:.4f} ±{sd:.4f}"


def _how(row: dict) -> list[str]:
    if "failed" in row:
        return [row["row"], row["method"], "", f"failed: {row['failed']}", "", "", "", ""]
    chosen = " ".join(f"{field}={value}" for field, value in row["settings"].items()) or "as the config"
    seconds = sum(line.get("seconds", 0) for line in row["trials"])
    seconds += sum(sum(row[protocol]["seconds"]) for protocol in PROTOCOLS)
    epochs = " ".join(map(str, row["honest"]["epochs"]))
    count, seeds = str(row["num_trials"]), " ".join(map(str, row["seeds"]))
    most = str(row["paper_oracle"]["epochs_at_most"])
    return [row["row"], row["method"], count, chosen, seeds, epochs, most, f"{seconds:.0f}"]


def _table(head: list[str], cells: list[list[str]]) -> str:
    lines = [" | ".join(line) for line in [head, ["---"] * len(head), *cells]]
    return "\n".join(f"| {line} |" for line in lines)
