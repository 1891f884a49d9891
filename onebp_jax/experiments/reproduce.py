"""Reproduces a table of the paper: tunes each row on validation with one budget, then runs several seeds by both protocols.

    row -> trials on validation (`sweep`) -> chosen settings -> honest runs -> paper_oracle runs -> one entry of a JSON list

The paper selected its numbers on the test set, each metric at its own best epoch. `paper_oracle` does the same; its results are
compared with the paper's, only on the split that the authors released. `honest` gives the fair result of a method. An oracle run
also trains on the validation pairs and does not stop early. It gets `ORACLE_SPAN` times the largest epoch that an honest run
chose, but no more than the config's epochs.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from onebp_jax import methods
from onebp_jax.config.by_size import is_open
from onebp_jax.config.fields import PROTOCOLS
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.errors import RunFailed, UserError, one_of
from onebp_jax.evaluation import protocols
from onebp_jax.experiments.budget import OutOfTime
from onebp_jax.experiments.compare import check_runs, variant
from onebp_jax.experiments.published import ROWS, published
from onebp_jax.experiments.search_space import plain, settings, size
from onebp_jax.experiments.spaces import space_of
from onebp_jax.experiments.sweep import planned, run_trials, trial_config
from onebp_jax.training import run_folder
from onebp_jax.training.folder_kinds import check_kind
from onebp_jax.training.run import Seconds
from onebp_jax.training.train import train

ORACLE_SPAN = 1.5


def rows_of(table: int, names: Sequence[str] = ()) -> tuple[dict[str, str], dict[str, str]]:
    """`(rows, missing)`, row -> method: rows of a table, or of the given methods; `missing` are those that we have no method for.

    Raises:
      UserError: an unknown table, or a given method that is unknown or given twice.
    """
    if table not in ROWS:
        raise UserError(f"table={table}: expected one of {', '.join(map(str, ROWS))}")
    if len(set(names)) < len(names):
        raise UserError(f"methods={','.join(names)}: expected each of them once")
    for name in names:
        if name not in methods.NAMED:
            raise UserError(f"methods={name!r}: expected {one_of(name, methods.NAMED)}; onebp train --help lists them")
    label = {method: row for row, method in ROWS[table].items()}
    wanted = {label.get(name, name): name for name in names} or ROWS[table]
    here = {row: method for row, method in wanted.items() if method in methods.NAMED}
    return here, {row: method for row, method in wanted.items() if row not in here}


def reproduce(
    config,
    dataset: Dataset | StreamedDataset,
    workdir: Path,
    table: int,
    rows: dict[str, str],
    trials: int,
    seeds: Sequence[int],
    out: Path,
    layout=None,
    say=print,
    run: Callable | None = None,
) -> list[dict]:
    """Makes the rows one after the other and writes `out` (a JSON list) after each; rows of other runs stay in it.

    Args:
      config, dataset, layout: as for `train`; the protocol of the config is not used.
      workdir: folder of all runs; finished runs are read back. table: the paper's, for the published numbers.
      rows: from `rows_of`. trials: per row; fewer if its space is smaller.
      seeds: of the final runs; trials have the seed of the config.
      run: in place of `train`, as `Budget.train`; a row for which it has no time is left as it is in `out`.
    """
    check_kind(workdir, "a reproduction")
    if is_open(config):
        raise UserError(
            "config: its fields are left to the size of the data; a table needs its own, as ml100k_table has them"
        )
    done = read_rows(out)
    budgets = {method: min(trials, size(space_of(method))) for method in rows.values()}
    changes = {method: settings(config, space_of(method), int(budgets[method])) for method in rows.values()}
    runs = {method: planned(config, workdir / "trials", method, changes[method]) for method in rows.values()}
    # The trials of a method differ only in numbers: if the first one fits, all do.
    check_runs([trials[0] for trials in runs.values()], dataset, layout)
    workdir.mkdir(parents=True, exist_ok=True)
    for row, method in rows.items():
        say(f"{row} ({method}): {len(changes[method])} trials")
        entry = {"table": table, "dataset": config.dataset, "split": dataset.split, "row": row, "method": method}
        entry["space"] = plain(space_of(method))
        try:
            entry |= _row(config, dataset, workdir, method, changes[method], seeds, layout, say, run)
        except OutOfTime:
            continue
        except RunFailed as error:
            entry["failed"] = str(error)
        # Another split than the released one is another experiment, also if the loader had to fall back on it.
        given = published(table, config.dataset, row) if dataset.split == "given" else None
        entry |= {"published": given, "difference_percent": _difference(entry, given)}
        same = [entry[name] for name in ("table", "dataset", "split", "row")]
        done = [old for old in done if [old.get(name) for name in ("table", "dataset", "split", "row")] != same]
        done.append(entry)
        run_folder.write_json(out, done)
    return done


def _row(
    config,
    dataset: Dataset | StreamedDataset,
    workdir: Path,
    method: str,
    changes: list,
    seeds: Sequence[int],
    layout,
    say: Callable,
    run: Callable | None,
) -> dict:
    """The entry of one method: its trials, the chosen settings, and its runs by both protocols."""

    def note(report: dict) -> None:
        line = report["trials"][-1]
        say(f"  trial {line['settings'] or 'as the config'}: {line['validation']}")

    tuned = run_trials(config, dataset, workdir / "trials", method, changes, layout, note, run)
    if tuned["chosen"] is None:
        raise RunFailed("no trial has a finite validation value")
    chosen = changes[tuned["chosen"]]
    spec, base = trial_config(config, method, chosen)
    entry = {
        "criterion": f"{protocols.CRITERION} on validation",
        "num_trials": len(changes),
        "trials": tuned["trials"],
        "settings": chosen,
        "learning_rate": base.learning_rate,
        "l2": base.l2,
        "seeds": list(seeds),
    }
    epochs = config.epochs
    for protocol in PROTOCOLS:
        results = []
        for seed in seeds:
            one = variant(config, spec, seed)
            one.protocol, one.epochs, one.read_test = protocol, epochs, True
            results.append((run or train)(one, dataset, workdir / final_folder(protocol, spec, one), layout))
            say(
                f"  {protocol} seed {seed}: test {protocols.CRITERION} {results[-1]['metrics'][protocols.CRITERION]:.4f}"
            )
        entry[protocol] = _summary(results, protocol, epochs)
        if most := max(result["epoch"] for result in results):
            epochs = min(config.epochs, math.ceil(ORACLE_SPAN * most))
    return entry


def final_folder(protocol: str, spec: str, config) -> Path:
    """Where a final run lies, below the folder of all runs."""
    return Path(protocol) / f"{spec.replace(':', '-').replace('/', '_')}-epochs{config.epochs}-seed{config.seed}"


def _summary(results: list[dict], protocol: str, epochs: int) -> dict:
    """The runs of one protocol: all seeds, their mean and sample standard deviation (None with one seed)."""
    runs = [result["metrics"] for result in results]
    columns = {name: [run[name] for run in runs] for name in runs[0]}
    several = len(runs) > 1
    return {
        "selection": protocols.SELECTION[protocol],
        "epochs_at_most": epochs,
        "epochs": [result["epoch"] for result in results],
        "epochs_done": [result["epochs_done"] for result in results],
        "seconds": [round(sum(result["seconds"].get(name, 0) for name in Seconds._fields), 3) for result in results],
        "metrics": runs,
        "mean": {name: statistics.fmean(values) for name, values in columns.items()},
        "sd": {name: statistics.stdev(values) if several else None for name, values in columns.items()},
        "versions": results[0]["versions"],
    }


def _difference(entry: dict, given: dict | None) -> dict | None:
    """Difference from the published numbers, in percent, of the mean by the paper's own protocol."""
    if "failed" in entry or not given:
        return None
    return {name: 100 * (entry["paper_oracle"]["mean"][name] / value - 1) for name, value in given.items()}


def read_rows(path: Path) -> list[dict]:
    """The rows of an earlier run; raises `UserError` if the file is something else."""
    if not path.exists():
        return []
    try:
        rows = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path} ({error}): restore it, or give another file") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "row" in row for row in rows):
        raise UserError(f"{path} is not a list of rows: nothing was touched, give another file")
    return rows
