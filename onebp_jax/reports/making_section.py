"""The sections on learning curves, speed, and how all was made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onebp_jax.analysis.frames import rows_of
from onebp_jax.evaluation.protocols import CRITERION
from onebp_jax.reports import html, pictures
from onebp_jax.reports.numbers import Numbers
from onebp_jax.reports.page import Section
from onebp_jax.reports.runs import Runs
from onebp_jax.reports.words import spread

_UNITS = {"epoch": "epochs", "seconds": "seconds of training and evaluation, without compilation"}
# Column of the frame -> its heading and digits.
_SPEED = {
    "epoch": ("chosen epoch", 0),
    "epochs": ("epochs done", 0),
    "step_ms": ("step, ms", 2),
    "epoch_ms": ("epoch, ms", 1),
    "to_best_s": ("to the chosen epoch, s", 1),
    "total_s": ("whole run, s", 1),
    "compile_s": ("of it compiling, s", 1),
    "vector_mb": ("vectors, MB", 2),
}


def curves(found: Runs, told: Numbers, folder: Path) -> Section:
    """The criterion against epochs and seconds, on each part that was watched."""
    parts, measured = [], told.curves.loc[told.curves["value"].notna()]
    for split in dict.fromkeys(measured["split"]):
        frame, shown = rows_of(measured, split=split), []
        for against, unit in _UNITS.items():
            picture = folder / f"curves_{split}_{against}.svg"
            pictures.curves(frame, found.names, against, f"{CRITERION} on {split}", picture)
            caption = f"{CRITERION} on {split} against {unit}. A line for each seed; the dot is the chosen epoch."
            shown.append(html.figure(picture, caption, caption))
        parts.append(html.grid(*shown))
    if parts and (others := [name for name in found.names if name not in set(measured["model"])]):
        parts.append(html.paragraph(f"Without a curve: {', '.join(others)}.", "note"))
    return Section("curves", "Learning curves", "Learning curves", parts)


def speed(found: Runs, told: Numbers, folder: Path) -> Section:
    """Time and sizes, and accuracy against time."""
    rows = []
    for name in found.names:
        own = rows_of(told.speed, model=name)
        rows.append([name, *(spread(own[column].astype(float), digits) for column, (_, digits) in _SPEED.items())])
    caption = (
        "Mean ± standard deviation over seeds, on the machine that made the runs, with whatever else it did. Vectors: those of "
        "users and items, as the run folder holds them."
    )
    parts = [html.table(caption, ["", *(head for head, _ in _SPEED.values())], rows)]
    accuracy = rows_of(told.metrics, metric=CRITERION).assign(y=lambda frame: frame["value"])
    both = accuracy.merge(told.speed, on=["model", "seed"])
    both["x"] = both["to_best_s"].fillna(both["total_s"]).clip(lower=1e-3)
    if len(both):
        picture = folder / "speed.svg"
        pictures.against(both, found.names, ("seconds to the chosen epoch", CRITERION), picture, log=True)
        caption = f"{CRITERION} against the seconds up to the chosen epoch (methods without epochs: the whole run)."
        parts.append(html.grid(html.figure(picture, caption, f"{caption} A dot for each run.")))
    return Section("speed", "Speed", "Speed", parts)


def how(found: Runs, commands: Sequence[str], own: str, files: str) -> Section:
    """The commands, and what the runs were made with."""
    told = [run.result.get("versions", {}) for run in found.runs]
    versions = dict.fromkeys(", ".join(f"{name} {version}" for name, version in one.items()) for one in told)
    parts = [
        html.paragraph("Each of these makes a run again; in its folder it finds that the run has ended."),
        html.code("\n".join(commands)),
        html.paragraph(f"This page, and the folder {files} with its numbers (CSV) and pictures (SVG):"),
        html.code(own),
        html.paragraph(f"Made with {'; '.join(versions)}.", "note"),
    ]
    return Section("how", "Commands", "How it was made", parts)
