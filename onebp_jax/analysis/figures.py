"""Figs. 3 and 5 of the paper and learning curves, out of finished runs: numbers (CSV), a picture (SVG) and a page (Markdown)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from onebp_jax.analysis import run_pictures
from onebp_jax.analysis.frames import rows_of
from onebp_jax.config import as_plain
from onebp_jax.evaluation.protocols import CRITERION, SELECTION
from onebp_jax.evaluation.tables import aligned
from onebp_jax.experiments.plan import ENCODERS, METHODS, VARIED, point_of, rows_of_figure
from onebp_jax.experiments.published import published
from onebp_jax.experiments.report import table
from onebp_jax.experiments.rows import Done
from onebp_jax.training.files import write_atomically
from onebp_jax.training.report import evaluations

_SHOWN = ("P@5", "NDCG@5", "R@20", "NDCG@20")
_EPOCHS = ("chosen", "done")
_TITLES = {
    "fig3": "Fig. 3: encoders with and without OneBP",
    "fig5": "Fig. 5: beta and negatives",
    "curves": "Learning curves",
}
_PAPER = {
    "fig3": "The paper prints Fig. 3 as an image, without numbers. It says that OneBP improves each encoder. Its Table 2 has the "
    "rows without OneBP, and MF with it.",
    "fig5": "The paper prints Fig. 5 as an image, without numbers. It says that the metrics rise a little from 1 - beta = 1e-1 "
    "to 1e-2 and are flat below that, and that more negatives help, less and less; it uses beta = .99 and 5 negatives.",
    "curves": "The paper prints no learning curves; it gives seconds an epoch.",
}


def frame_of(experiment: str, config, methods: Sequence[str], runs: Sequence[Done]) -> pd.DataFrame:
    """The numbers of an experiment in long form, one line per run, or per evaluation of `curves`.

    Args:
      experiment: fig3, fig5 or curves. config, methods: of its plan. runs: those that have ended, at least one.
    """
    lines = []
    for run in runs:
        base = {"row": run.row, "spec": run.spec, "seed": run.seed}
        if experiment == "curves":
            lines += [base | line for line in _evaluations(run)]
            continue
        result = run.result
        chosen = {"validation": result["validation"].get(CRITERION), "epoch": result["epoch"]}
        measured = base | chosen | {"epochs_done": result["epochs_done"]} | result["metrics"]
        lines += [place | measured for place in _places(experiment, config, methods, run.row)]
    return pd.DataFrame(lines)


def _places(experiment: str, config, methods: Sequence[str], row: str) -> list[dict]:
    """Where a row is in its figure; the point that both parts of Fig. 5 share is in each."""
    if experiment == "fig3":
        method = row.partition(":")[0]
        encoder = next(name for name, pair in ENCODERS.items() if method in pair)
        return [{"encoder": encoder, "onebp": method == ENCODERS[encoder][1]}]
    return [
        {"method": spec, "field": field, "value": value}
        for spec in methods
        for field, values in VARIED.items()
        for value in values
        if point_of(config, spec, field, value) == row
    ]


def _evaluations(run: Done) -> list[dict]:
    lines = evaluations(run.folder / "metrics.jsonl")
    chosen = run.result["epoch"]
    return [
        {
            "epoch": line["epoch"],
            "seconds": line["seconds"],
            "loss": line["loss"],
            "validation": line["metrics"].get(CRITERION),
            "chosen": line["epoch"] == chosen,
        }
        for line in lines
    ]


def write_figure(
    experiment: str, config, methods: Sequence[str], runs: Sequence[Done], seeds: Sequence[int], out: Path, command: str
) -> Path:
    """Writes `EXPERIMENT.csv`, `.svg` and `.md` to a folder, and returns the path of the page.

    Args:
      experiment, config, methods, runs: as for `frame_of`; methods are the rows that were asked for, or none.
      seeds: of the plan, which may have more than the runs. command: what made them.
    """
    methods = list(methods) or list(METHODS[experiment])
    frame, name = frame_of(experiment, config, methods, runs), out / experiment
    draw = {"fig3": run_pictures.encoders, "fig5": run_pictures.varied, "curves": run_pictures.curves}[experiment]
    draw(frame, name.with_suffix(".svg"))
    write_atomically(
        name.with_suffix(".csv"), lambda file: frame.to_csv(file, index=False, float_format="%.6g", lineterminator="\n")
    )
    text = _page(experiment, config, methods, frame, runs, seeds, command)
    write_atomically(name.with_suffix(".md"), lambda file: file.write(text.encode()))
    return name.with_suffix(".md")


def _page(experiment: str, config, methods, frame: pd.DataFrame, runs: Sequence[Done], seeds, command: str) -> str:
    plain, first = as_plain(config), runs[0].result
    fields = ("learning_rate", "l2", "beta", "num_negatives", "dim", "batch_size", "epochs", "patience", "eval_every")
    settings = ", ".join(f"{field}={plain[field]}" for field in fields)
    expected = rows_of_figure(experiment, config, methods)
    ended = {(run.row, run.seed) for run in runs}
    missing = [f"{row} (seed {seed})" for seed in seeds for row in expected if (row, seed) not in ended]
    changed = [run.spec for run in runs if run.spec != run.row and run.seed == runs[0].seed]
    parts = [
        f"# {_TITLES[experiment]}, {first['dataset']} (split: {first['split']})",
        f"    {command}",
        f"Protocol honest: {SELECTION['honest']}. Seeds {', '.join(map(str, seeds))}; mean ± standard deviation over seeds.",
        f"The settings of each row were chosen on validation, with equal trials: {'; '.join(changed)}. The rest: {settings}."
        if changed
        else f"All rows have the same settings except what their names say: {settings}.",
        *([f"**Not made, for lack of time or because they failed**: {', '.join(missing)}."] if missing else []),
        f"![{_TITLES[experiment]}]({experiment}.svg)",
        *_TABLES[experiment](frame, runs),
        _PAPER[experiment],
    ]
    return "\n\n".join(parts) + "\n"


def _of_runs(runs: Sequence[Done]) -> dict[str, list[Done]]:
    found: dict[str, list[Done]] = {}
    for run in runs:
        found.setdefault(run.row, []).append(run)
    return found


def _encoders(frame: pd.DataFrame, runs: Sequence[Done]) -> list[str]:
    rows = [(row, [run.result["metrics"] for run in of_row]) for row, of_row in _of_runs(runs).items()]
    parts = ["On the test set:", table(rows, _SHOWN), "What OneBP changes, seed by seed:", _gains(frame)]
    first = runs[0].result
    names = {"twobp": "MF", "lightgcn": "LightGCN", "ngcf": "NGCF", "onebp": "OneBP"}
    printed = [
        (name, found)
        for name in dict.fromkeys(names.get(run.row.partition(":")[0]) for run in runs)
        if name and first["split"] == "given" and (found := published(2, first["dataset"], name))
    ]
    if printed:
        parts += [
            "The paper's Table 2, where each metric is at its own best epoch on the test set, so higher than an honest number:",
            table([(name, [found]) for name, found in printed], _SHOWN),
        ]
    return parts


def _gains(frame: pd.DataFrame) -> str:
    """Of each encoder that has both, the metrics with OneBP minus those without."""
    lines = []
    for encoder in ENCODERS:
        sides = [
            {
                seed: at[list(_SHOWN)].mean()
                for seed, at in _groups(rows_of(frame, encoder=encoder, onebp=onebp), "seed")
            }
            for onebp in (False, True)
        ]
        if seeds := sorted(set(sides[0]) & set(sides[1])):
            gains = [(sides[1][seed] - sides[0][seed]).to_dict() for seed in seeds]
            lines.append((f"{encoder}, {len(seeds)} seed{'s' * (len(seeds) > 1)}", gains))
    return table(lines, _SHOWN) if lines else "No encoder has both."


def _varied(frame: pd.DataFrame, runs: Sequence[Done]) -> list[str]:
    parts, ended = [], {(run.row, run.seed): run.result for run in runs}
    for (method, field), points in _groups(frame, ["method", "field"]):
        rows = [
            (f"{field}={value:g}", [ended[key] for key in zip(at["row"], at["seed"], strict=True)])
            for value, at in _groups(points, "value")
        ]
        parts += [
            f"{method}, test set:",
            table([(name, [result["metrics"] for result in of_row]) for name, of_row in rows], _SHOWN),
            "Epochs:",
            table([(name, [_epochs(result) for result in of_row]) for name, of_row in rows], _EPOCHS, digits=0),
        ]
    return parts


def _groups(frame: pd.DataFrame, by) -> list[tuple[Any, pd.DataFrame]]:
    """The groups of a frame in ascending order of their keys."""
    grouped: Any = frame.groupby(by)
    return list(grouped)


def _epochs(result: dict) -> dict[str, float]:
    return dict(zip(_EPOCHS, (float(result["epoch"]), float(result["epochs_done"])), strict=True))


def _curves(frame: pd.DataFrame, runs: Sequence[Done]) -> list[str]:
    """Per row: the best value on validation, and the epochs and seconds to it and to nearly it."""
    lines = []
    for row, of_row in _of_runs(runs).items():
        found = np.mean([_reached(rows_of(frame, row=row, seed=run.seed)) for run in of_row], axis=0)
        lines.append([row, f"{found[0]:.4f}", *(f"{n:.{d}f}" for n, d in zip(found[1:], (0, 1, 0, 1), strict=True))])
    head = ["", f"best {CRITERION}", "epoch", "seconds", "epoch, to 99 % of it", "seconds, to 99 %"]
    rows = [(row, [run.result["metrics"] for run in of_row]) for row, of_row in _of_runs(runs).items()]
    return [
        "On validation, mean over seeds; seconds are of steps and evaluations, without compilation:",
        aligned(head, lines),
        "On the test set, at the epoch chosen on validation:",
        table(rows, _SHOWN),
    ]


def _reached(one: pd.DataFrame) -> list[float]:
    """The best value of a run, and the epoch and seconds of it, and of the first value that is 99 % of it."""
    value, epoch, seconds = (one[name].to_numpy(float) for name in ("validation", "epoch", "seconds"))
    best = int(value.argmax())
    near = int((value >= 0.99 * value[best]).argmax())
    return [value[best], epoch[best], seconds[best], epoch[near], seconds[near]]


_TABLES = {"fig3": _encoders, "fig5": _varied, "curves": _curves}
