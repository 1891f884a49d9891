"""Accuracy: the metrics of runs, published ones, differences of two methods user by user, and users by their histories."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from onebp_jax.evaluation import metrics
from onebp_jax.evaluation.bootstrap import intervals
from onebp_jax.evaluation.protocols import CRITERION
from onebp_jax.experiments.published import METRICS, ROWS, published
from onebp_jax.reports.runs import Runs

KS = (5, 10, 20)
# The metrics that are compared user by user.
COMPARED = ("P@5", "R@5", "NDCG@5", "P@10", "R@10", "NDCG@10", "P@20", "R@20", "NDCG@20", "HR@10", "MRR@10")
# Groups of users by the length of their histories.
_QUARTERS = 4

# `(model, seed)` -> metric -> `f64[users]`.
PerUser = Mapping[tuple[str, int], Mapping[str, np.ndarray]]


def of_runs(found: Runs) -> pd.DataFrame:
    """What each `result.json` says: a row for each metric, with the columns model, seed, protocol, metric, value.

    A run without test metrics has its value on validation, as `validation NDCG@20`.
    """
    rows = []
    for run in found.runs:
        result = run.result
        told = result["metrics"] or {
            f"validation {name}": value for name, value in result.get("validation", {}).items()
        }
        about = {"model": run.name, "seed": run.seed, "protocol": result.get("protocol", "honest")}
        rows += [about | {"metric": name, "value": value} for name, value in told.items() if value is not None]
    return pd.DataFrame(rows, columns=["model", "seed", "protocol", "metric", "value"])


def printed(found: Runs) -> pd.DataFrame:
    """The paper's numbers for the methods of the report, where it has these data: model, row, metric, value."""
    rows = []
    if found.dataset.split == "given":
        row_of = {method: row for row, method in ROWS[2].items()} | {"user_only": "user only"}
        for name in found.names:
            row = row_of.get(found.of(name)[0].result["label"])
            told = published(3 if row == "user only" else 2, found.dataset.name, row) if row else None
            rows += [
                {"model": name, "row": row, "metric": metric, "value": value} for metric, value in (told or {}).items()
            ]
    return pd.DataFrame(rows, columns=["model", "row", "metric", "value"])


def of_users(found: Runs) -> PerUser:
    """The metrics of each user in each run; empty without test pairs."""
    if not found.tested:
        return {}
    values = {}
    for run in found.runs:
        hits, relevant = metrics.hits_of(run.lists, found.wanted, found.dataset.num_items)
        values[run.name, run.seed] = metrics.of_users(hits, relevant, KS)
    return values


def _mean_of_seeds(found: Runs, users: PerUser, name: str, metric: str) -> np.ndarray:
    return np.asarray(np.mean([users[run.name, run.seed][metric] for run in found.of(name)], axis=0, dtype=np.float64))


def differences(found: Runs, users: PerUser) -> pd.DataFrame:
    """Every two methods of one protocol, user by user; each user has the mean over the seeds of a method.

    Returns:
      A frame with the columns protocol, model, than, metric, mean (of `model - than`), low, high (95 % bootstrap interval over
      users), better, equal, worse (shares of users).
    """
    columns = ["protocol", "model", "than", "metric", "mean", "low", "high", "better", "equal", "worse"]
    pairs = [
        (one, other)
        for one in found.names
        for other in found.names
        if users and one != other and protocol_of(found, one) == protocol_of(found, other)
    ]
    if not pairs:
        return pd.DataFrame(columns=columns)
    mean = {(name, metric): _mean_of_seeds(found, users, name, metric) for name in found.names for metric in COMPARED}
    keys = [(one, other, metric) for one, other in pairs for metric in COMPARED]
    values = np.stack([mean[one, metric] - mean[other, metric] for one, other, metric in keys], 1)
    low, high = intervals(values)
    rows = [
        (
            protocol_of(found, one),
            one,
            other,
            metric,
            of.mean(),
            a,
            b,
            (of > 0).mean(),
            (of == 0).mean(),
            (of < 0).mean(),
        )
        for (one, other, metric), of, a, b in zip(keys, values.T, low, high, strict=True)
    ]
    return pd.DataFrame(rows, columns=columns)


def protocol_of(found: Runs, name: str) -> str:
    """The protocol of a method's runs."""
    return str(found.of(name)[0].result.get("protocol", "honest"))


def best(found: Runs, users: PerUser) -> dict[str, str]:
    """Protocol -> the method with the largest mean of the criterion."""
    found_best: dict[str, str] = {}
    value = {name: float(_mean_of_seeds(found, users, name, CRITERION).mean()) for name in found.names if users}
    for name in sorted(value, key=lambda name: -value[name]):
        found_best.setdefault(protocol_of(found, name), name)
    return found_best


def by_history(found: Runs, users: PerUser) -> pd.DataFrame:
    """The criterion for quarters of the users, from the shortest histories to the longest: model, items, users, metric, value.

    Users with equally long histories are in one group, so there may be fewer groups.
    """
    columns = ["model", "items", "users", "metric", "value"]
    if not users:
        return pd.DataFrame(columns=columns)
    lengths = np.bincount(found.dataset.train[:, 0], minlength=found.dataset.num_users)[found.users]
    edges = np.unique(np.quantile(lengths, np.arange(1, _QUARTERS) / _QUARTERS, method="lower"))
    group, rows = np.searchsorted(edges, lengths, side="left"), []
    for name in found.names:
        values = _mean_of_seeds(found, users, name, CRITERION)
        for one in np.unique(group):
            own = group == one
            span = f"{lengths[own].min()} to {lengths[own].max()}"
            rows.append((name, span, int(own.sum()), CRITERION, values[own].mean()))
    return pd.DataFrame(rows, columns=columns)


__all__ = [
    "COMPARED",
    "KS",
    "METRICS",
    "best",
    "by_history",
    "differences",
    "of_runs",
    "of_users",
    "printed",
    "protocol_of",
]
