"""One evaluation: rank all users, compare with the held-out pairs, and return the metrics as a flat dictionary."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from onebp_jax.evaluation import metrics, ranking
from onebp_jax.types import Array

KS = (5, 10, 20)


def evaluator(
    seen: np.ndarray,
    held_out: np.ndarray,
    shape: tuple[int, int],
    popularity: np.ndarray,
    ks: tuple[int, ...] = KS,
    rank: Callable | None = None,
) -> Callable[[Array, Array], dict[str, float]]:
    """Prepares an evaluation once; the returned function evaluates any pair of tables.

    Args:
      seen: `int[P, 2]`, the pairs to leave out of the lists.
      held_out: `int[T, 2]`, the pairs to find.
      shape: `(M, N)`.
      popularity: `int[N]`, the training users of each item.
      ks: list lengths.
      rank: for tables on several devices: `rank(users int[rows]) -> top_k`, with the arguments of `ranking.top_k`.

    Returns:
      `evaluate(user f32[M, d], item f32[N, d]) -> {"P@5": .., .., "Novelty@20": ..}`. Users without a held-out pair are
      left out of all metrics.
    """
    num_users, num_items = shape
    # Only users with a held-out pair are ranked.
    users = np.unique(held_out[:, 0])
    row_of = np.full(num_users, -1)
    row_of[users] = np.arange(len(users))
    rows = [np.stack([row_of[pairs[:, 0]], pairs[:, 1]], 1) for pairs in (seen, held_out)]
    left_out, wanted = (pairs[pairs[:, 0] >= 0] for pairs in rows)
    plan = ranking.plan(len(users), num_items, left_out)
    everyone = len(users) == num_users
    top_k = rank(users) if rank else lambda user, *rest: ranking.top_k(user if everyone else user[users], *rest)

    def evaluate(user: Array, item: Array) -> dict[str, float]:
        _, lists = top_k(user, item, plan, max(ks))
        lists = np.asarray(lists)
        found, relevant = metrics.hits_of(lists, wanted, num_items)
        return metrics.accuracy(found, relevant, ks) | metrics.beyond_accuracy(lists, popularity, ks)

    return evaluate
