"""The end of a run: the chosen vectors are measured on the test set, then `embeddings.npz` and `result.json` are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from onebp_jax.config import as_plain
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.evaluation_pairs import split_of
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.evaluation import protocols
from onebp_jax.evaluation.interests import interest_usage
from onebp_jax.evaluation.measure import measure
from onebp_jax.evaluation.protocols import Selection
from onebp_jax.parallel import processes
from onebp_jax.training import run_folder
from onebp_jax.training.placement import to_host
from onebp_jax.training.run import Progress
from onebp_jax.training.versions import versions


class Outcome(NamedTuple):
    """What a run came to.

    Attributes:
      tables: the chosen vectors, `(user [M, e], item [N, e])`: NumPy arrays of a method without training, else arrays on the
        devices, which may be sharded and padded.
      progress: of the run. epochs_done: 0 for a method without training.
      rank: see `run.Job`.
    """

    tables: tuple[Any, Any]
    progress: Progress = Progress(protocols.start())
    epochs_done: int = 0
    rank: Callable | None = None


def write_result(config, dataset: Dataset | StreamedDataset, workdir: Path, outcome: Outcome) -> dict:
    """Measures the chosen vectors on the test set (a trial does not), writes the last files, and returns the result."""
    seen, test = split_of(config, dataset, "test")
    metrics = {}
    if config.read_test and len(test):
        metrics = processes.plain_from_lead(measure(dataset, seen, test, *outcome.tables, outcome.rank))
    result = _result(config, dataset, outcome, metrics, test)
    tables = outcome.tables
    if not isinstance(tables[0], np.ndarray):
        tables = to_host(tables, (dataset.num_users, dataset.num_items))
    if tables is None or not processes.is_lead():
        return result
    user, item = tables
    if user.ndim == 3 and user.shape[1] > 1 and len(seen):
        result["interest_usage"] = interest_usage(user, item, seen)
    arrays = {"user": user, "item": item, "user_ids": dataset.user_ids, "item_ids": dataset.item_ids}
    if isinstance(dataset, Dataset):
        run_folder.write_dataset(workdir, dataset)
    run_folder.write_npz(workdir / "embeddings.npz", arrays)
    run_folder.write_json(workdir / "result.json", result)
    return result


def _result(config, dataset: Dataset | StreamedDataset, outcome: Outcome, metrics: dict, test: np.ndarray) -> dict:
    """What `result.json` holds."""
    plain, selection, seconds = as_plain(config), outcome.progress.selection, outcome.progress.seconds
    epochs_done = outcome.epochs_done
    if isinstance(dataset, StreamedDataset):
        chosen = len(dataset.validation) > 0
    else:
        chosen = config.protocol != "honest" or config.validation_fraction > 0
    result = {
        "method": plain["method"],
        "dataset": config.dataset,
        "split": dataset.split,
        "protocol": config.protocol,
        "selection": _selected_by(config, epochs_done, chosen),
        "seed": config.seed,
        "epoch": selection.epoch,
        "epochs_done": epochs_done,
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


def _selected_by(config, epochs_done: int, chosen: bool) -> str:
    """How the metrics of a result came about, for a person."""
    if not chosen:
        return "none: the last epoch, there is no validation part"
    if not config.read_test:
        return f"a trial: {protocols.CRITERION} on validation, the test set was not read"
    return protocols.SELECTION[config.protocol] if epochs_done else "none: nothing was trained"
