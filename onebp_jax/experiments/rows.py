"""Makes the runs of a figure: for each row a search on validation if there is one, then the final runs, seed by seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from onebp_jax.data.dataset import Dataset
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.errors import RunFailed
from onebp_jax.experiments.budget import Budget, OutOfTime
from onebp_jax.experiments.compare import check_runs
from onebp_jax.experiments.plan import final, tries_of
from onebp_jax.experiments.report import as_settings
from onebp_jax.experiments.sweep import run_trials, trial_config


class Done(NamedTuple):
    """A final run that has ended.

    Attributes:
      row: as it was asked for. spec: the row with the settings that its trials chose. seed: of the run.
      folder: of the run. result: the contents of its `result.json`.
    """

    row: str
    spec: str
    seed: int
    folder: Path
    result: dict


def run_rows(
    config,
    dataset: Dataset | StreamedDataset,
    workdir: Path,
    rows: Sequence[str],
    seeds: Sequence[int],
    trials: int,
    budget: Budget,
    layout=None,
    say: Callable = print,
) -> list[Done]:
    """The final runs that there is time for; all rows with the first seed come first.

    Args:
      config, dataset, layout: as for `train`. workdir: the folder of all runs. rows: specs, of `plan.rows_of_figure`.
      trials: as for `plan`. budget: runs them. say: is told what is chosen and what fails.

    Raises:
      UserError: a row that the data do not allow; nothing has run then.
    """
    first = [final(config, row, seeds[0]) for row in rows]
    check_runs([(run.row, run.config, workdir / str(run.folder)) for run in first], dataset, layout)
    workdir.mkdir(parents=True, exist_ok=True)
    specs, found = {}, []
    for row in rows:
        try:
            specs[row] = _tuned(config, dataset, workdir, row, trials, budget, layout, say) if trials > 1 else row
        except OutOfTime:
            say(f"{row}: no time for its trials")
        except RunFailed as error:
            say(f"{row}: {error}")
    for seed in seeds:
        for row, spec in specs.items():
            run = final(config, spec, seed)
            folder = workdir / str(run.folder)
            try:
                found.append(Done(row, spec, seed, folder, budget.train(run.config, dataset, folder, layout)))
            except OutOfTime:
                continue
            except RunFailed as error:
                say(f"{spec}, seed {seed}: failed: {error}")
    return found


def _tuned(config, dataset, workdir: Path, row: str, trials: int, budget: Budget, layout, say: Callable) -> str:
    """The spec of a row with the settings that are best on validation."""
    changes = tries_of(config, row, trials)
    found = run_trials(config, dataset, workdir / "trials", row, changes, layout, run=budget.train)
    if found["chosen"] is None:
        raise RunFailed("no trial has a finite validation value")
    chosen = changes[found["chosen"]]
    say(f"{row}: of {len(changes)} trials the best on validation: {as_settings(chosen)}")
    return trial_config(config, row, chosen)[0]
