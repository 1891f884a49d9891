"""Finished runs, and the vectors that they began with, as the analyses look at them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from onebp_jax.data.dataset import Dataset
from onebp_jax.errors import UserError
from onebp_jax.evaluation import ranking
from onebp_jax.experiments.settings import names_of
from onebp_jax.methods.baselines import Baseline
from onebp_jax.methods.build import build_method
from onebp_jax.ops.geometry import without_lengths
from onebp_jax.training import run_folder, runner
from onebp_jax.training.files import read_json
from onebp_jax.training.run_folder import Trained

# The name of the vectors before the first step, and the methods whose start is shown where there is a run of them: it is random.
START = "start"
_RANDOM = ("twobp", "onebp")


class Model(NamedTuple):
    """The vectors of one run, or those that it began with.

    Attributes:
      name: what tables call it. seed: of the run. made: how, in words.
      user, item: `f32[M, d]` and `f32[N, d]`, for distances and angles. by_distance: whether it ranks by distance, else by
        dot product.
      lists: `int[M, k]`, the best items of each user without training items, best first; `N` where there are no more.
    """

    name: str
    seed: int
    made: str
    user: np.ndarray
    item: np.ndarray
    by_distance: bool
    lists: np.ndarray


def read_models(workdirs: Sequence[str], longest: int) -> tuple[Dataset, list[Model]]:
    """The data of several runs, and their models. One run of each seed also gives a model `START`, of `_RANDOM` or the first.

    Args:
      workdirs: folders of runs on the same data. longest: the length of the lists.

    Raises:
      UserError: a folder holds no finished run, or one that cannot be analysed; the runs are on other data; one is given twice.
    """
    runs = [run_folder.read_run(workdir, "runs") for workdir in workdirs]
    names = names_of([(run.result["label"], run.config) for run in runs])
    data, first, models = None, {}, []
    for workdir, run, name in zip(workdirs, runs, names, strict=True):
        dataset = check(workdir, run)
        if data is not None and not _same_data(data, dataset):
            raise UserError(f"runs={workdir}: it is on other data, or another split, than {workdirs[0]}")
        data, seed = data or dataset, int(run.result["seed"])
        if (name, seed) in {(model.name, model.seed) for model in models}:
            raise UserError(f"runs={workdir}: there is another run of {name} with seed {seed}; give it once")
        first.setdefault(seed, []).append((workdir, run, name))
        made = f"{run.result['protocol']}, epoch {run.result['epoch']}"
        models.append(_model(name, seed, made, (run.user, run.item), data, longest))
    assert data is not None
    starts = []
    for seed, of_seed in first.items():
        of_method = {run.result["method"]: (workdir, run, name) for workdir, run, name in reversed(of_seed)}
        workdir, run, name = next((of_method[one] for one in _RANDOM if one in of_method), of_seed[0])
        begun = f"before the first step of {name}"
        starts.append(_model(START, seed, begun, _first(workdir, run, data), data, longest))
    return data, [*starts, *models]


def check(workdir: str, run: Trained) -> Dataset:
    """The data of a run, in `workdir`, that can be analysed; raises `UserError` for one that cannot."""
    dataset = run_folder.read_dataset(workdir, run)
    if dataset is None:
        raise UserError(
            f"runs={workdir}: it holds no interactions, because it was streamed or made by 0.1.0: the analysis needs them"
        )
    if run.result.get("refit"):
        raise UserError(
            f"runs={workdir}: its vectors were refitted and have seen the test part: give a run with refit=False"
        )
    if not len(dataset.test):
        raise UserError(
            f"runs={workdir}: it has no test part, which the analysis of lists needs: give a run with a split"
        )
    if run.user.ndim > 2:
        raise UserError(f"runs={workdir}: its users have several vectors each, the analysis is for one vector")
    if isinstance(build_method(run.config), Baseline):
        raise UserError(
            f"runs={workdir}: {run.result['label']} is not trained, so it has no first vectors: leave it out"
        )
    if read_json(Path(workdir) / "config.json")["data"].get("init"):
        raise UserError(f"runs={workdir}: it began with the vectors of another run (init), which are not in the folder")
    return dataset


def _first(workdir: str, run: Trained, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The vectors that a run began with: a function of its configuration and its data."""
    method = build_method(run.config)
    assert not isinstance(method, Baseline)  # which `check` refuses
    try:
        _, begun = runner.prepare(run.config, method, dataset)
    except UserError as error:
        raise UserError(f"runs={workdir}: its first vectors cannot be made again: {error}") from error
    user, item = map(np.asarray, jax.device_get(begun.best))
    return user, item


def _model(name: str, seed: int, made: str, vectors: tuple, dataset: Dataset, longest: int) -> Model:
    plan = ranking.plan(dataset.num_users, dataset.num_items, dataset.train)
    user, item = vectors
    _, lists = ranking.top_k(jnp.asarray(user), jnp.asarray(item), plan, min(longest, dataset.num_items))
    users, items = without_lengths(user), without_lengths(item)
    if users is not None and items is not None:
        return Model(name, seed, made, users, items, True, np.asarray(lists))
    return Model(name, seed, made, user, item, False, np.asarray(lists))


def _same_data(a: Dataset, b: Dataset) -> bool:
    parts = ("user_ids", "item_ids", "train", "test")
    return all(np.array_equal(getattr(a, part), getattr(b, part)) for part in parts)
