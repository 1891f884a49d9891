"""Hyper-parameter search on validation alone: the same number of trials for each method, each trial a run.

space, method --> settings of each trial --> runs that never read the test set --> the best by validation NDCG@20
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from onebp_jax.config.by_size import examples
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.errors import RunFailed, UserError, one_of
from onebp_jax.evaluation import protocols
from onebp_jax.experiments.compare import check_runs, variant
from onebp_jax.experiments.report import aligned, as_settings
from onebp_jax.experiments.search_space import SEARCHES, Settings, Space, plain, settings
from onebp_jax.methods.build import unused_fields
from onebp_jax.training import run_folder
from onebp_jax.training.folder_kinds import check_kind
from onebp_jax.training.run import Seconds
from onebp_jax.training.train import train


def trial_config(config, method: str, changes: Settings):
    """`(name, config)` of a trial: the name is `METHOD:FIELD=VALUE:..`; the run is honest and does not read the test set."""
    name = ":".join([method, *(f"{field}={value}" for field, value in changes.items())])
    trial = variant(config, name, config.seed, "space" if changes else "spec")
    trial.protocol, trial.read_test = "honest", False
    if idle := unused_fields(examples(trial)[0], changes):
        raise UserError(f"space={idle[0]!r}: it has no effect on method={method!r}")
    return name, trial


def planned(config, workdir: Path, method: str, changes: Sequence[Settings]) -> list[tuple]:
    """The trials of a method: `(name, config, folder)` of each."""
    named = [trial_config(config, method, one) for one in changes]
    return [(name, trial, workdir / name.replace(":", "-").replace("/", "_")) for name, trial in named]


def run_trials(
    config,
    dataset: Dataset | StreamedDataset,
    workdir: Path,
    method: str,
    changes: Sequence[Settings],
    layout=None,
    note=None,
    run: Callable | None = None,
) -> dict:
    """Runs the trials of one method; a finished trial is read back.

    Args:
      config, dataset, layout: as for `train`. workdir: each trial has a folder in it. method: a name.
      changes: from `settings`. note: `note(report)` is called after each trial. run: in place of `train`.

    Returns:
      `{"trials": [{"settings", "validation", "epoch", "epochs_done", "seconds", "folder"}], "chosen": index or None}`; a failed
      trial has the validation None and the reason in "failed". Of equal values the first is chosen.

    Raises:
      UserError: a trial that cannot be configured; nothing has run then.
    """
    trials, report = planned(config, workdir, method, changes), {"trials": [], "chosen": None}
    for (_, trial, folder), one in zip(trials, changes, strict=True):
        line = {"settings": one, "validation": None, "folder": folder.name}
        try:
            result = (run or train)(trial, dataset, folder, layout)
            line["validation"] = result["validation"][protocols.CRITERION]
            clocks = [result["seconds"].get(name, 0) for name in Seconds._fields]
            line |= {"epoch": result["epoch"], "epochs_done": result["epochs_done"], "seconds": round(sum(clocks), 3)}
        except RunFailed as error:
            line["failed"] = str(error)
        report["trials"].append(line)
        values = [one["validation"] for one in report["trials"]]
        report["chosen"] = max(
            (i for i, value in enumerate(values) if value is not None), key=lambda i: values[i], default=None
        )
        if note:
            note(report)
    return report


def plan(config, workdir: Path, names: Sequence[str], space: Space, trials: int, search="random", seed=0) -> tuple:
    """The settings of a method's trials and `(name, config, folder)` of all runs, which need no data.

    Raises:
      UserError: a trial that no data allow.
    """
    if not names or len(set(names)) < len(names):
        raise UserError(f"methods={','.join(names)}: expected one or more, each of them once")
    if search not in SEARCHES:
        raise UserError(f"search={search!r}: expected {one_of(search, SEARCHES)}")
    changes = settings(config, space, trials, search, seed)
    return changes, [run for method in names for run in planned(config, workdir, method, changes)]


def sweep(
    config,
    dataset: Dataset | StreamedDataset,
    workdir: Path,
    names: Sequence[str],
    space: Space,
    trials: int,
    search="random",
    seed=0,
    layout=None,
    say=print,
) -> dict:
    """Runs `trials` trials of each method; writes `sweep.json` in `workdir` before the first and after each, and returns it."""
    changes, runs = plan(config, workdir, names, space, trials, search, seed)
    report = {
        "dataset": config.dataset,
        "split": dataset.split,
        "criterion": f"{protocols.CRITERION} on validation; the test set is not read",
        "config_seed": config.seed,
        "search": search,
        "search_seed": seed,
        "space": plain(space),
        "trials_per_method": trials,
        "methods": {},
    }
    check_kind(workdir, "a sweep")
    _check_folder(workdir / "sweep.json", report)
    check_runs(runs, dataset, layout)
    workdir.mkdir(parents=True, exist_ok=True)
    if not (workdir / "sweep.json").exists():
        run_folder.write_json(workdir / "sweep.json", report)
    for method in names:

        def note(done: dict, method=method) -> None:
            report["methods"][method] = done
            run_folder.write_json(workdir / "sweep.json", report)
            line = done["trials"][-1]
            say(f"{method} {len(done['trials'])}/{trials}  {as_settings(line['settings'])}  {value_of(line)}")

        run_trials(config, dataset, workdir, method, changes, layout, note)
    return report


def _check_folder(path: Path, report: dict) -> None:
    """Raises `UserError` if the folder holds another search, whose report would be lost."""
    if not path.exists():
        return
    theirs, mine = run_folder.read_json(path), json.loads(json.dumps(report))
    for field in set(mine) - {"trials_per_method", "methods"}:
        if theirs.get(field) != mine[field]:
            raise UserError(
                f"{path.parent} holds a search with other settings: {field} is {theirs.get(field)!r} there and "
                f"{mine[field]!r} here; nothing was touched, use another folder"
            )


def value_of(line: dict) -> str:
    """The validation value of a trial, for a person to read."""
    if line["validation"] is None:
        return f"failed: {line.get('failed', 'no value is a finite number')}"
    return f"{line['validation']:.4f}"


def table(report: dict) -> str:
    """The trials of every method as Markdown, the best first, the chosen one marked."""
    rows = []
    for method, done in report["methods"].items():
        values = [-math.inf if line["validation"] is None else line["validation"] for line in done["trials"]]
        for index in sorted(range(len(values)), key=lambda index, values=values: -values[index]):
            line = done["trials"][index]
            seconds = f"{line['seconds']:.1f}" if "seconds" in line else ""
            mark = "chosen" if index == done["chosen"] else ""
            told = [value_of(line), str(line.get("epoch", "")), seconds, mark]
            rows.append([method, as_settings(line["settings"]), *told])
    told = (
        f"{report['dataset']} ({report['split']}): {report['criterion']}; {report['trials_per_method']} trials per method, "
        f"{report['search']} search, search seed {report['search_seed']}."
    )
    return f"{told}\n\n{aligned(['method', 'settings', 'validation', 'epoch', 'seconds', ''], rows)}"
