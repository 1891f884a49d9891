"""The models of the package `implicit` (extra `bench`) on the same data, for the benchmarks. Only this module imports it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from onebp_jax.data.dataset import Dataset
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.errors import UserError


class Implicit(NamedTuple):
    """The classes of implicit that run on a CPU, and the matrix that they take."""

    als: Any
    bpr: Any
    csr_matrix: Any


def load_implicit() -> Implicit:
    """The classes of implicit; raises `UserError`, with the command that installs it, if it is missing."""
    try:
        from implicit.cpu.als import AlternatingLeastSquares
        from implicit.cpu.bpr import BayesianPersonalizedRanking
        from scipy.sparse import csr_matrix
    except ImportError as error:
        raise UserError(
            f"peer=implicit needs the package {error.name}: python -m pip install 'onebp-jax[bench]', or choose another peer"
        ) from error
    return Implicit(AlternatingLeastSquares, BayesianPersonalizedRanking, csr_matrix)


def machine() -> dict[str, object]:
    """What the times depend on beside our own versions: processor, cores, device, versions of the peer's packages."""
    found: dict[str, object] = {"processor": _processor(), "cores": os.cpu_count()}
    found["device"] = jax.devices()[0].device_kind
    for name in ("implicit", "scipy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def user_items(pairs: np.ndarray, num_users: int, num_items: int):
    """Pairs `int[P, 2]` as a `scipy.sparse.csr_matrix float32[M, N]` of ones."""
    ones = np.ones(len(pairs), np.float32)
    return load_implicit().csr_matrix((ones, (pairs[:, 0], pairs[:, 1])), shape=(num_users, num_items))


def implicit_bpr_rate(dataset: Dataset | StreamedDataset, dim: int, epochs: int = 10) -> dict[str, float]:
    """An epoch of implicit's BPR on all cores: `epoch_s`, `examples_per_s`, `rows_per_s` (three rows per sample).

    The time of one epoch is subtracted from that of `1 + epochs`.

    Source: Rendle et al. 2009, as in `implicit.cpu.bpr`: for each pair one negative, verified against the user's items; a user
    row and two item rows are read, changed and written.
    """
    model, seconds = load_implicit().bpr, []
    matrix = user_items(dataset.train, dataset.num_users, dataset.num_items)
    for count in (1, 1 + epochs):
        fresh = model(factors=dim, iterations=count, random_state=0)
        started = time.perf_counter()
        fresh.fit(matrix, show_progress=False)
        seconds.append(time.perf_counter() - started)
    epoch = (seconds[1] - seconds[0]) / epochs
    return {"epoch_s": epoch, "examples_per_s": matrix.nnz / epoch, "rows_per_s": 3 * matrix.nnz / epoch}


def implicit_single_lists(user: np.ndarray, item: np.ndarray, pairs: np.ndarray, n: int, count: int) -> np.ndarray:
    """Milliseconds of `recommend` of implicit's ALS with these vectors, one user a call, in process: `f64[count]`.

    Args:
      user, item: `f32[M, e]`, `f32[N, e]`. pairs: `int[P, 2]`, left out of the lists. n: their length.
    """
    model = load_implicit().als(factors=user.shape[1])
    model.user_factors, model.item_factors = user, item
    matrix = user_items(pairs, len(user), len(item))
    rows, times = np.random.default_rng(0).integers(len(user), size=count + 20), []
    for row in rows.tolist():
        started = time.perf_counter()
        model.recommend(row, matrix[row], N=n, filter_already_liked_items=True)
        times.append(1000 * (time.perf_counter() - started))
    return np.array(times[20:])
