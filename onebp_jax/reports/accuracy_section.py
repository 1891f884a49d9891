"""The section on accuracy, and what is said first of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from onebp_jax.analysis.frames import rows_of
from onebp_jax.evaluation.protocols import CRITERION, SELECTION
from onebp_jax.experiments.published import METRICS
from onebp_jax.reports import html, pictures
from onebp_jax.reports.numbers import Numbers
from onebp_jax.reports.page import Section
from onebp_jax.reports.runs import Runs
from onebp_jax.reports.words import plain, spread

# The metrics of the first table, those of the table of differences, and what another table has.
SHOWN = ("P@5", "R@5", "NDCG@5", "P@20", "R@20", "NDCG@20")
_DIFFERENT = ("NDCG@5", "NDCG@20", "R@20")
_MORE = ("HR@5", "HR@10", "HR@20", "MRR@5", "MRR@10", "MRR@20", "MAP@5", "MAP@10", "MAP@20")


def summary(found: Runs, told: Numbers) -> Section:
    """The first things to know, in sentences."""
    lines = []
    for protocol, best in told.best.items():
        values = rows_of(told.metrics, model=best, protocol=protocol, metric=CRITERION)["value"]
        alone = set(rows_of(told.metrics, protocol=protocol)["model"]) == {best}
        what = f"{spread(values)} of {CRITERION}" if alone else f"the highest {CRITERION}, {spread(values)},"
        lines.append(f"{best} has {what} on the test set (protocol {protocol}).")
        rows = rows_of(told.differences, protocol=protocol, model=best, metric=CRITERION)
        for than in dict.fromkeys(rows["than"]):
            one = rows_of(rows, than=than).iloc[0]
            line = f"It is ahead of {than} by {plain(one['mean'])}, 95 % interval {plain(one['low'])} to {plain(one['high'])}"
            line += f"; better for {100 * one['better']:.1f} % of the users, worse for {100 * one['worse']:.1f} %."
            sure = one["low"] > 0
            lines.append(line if sure else f"{line} The interval holds 0: these users do not tell the two apart.")
    if len(told.best) > 1:
        lines.append("Runs of different protocols are not compared: paper_oracle chooses on the test set.")
    if not told.best:
        lines.append(
            "There is no test part, or the vectors were refitted and have seen it. So there are no differences user by user, and "
            "the lists below are for all users, without all items that they are known to have."
        )
    return Section("summary", "In short", "In short", [html.bullets(lines)])


def section(found: Runs, told: Numbers, folder: Path) -> Section:
    """Metrics beside published ones, differences user by user, short and long histories."""
    frame, parts = told.metrics, []
    measured, protocols = set(frame["metric"]), list(dict.fromkeys(frame["protocol"]))
    columns = [name for name in SHOWN if name in measured] or sorted(measured)
    tables = lambda columns: [
        _metrics(protocol, rows_of(frame, protocol=protocol), told, columns) for protocol in protocols
    ]
    parts += tables(columns)
    if len(told.published):
        parts.append(html.paragraph(_PAPER, "note"))
    if others := [name for name in (*METRICS, *_MORE) if name in measured and name not in columns]:
        parts.append(html.details("All other metrics", *tables(others)))
    shown = []
    for protocol, best in told.best.items():
        rows = rows_of(told.differences, protocol=protocol, than=best)
        if len(rows):
            parts.append(_differences(protocol, best, rows))
            picture = folder / f"differences_{protocol}.svg"
            pictures.differences(rows_of(rows, metric=CRITERION), CRITERION, best, picture)
            caption = f"{CRITERION} ({protocol}): difference from {best}, with 95 % intervals over users."
            shown.append(html.figure(picture, caption, f"{caption} The table has the numbers."))
    if len(told.histories):
        pictures.by_history(told.histories, found.names, folder / "histories.svg")
        caption = f"{CRITERION} for quarters of the users, by the number of their training items."
        shown.append(html.figure(folder / "histories.svg", caption, f"Lines: {caption}"))
    return Section("accuracy", "Accuracy", "Accuracy", [*parts, *([html.grid(*shown)] if shown else [])])


_PAPER = (
    "Lines of the paper: Table 2 or 3 of arXiv 2403.18227, by its own protocol (each metric at its best epoch on the test set), "
    "so they are to be compared with paper_oracle."
)


def _metrics(protocol: str, frame: pd.DataFrame, told: Numbers, columns: Sequence[str]) -> str:
    rows, quiet = [], []
    for name in dict.fromkeys(frame["model"]):
        own, printed = rows_of(frame, model=name), rows_of(told.published, model=name)
        cells = [spread(rows_of(own, metric=metric)["value"]) for metric in columns]
        rows.append([name, str(own["seed"].nunique()), *cells])
        if len(printed):
            quiet.append(len(rows))
            cells = [spread(rows_of(printed, metric=metric)["value"]) for metric in columns]
            rows.append([f"the paper's {printed['row'].iloc[0]}", "", *cells])
    caption = f"{protocol}: {SELECTION[protocol]}. Mean ± standard deviation over seeds."
    return html.table(caption, ["", "seeds", *columns], rows, best=["", *["max"] * len(columns)], quiet=quiet)


def _differences(protocol: str, best: str, frame: pd.DataFrame) -> str:
    lines = []
    for name in dict.fromkeys(frame["model"]):
        own: Any = rows_of(frame, model=name).set_index("metric")
        value = lambda column, metric, own=own: plain(float(own[column][metric]), sign=True)
        cells = [f"{value('mean', m)} [{value('low', m)}, {value('high', m)}]" for m in _DIFFERENT]
        users = [f"{100 * float(own[column][CRITERION]):.1f} %" for column in ("better", "equal", "worse")]
        lines.append([name, *cells, *users])
    caption = (
        f"Difference from {best} ({protocol}), user by user: mean over users, each with the mean over seeds, and 95 % bootstrap "
        f"interval over users. Users who are better off, by {CRITERION}."
    )
    return html.table(caption, ["", *_DIFFERENT, "better", "equal", "worse"], lines)
