"""Ranking metrics from top-k lists, in NumPy float64.

For each user with `n > 0` test items; `h_i` in {0, 1} is the hit at rank `i`, `h` the number of hits within `k`:

    P@k = h / k        R@k = h / n        F1@k = 2 h / (k + n)        HR@k = [h > 0]
    NDCG@k = sum_{i<=k} h_i / log2(i + 1)  /  sum_{i<=min(n,k)} 1 / log2(i + 1)
    MRR@k = 1 / rank of the first hit within k, else 0
    MAP@k = (1 / min(n, k)) sum_{i<=k} h_i * (hits within i) / i

averaged over these users. F1 is the harmonic mean of P and R per user, then averaged. Beyond accuracy, over the lists of the
same users:

    Coverage@k   share of the catalogue that appears in some list
    Gini@k       inequality of how often items are recommended: 0 all equally often, 1 only one item
    AvgPop@k     mean number of training users of a recommended item
    Novelty@k    mean of -log2(popularity share of the item); popularity = training users + 1 (Laplace)
"""

from __future__ import annotations

import numpy as np

from onebp_jax.data.pairs import in_sorted

ACCURACY = ("P", "R", "F1", "NDCG", "HR", "MRR", "MAP")
BEYOND = ("Coverage", "Gini", "AvgPop", "Novelty")


def hits_of(lists: np.ndarray, test: np.ndarray, num_items: int) -> tuple[np.ndarray, np.ndarray]:
    """`(hits bool[rows, k], n int[rows])` of `lists int[rows, k]` (id `num_items` = no item) for the pairs `test int[T, 2]`."""
    lists = np.asarray(lists, np.int64)
    wanted = np.sort(test[:, 0].astype(np.int64) * (num_items + 1) + test[:, 1])
    codes = np.arange(len(lists))[:, None] * (num_items + 1) + lists
    return in_sorted(codes, wanted), np.bincount(test[:, 0], minlength=len(lists))


def accuracy(hits: np.ndarray, relevant: np.ndarray, ks: tuple[int, ...]) -> dict[str, float]:
    """The seven accuracy metrics at each `k`, as `{"P@5": ..}`: the means of `of_users`, with its arguments and errors."""
    return {name: float(np.mean(values)) for name, values in of_users(hits, relevant, ks).items()}


def of_users(hits: np.ndarray, relevant: np.ndarray, ks: tuple[int, ...]) -> dict[str, np.ndarray]:
    """The seven accuracy metrics of each user at each `k`, as `{"P@5": [users]}`.

    Args:
      hits: `bool[rows, width]`, best first. For a `k` above `width` the missing places are misses.
      relevant: `int[rows]`, the number of test items of each row; rows with 0 are left out.

    Raises:
      ValueError: no row has a test item.
    """
    keep = relevant > 0
    if not keep.any():
        raise ValueError("no user has a test item: there is nothing to measure")
    n = relevant[keep].astype(np.float64)
    width = max(max(ks), hits.shape[1])
    h = np.zeros((len(n), width))
    h[:, : hits.shape[1]] = hits[keep]
    ranks = np.arange(1, width + 1)
    discount = 1 / np.log2(ranks + 1)
    ideal = np.cumsum(discount)
    total, gain = np.cumsum(h, 1), np.cumsum(h * discount, 1)
    average = np.cumsum(h * total / ranks, 1)
    first = np.where(h.any(1), h.argmax(1) + 1, np.inf)
    result = {}
    for k in ks:
        found = total[:, k - 1]
        best = np.minimum(n, k)
        values = (
            found / k,
            found / n,
            2 * found / (k + n),
            gain[:, k - 1] / ideal[best.astype(int) - 1],
            found > 0,
            np.where(first <= k, 1 / first, 0),
            average[:, k - 1] / best,
        )
        result |= {f"{name}@{k}": value for name, value in zip(ACCURACY, values, strict=True)}
    return result


def beyond_accuracy(lists: np.ndarray, popularity: np.ndarray, ks: tuple[int, ...]) -> dict[str, float]:
    """Coverage, Gini, average popularity and novelty of `lists int[rows, width]`; `popularity int[N]` from training."""
    num_items = len(popularity)
    share = (popularity + 1) / (popularity.sum() + num_items)
    result = {}
    for k in ks:
        shown = lists[:, :k]
        shown = shown[shown < num_items]
        counts = np.sort(np.bincount(shown, minlength=num_items)).astype(np.float64)
        order = np.arange(1, num_items + 1)
        gini = (2 * order - num_items - 1) @ counts / (num_items * max(counts.sum(), 1))
        # Lists without items (all scores are NaN) have no mean.
        means = (popularity[shown].mean(), -np.log2(share[shown]).mean()) if shown.size else (np.nan, np.nan)
        values = ((counts > 0).mean(), gini, *means)
        result |= {f"{name}@{k}": float(value) for name, value in zip(BEYOND, values, strict=True)}
    return result
