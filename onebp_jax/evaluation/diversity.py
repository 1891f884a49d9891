"""What lists are like beyond accuracy: how different their items are, how popular, and how well they fit a user's own history.

All take `lists int[rows, k]`, best first, with `N` where there is no item, and `history int[P, 2]`, the (row, item) pairs that
each row is known for. Coverage, Gini, mean popularity and novelty are in `metrics.beyond_accuracy`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

# Names of the groups of items by popularity.
GROUPS = ("head", "middle", "tail")
# The share of training pairs that the head has, and that the tail has.
SHARE = 0.2
# Steck's alpha: how much of the history is mixed into the list, so that no logarithm is infinite.
ALPHA = 0.01
# Lists at a time.
_BLOCK = 4096


def diversity(lists: np.ndarray, features: sparse.spmatrix | np.ndarray) -> np.ndarray:
    """`f64[rows]`: the mean distance, 1 - cosine, of all pairs of items in a list; NaN for fewer than two items.

    Args:
      features: `[N, c]`, what the cosine compares: for example the training users of an item, or its genres. An item without
        any is at distance 1 from all others.

    Source: intra-list similarity of Ziegler et al., Improving Recommendation Lists Through Topic Diversification, WWW 2005; as a
    mean distance in Kaminskas and Bridge, Diversity, Serendipity, Novelty, and Coverage, ACM TiiS 2016.
    """
    rows: sparse.csr_matrix = sparse.csr_matrix(features, dtype=np.float64)
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    unit = sparse.diags_array(np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)) @ rows
    own = (lengths > 0).astype(np.float64)
    found = np.full(len(lists), np.nan)
    for at in range(0, len(lists), _BLOCK):
        block = _indicator(lists[at : at + _BLOCK], len(lengths))
        count = np.asarray(block.sum(axis=1)).ravel()
        total: Any = block @ unit
        # The sum over pairs of two items is the square of the sum of all, without each item's own.
        pairs = np.asarray(total.multiply(total).sum(axis=1)).ravel() - block @ own
        several = count > 1
        found[at : at + _BLOCK][several] = 1 - (pairs / np.maximum(1, count * (count - 1)))[several]
    return found


def popularity_groups(popularity: np.ndarray) -> np.ndarray:
    """`int[N]`: 0 head, 1 middle, 2 tail, of `popularity int[N]`, the training users of each item.

    The head is the most popular items that together have 20 % of the training pairs, the tail the least popular ones that have
    20 %, at least one item each; of equally popular items the first ones come first.

    Source: Abdollahpouri et al., The Unfairness of Popularity Bias in Recommendation, RMSE workshop at RecSys 2019.
    """
    order = np.argsort(-popularity, kind="stable")
    before = np.cumsum(popularity[order]) - popularity[order]
    after = popularity.sum() - before
    groups = np.ones(len(popularity), int)
    groups[order] = np.where(before < SHARE * popularity.sum(), 0, np.where(after <= SHARE * popularity.sum(), 2, 1))
    groups[order[-1]] = 2
    return groups


def shares(pairs: np.ndarray, weights: np.ndarray, num_rows: int) -> np.ndarray:
    """`f64[rows, c]`: how the items of each row spread over categories, each row with sum 1; NaN without any.

    Args:
      pairs: `int[P, 2]`, (row, item). weights: `f64[N, c]`, how much of an item belongs to each category.
    """
    there = sparse.csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (num_rows, len(weights)))
    totals = np.asarray(there @ weights, np.float64)
    mass = totals.sum(axis=1, keepdims=True)
    return np.divide(totals, mass, out=np.full_like(totals, np.nan), where=mass > 0)


def listed_pairs(lists: np.ndarray, num_items: int) -> np.ndarray:
    """`int[P, 2]`: the (row, item) pairs of lists."""
    rows, places = np.nonzero(lists < num_items)
    return np.stack([rows, lists[rows, places]], 1)


def by_genre(has: np.ndarray) -> np.ndarray:
    """`f64[N, G]`: the genres `bool[N, G]` of each item, with equal weights and sum 1; zeros for an item without genres."""
    return has / np.maximum(1, has.sum(axis=1, keepdims=True))


def calibration(wanted: np.ndarray, given: np.ndarray) -> np.ndarray:
    """`f64[rows]`: the Kullback-Leibler divergence of a list from the user's history; 0 is perfect, NaN without one of both.

    `sum_g p_g log(p_g / q_g)` with `q = (1 - alpha) given + alpha wanted` and alpha = .01.

    Args:
      wanted, given: `f64[rows, c]` of `shares`: of the history `p`, and of the list.

    Source: Steck, Calibrated Recommendations, RecSys 2018, equations 2 to 5, with equal weights of all items.
    """
    mixed = (1 - ALPHA) * given + ALPHA * wanted
    return _relative(wanted, mixed)


def divergence(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`f64[rows]`: the Jensen-Shannon divergence in bits of two `shares`: 0 equal, 1 nothing in common; NaN without one of both.

    Of popularity groups it is the user popularity deviation of Abdollahpouri et al., User-centered Evaluation of Popularity
    Bias in Recommender Systems, UMAP 2021, with all users as one group.
    """
    middle = (a + b) / 2
    return (_relative(a, middle) + _relative(b, middle)) / 2 / np.log(2)


def _relative(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    there = p > 0
    ratio = np.divide(p, q, out=np.ones_like(p), where=there & (q > 0))
    total = np.where(there, p * np.log(ratio), 0.0).sum(axis=1)
    return np.where(np.isnan(p + q).any(axis=1), np.nan, total)


def _indicator(lists: np.ndarray, num_items: int) -> sparse.csr_matrix:
    pairs = listed_pairs(lists, num_items)
    return sparse.csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (len(lists), num_items))
