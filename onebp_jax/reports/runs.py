"""The finished runs of a report, as it needs them: results, evaluations, and lists for all users that count."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import ml_collections
import numpy as np

from onebp_jax.data.dataset import Dataset
from onebp_jax.data.evaluation_pairs import split_of
from onebp_jax.errors import UserError
from onebp_jax.evaluation import ranking
from onebp_jax.evaluation.protocols import CRITERION
from onebp_jax.experiments.settings import names_of
from onebp_jax.training import run_folder
from onebp_jax.training.report import evaluations
from onebp_jax.training.run_folder import Trained


class Run(NamedTuple):
    """One run.

    Attributes:
      folder: of the run, as it was given. name: what tables call it; runs that differ in seeds only have the same name.
      config, result: as `run_folder.read_run` gives them. evaluations: the lines of its `metrics.jsonl`.
      lists: `int[users, k]`, the best items of each user of the report without known items, best first; `N` where there are no
        more.
      vector_bytes: the size of its vectors of users and items.
    """

    folder: str
    name: str
    seed: int
    config: ml_collections.ConfigDict
    result: dict
    evaluations: list[dict]
    lists: np.ndarray
    vector_bytes: int


class Runs(NamedTuple):
    """Runs on the same data.

    Attributes:
      dataset: their data. runs: the best method first, and its seeds in their order.
      users: `int[users]`, the users with lists: those with test pairs; all users if there is no test part.
      wanted: `int[T, 2]`, (place in `users`, item), the test pairs; none without a test part.
    """

    dataset: Dataset
    runs: list[Run]
    users: np.ndarray
    wanted: np.ndarray

    @property
    def names(self) -> list[str]:
        """The names, in the order of the runs."""
        return list(dict.fromkeys(run.name for run in self.runs))

    def of(self, name: str) -> list[Run]:
        """The runs of a name."""
        return [run for run in self.runs if run.name == name]

    @property
    def tested(self) -> bool:
        """Whether the lists can be compared with test pairs."""
        return len(self.wanted) > 0


def read(folders: Sequence[str], longest: int, said: str = "runs") -> Runs:
    """Reads runs and ranks their items.

    Args:
      folders: of finished runs on the same data. longest: the length of the lists. said: what a message calls the folders.

    Raises:
      UserError: a folder holds no finished run or no interactions, the runs are on other data, or one is given twice.
    """
    data, users, found = None, np.zeros(0, int), []
    for folder in folders:
        run = run_folder.read_run(folder, said)
        dataset = _data_of(folder, run, said)
        if data is None:
            data = dataset
            users = np.unique(data.test[:, 0]) if len(data.test) else np.arange(data.num_users)
        elif not _same_data(data, dataset):
            raise UserError(
                f"{said}={folder}: it is on other data than {folders[0]}, on another split, or refitted where that is not: a "
                "report is of runs on the same data and split"
            )
        size = run.user.nbytes + run.item.nbytes
        lines = evaluations(Path(folder) / "metrics.jsonl")
        if run.result.get("epochs_done") and not lines:
            raise UserError(f"{said}={folder}: its metrics.jsonl is gone: restore it, or give another run")
        lists = _lists(data, run, users, longest)
        found.append(Run(folder, "", int(run.result["seed"]), run.config, run.result, lines, lists, size))
    assert data is not None
    names = names_of([(run.result["label"], run.config) for run in found])
    runs = _best_first([run._replace(name=name) for run, name in zip(found, names, strict=True)])
    _check_once(runs, said)
    wanted = _wanted(data, runs)
    if len(wanted):
        kept = np.isin(users, wanted[:, 0])
        users, runs = users[kept], [run._replace(lists=run.lists[kept]) for run in runs]
    return Runs(data, runs, users, np.stack([np.searchsorted(users, wanted[:, 0]), wanted[:, 1]], 1))


def _best_first(runs: list[Run]) -> list[Run]:
    """The runs by the mean of the criterion over the runs of a name, on test or else on validation; seeds in their order."""
    value = lambda run: (run.result["metrics"] or run.result.get("validation", {})).get(CRITERION) or 0.0
    of_name: dict[str, list[float]] = {}
    for run in runs:
        of_name.setdefault(run.name, []).append(value(run))
    return sorted(runs, key=lambda run: (-sum(of_name[run.name]) / len(of_name[run.name]), run.name, run.seed))


def _check_once(runs: Sequence[Run], said: str) -> None:
    seen = {}
    for run in runs:
        if other := seen.get((run.name, run.seed)):
            raise UserError(
                f"{said}={run.folder}: {other} is a run of {run.name} with seed {run.seed} too; give it once"
            )
        seen[run.name, run.seed] = run.folder


def _data_of(folder: str, run: Trained, said: str) -> Dataset:
    dataset = run_folder.read_dataset(folder, run)
    if dataset is None:
        raise UserError(
            f"{said}={folder}: it holds no interactions.npz, which a report needs for lists; streamed runs and those of 0.1.0 "
            "have none"
        )
    return dataset


def _same_data(first: Dataset, other: Dataset) -> bool:
    parts = ("user_ids", "item_ids", "train", "test")
    return all(np.array_equal(getattr(first, part), getattr(other, part)) for part in parts)


def _wanted(dataset: Dataset, runs: Sequence[Run]) -> np.ndarray:
    """The test pairs that all runs can be asked for. A run that measured some random users (`eval_users`) is asked for all."""
    wanted = dataset.test
    for run in runs:
        config = run.config.copy_and_resolve_references()
        config.eval_users = 0
        wanted = wanted[np.isin(wanted[:, 0], split_of(config, dataset, "test")[1][:, 0])]
    return wanted


def _lists(dataset: Dataset, run: Trained, users: np.ndarray, longest: int) -> np.ndarray:
    known = dataset.train[np.isin(dataset.train[:, 0], users)]
    rows = np.stack([np.searchsorted(users, known[:, 0]), known[:, 1]], 1)
    plan = ranking.plan(len(users), dataset.num_items, rows)
    _, lists = ranking.top_k(jnp.asarray(run.user[users]), jnp.asarray(run.item), plan, longest)
    return np.asarray(lists)
