"""What is in the lists of runs: popularity, coverage, diversity, calibration."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from onebp_jax.analysis.genres import Genres
from onebp_jax.data.evaluation_pairs import popularity
from onebp_jax.evaluation import diversity as measures
from onebp_jax.evaluation import metrics
from onebp_jax.evaluation.diversity import GROUPS
from onebp_jax.reports.runs import Run, Runs

KS = (5, 10, 20)
# The length of lists in pictures and in the table of the page.
SHOWN_K = 20


def of_runs(found: Runs, genres: Genres | None) -> pd.DataFrame:
    """Every measure of every run at every k: model, seed, k, measure, value. Means are over the users who have a value.

    The measures: Coverage, Gini, AvgPop, Novelty (see `evaluation.metrics`); Head, Middle, Tail (shares of the recommendations,
    see `evaluation.diversity.popularity_groups`); PopDeviation (`divergence` of a user's list from the history, by these
    groups); Diversity (by common training users); with genres also GenreDiversity and Miscalibration (`calibration`).
    """
    count, num_items, train = popularity(found.dataset), found.dataset.num_items, found.dataset.train
    of_group = np.eye(len(GROUPS))[measures.popularity_groups(count)]
    own = train[np.isin(train[:, 0], found.users)]
    own = np.stack([np.searchsorted(found.users, own[:, 0]), own[:, 1]], 1)
    history = measures.shares(own, of_group, len(found.users))
    users_of = sparse.csr_matrix(
        (np.ones(len(train)), (train[:, 1], train[:, 0])), (num_items, found.dataset.num_users)
    )
    weights = None if genres is None else measures.by_genre(genres.has)
    genre_history = None if weights is None else measures.shares(own, weights, len(found.users))
    rows = []
    for run in found.runs:
        for k in KS:
            lists = run.lists[:, :k]
            pairs = measures.listed_pairs(lists, num_items)
            told = {name.split("@")[0]: value for name, value in metrics.beyond_accuracy(lists, count, (k,)).items()}
            shares = measures.shares(pairs, of_group, len(lists))
            total = of_group[pairs[:, 1]].mean(axis=0) if len(pairs) else np.full(len(GROUPS), np.nan)
            told |= dict(zip(("Head", "Middle", "Tail"), total, strict=True))
            told["PopDeviation"] = _mean(measures.divergence(history, shares))
            told["Diversity"] = _mean(measures.diversity(lists, users_of))
            if genres is not None and weights is not None and genre_history is not None:
                told["GenreDiversity"] = _mean(measures.diversity(lists, genres.has.astype(float)))
                listed = measures.shares(pairs, weights, len(lists))
                told["Miscalibration"] = _mean(measures.calibration(genre_history, listed))
            rows += [(run.name, run.seed, k, name, value) for name, value in told.items()]
    return pd.DataFrame(rows, columns=["model", "seed", "k", "measure", "value"])


def _mean(values: np.ndarray) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")


def by_popularity(found: Runs) -> pd.DataFrame:
    """The groups of items by popularity: what, group, items, share, recall.

    `what` is train, test or a model. share is of the pairs of train or test, or of the recommendations at `SHOWN_K`; recall is
    the share of the group's test pairs that the lists have; both are means over seeds.
    """
    groups = measures.popularity_groups(popularity(found.dataset))
    sizes = np.bincount(groups, minlength=len(GROUPS))
    parts = {"train": found.dataset.train[:, 1], "test": found.wanted[:, 1]}
    rows = [
        (what, name, size, share, np.nan)
        for what, items in parts.items()
        if len(items)
        for name, size, share in zip(GROUPS, sizes, _spread(groups[items]), strict=True)
    ]
    for name in found.names:
        of_seeds = [_of_run(found, run, groups) for run in found.of(name)]
        shares, recalls = np.mean(of_seeds, axis=0)
        rows += [(name, group, *one) for group, *one in zip(GROUPS, sizes, shares, recalls, strict=True)]
    return pd.DataFrame(rows, columns=["what", "group", "items", "share", "recall"])


def _of_run(found: Runs, run: Run, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lists, num_items = run.lists[:, :SHOWN_K], found.dataset.num_items
    listed = measures.listed_pairs(lists, num_items)
    hits, _ = metrics.hits_of(lists, found.wanted, num_items)
    got = np.bincount(groups[lists[hits]], minlength=len(GROUPS))
    there = np.bincount(groups[found.wanted[:, 1]], minlength=len(GROUPS))
    recall = np.divide(got, there, out=np.full(len(GROUPS), np.nan), where=there > 0)
    return _spread(groups[listed[:, 1]]), recall


def _spread(of_pairs: np.ndarray) -> np.ndarray:
    return np.bincount(of_pairs, minlength=len(GROUPS)) / max(1, len(of_pairs))


def concentration(found: Runs, points: int = 101) -> pd.DataFrame:
    """Lorenz curves: the share of recommendations that the least recommended items have: what, items, share.

    `what` is a model (its first run) or train; items and share go from 0 to 1. The Gini index is twice the area above the curve
    and below the diagonal.
    """
    num_items, rows = found.dataset.num_items, []
    counts = {"train": popularity(found.dataset)}
    for name in found.names:
        pairs = measures.listed_pairs(found.of(name)[0].lists[:, :SHOWN_K], num_items)
        counts[name] = np.bincount(pairs[:, 1], minlength=num_items)
    places = np.linspace(0, 1, points)
    for what, count in counts.items():
        curve = np.concatenate([[0], np.cumsum(np.sort(count))]) / max(1, count.sum())
        rows += [(what, x, np.interp(x, np.linspace(0, 1, num_items + 1), curve)) for x in places]
    return pd.DataFrame(rows, columns=["what", "items", "share"])
