"""The end of a run: the chosen vectors are measured on the test set, then `embeddings.npz` and `result.json` are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from onebp_jax.config import as_plain
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.evaluation_pairs import split_of
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.evaluation import protocols
from onebp_jax.evaluation.interests import interest_usage
from onebp_jax.evaluation.measure import measure
from onebp_jax.evaluation.protocols import Selection
from onebp_jax.methods.build import label
from onebp_jax.ops.fold import Fold
from onebp_jax.parallel import processes
from onebp_jax.training import run_folder
from onebp_jax.training.fold_file import write_fold
from onebp_jax.training.placement import to_host
from onebp_jax.training.report import write_report
from onebp_jax.training.run import Progress
from onebp_jax.training.versions import versions


class Outcome(NamedTuple):
    """What a run came to.

    Attributes:
      tables: the chosen vectors, `(user [M, e], item [N, e])`: NumPy arrays of a method without training, else arrays on the
        devices, which may be sharded and padded.
      progress: of the run. epochs_done: 0 for a method without training.
      rank, fold: see `run.Job`.
    """

    tables: tuple[Any, Any]
    progress: Progress = Progress(protocols.start())
    epochs_done: int = 0
    rank: Callable | None = None
    fold: Fold | None = None


def test_metrics(config, dataset: Dataset | StreamedDataset, outcome: Outcome) -> dict[str, float]:
    """The metrics of the chosen vectors on the test set; none in a trial, or without test pairs."""
    seen, test = split_of(config, dataset, "test")
    if not config.read_test or not len(test):
        return {}
    return processes.plain_from_lead(measure(dataset, seen, test, *outcome.tables, outcome.rank))


def write_result(
    config,
    dataset: Dataset | StreamedDataset,
    workdir: Path,
    outcome: Outcome,
    metrics: dict[str, float],
    refitted: Outcome | None = None,
) -> dict:
    """Writes the last files of a run, and returns the result.

    Args:
      outcome, metrics: of the first phase. refitted: of the second, whose vectors are then those of the run.
    """
    last = refitted or outcome
    result, tables = _result(config, dataset, outcome, metrics), last.tables
    if refitted:
        result["refit"] = _refit(dataset, refitted)
    if not isinstance(tables[0], np.ndarray):
        tables = to_host(tables, (dataset.num_users, dataset.num_items))
    if tables is None or not processes.is_lead():
        return result
    user, item = tables
    seen, _ = split_of(config, dataset, "test")
    if user.ndim == 3 and user.shape[1] > 1 and len(seen):
        result["interest_usage"] = interest_usage(user, item, seen)
    if isinstance(dataset, Dataset):
        run_folder.write_dataset(workdir, dataset)
    # From here to the new result the run has not ended: nobody may read old metrics with new vectors.
    (workdir / "result.json").unlink(missing_ok=True)
    arrays = {"user": user, "item": item, "user_ids": dataset.user_ids, "item_ids": dataset.item_ids}
    run_folder.write_npz(workdir / "embeddings.npz", arrays)
    if last.fold:
        write_fold(workdir, last.fold)
    _advise(config, outcome, result)
    write_report(workdir, config, result)
    run_folder.write_json(workdir / "result.json", result)
    return result


def _refit(dataset: Dataset | StreamedDataset, refitted: Outcome) -> dict:
    """What `result.json` says of the second phase."""
    pairs = len(dataset.train) + len(dataset.test)
    return {
        "says": f"the metrics are of the honest run; the vectors are refitted on all {pairs} pairs",
        "pairs": pairs,
        "epochs": refitted.epochs_done,
        "seconds": refitted.progress.seconds._asdict(),
    }


def _advise(config, outcome: Outcome, result: dict) -> None:
    """Warns if the best epoch is the last one: the run may have ended too early."""
    if result["validation"].get(protocols.CRITERION) and 0 < outcome.epochs_done == outcome.progress.selection.epoch:
        logging.warning(
            "the best epoch is the last one (%d): more epochs may be better; the same run with epochs=%d goes on from here",
            *(outcome.epochs_done, 2 * config.epochs),
        )


def _result(config, dataset: Dataset | StreamedDataset, outcome: Outcome, metrics: dict) -> dict:
    """What `result.json` holds."""
    plain, selection, seconds = as_plain(config), outcome.progress.selection, outcome.progress.seconds
    epochs_done = outcome.epochs_done
    if isinstance(dataset, StreamedDataset):
        chosen = len(dataset.validation) > 0
    else:
        chosen = config.protocol != "honest" or config.validation_fraction > 0
    _, test = split_of(config, dataset, "test")
    result = {
        "method": plain["method"],
        "label": label(config),
        "dataset": config.dataset,
        "split": dataset.split,
        "protocol": config.protocol,
        "selection": _selected_by(config, epochs_done, chosen, len(test)),
        "seed": config.seed,
        "epoch": selection.epoch,
        "epochs_done": epochs_done,
        "epochs": config.epochs,
        "patience": config.patience,
        "num_users": dataset.num_users,
        "num_items": dataset.num_items,
        "test_users": len(np.unique(test[:, 0])),
        "dim": config.dim if epochs_done else outcome.tables[1].shape[1],
        "optimizer": config.optimizer,
        "transform": plain["transform"],
        "table_dtype": config.table_dtype,
        "metrics": metrics,
        "validation": {protocols.CRITERION: selection.value} if chosen and config.protocol == "honest" else {},
        "seconds": seconds._asdict() | {"per_epoch": seconds.train / max(1, epochs_done)},
        "versions": versions(),
    }
    if isinstance(dataset, StreamedDataset):
        result["stream"] = {"window": config.stream_window, "touched_items_known": dataset.touched is not None}
    if config.protocol == "paper_oracle" and selection.oracle:
        result |= _oracle(selection, metrics)
    return result


def _oracle(selection: Selection, metrics: dict) -> dict:
    """The metrics of the protocol `paper_oracle`: each at its own best epoch on the test set."""
    return {
        "metrics": metrics | {name: value for name, (value, _) in selection.oracle.items()},
        "metric_epochs": {name: epoch for name, (_, epoch) in selection.oracle.items()},
        "metrics_at_epoch": metrics,
    }


def _selected_by(config, epochs_done: int, chosen: bool, test_pairs: int) -> str:
    """How the metrics of a result came about, for a person."""
    if not chosen:
        return "none: the last epoch, nothing is held out for validation"
    if not config.read_test:
        return f"a trial: {protocols.CRITERION} on validation, the test set was not read"
    if not epochs_done:
        return "none: nothing was trained"
    if not test_pairs:
        return f"one epoch, chosen on validation {protocols.CRITERION}; there is no test part"
    return protocols.SELECTION[config.protocol]
