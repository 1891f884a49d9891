"""What others do with the same data, for the benchmarks: the models of the package `implicit` (extra `bench`)."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time

import jax
import numpy as np

from onebp_jax.data.dataset import Dataset
from onebp_jax.errors import UserError


def load_implicit():
    """`(implicit, scipy.sparse)`; a `UserError` that says how to install them where they are missing."""
    try:
        import implicit
        import scipy.sparse
    except ImportError as error:
        raise UserError(
            f"{error.name} is not installed: python -m pip install -e '.[bench]', or --peer=none"
        ) from error
    return implicit, scipy.sparse


def machine() -> dict[str, object]:
    """What the times depend on beside our own versions: processor, cores, device, the peers' versions."""
    found = {"processor": _processor(), "cores": os.cpu_count(), "device": jax.devices()[0].device_kind}
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


def user_items(dataset: Dataset):
    """The training pairs as a `scipy.sparse.csr_matrix float32[M, N]`."""
    _, sparse = load_implicit()
    users, items = np.asarray(dataset.train).T
    shape = dataset.num_users, dataset.num_items
    return sparse.csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=shape)


def implicit_bpr_rate(dataset: Dataset, dim: int, epochs: int = 10) -> dict[str, float]:
    """An epoch of implicit's BPR on all cores: `epoch_s`, `examples_per_s`, `rows_per_s` (three rows a sample).

    Source: Rendle et al. 2009, as in `implicit.cpu.bpr`: for each pair one negative, verified against the user's items; a user
    row and two item rows are read, changed and written. The time of one epoch and of `1 + epochs` are subtracted.
    """
    load_implicit()
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    matrix, seconds = user_items(dataset), []
    for count in (1, 1 + epochs):
        model = BayesianPersonalizedRanking(factors=dim, iterations=count, random_state=0)
        started = time.perf_counter()
        model.fit(matrix, show_progress=False)
        seconds.append(time.perf_counter() - started)
    epoch = (seconds[1] - seconds[0]) / epochs
    return {"epoch_s": epoch, "examples_per_s": matrix.nnz / epoch, "rows_per_s": 3 * matrix.nnz / epoch}
