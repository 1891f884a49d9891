"""Recommenders that follow events, to be compared with live users by `onebp_jax.serving.prequential`.

popular  the items of the last events of all users
frozen   the user as training left them
live     the user after all their events so far
itemknn  cosines of the items' users, counted anew at each event, summed over the user's history
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.sparse import csr_matrix

from onebp_jax.errors import UserError
from onebp_jax.ops.fold import Recency
from onebp_jax.serving.live import LiveUsers

# The number of events after which popularity has forgotten two thirds of what was before.
RECENT = 5000
# The co-counts of more items would not fit in memory.
MOST_ITEMS = 20_000


class Arm(Protocol):
    """A recommender that is asked about an event first, and observes it then."""

    def scores(self, user: int, history: list[int]) -> np.ndarray | None:
        """`f[T]`: a score of each item, -inf for one that it does not know; None if it knows nothing of the user."""
        ...

    def observe(self, user: int, item: int, time: float, history: list[int]) -> None:
        """Adds an event. `history`: the items of the user before it, oldest first."""
        ...


class Popular:
    """The number of events of each item, where an event counts less the more events came after."""

    def __init__(self, counts: np.ndarray, num_items: int, recent: float = RECENT):
        """
        Args:
          counts: `int[N]`, of training, which together count as at most `recent` events. num_items: `T`, with new items.
        """
        self._counts, self._keep = np.zeros(num_items), 1 - 1 / recent
        self._counts[: len(counts)] = counts * (min(recent, max(counts.sum(), 1)) / max(counts.sum(), 1))

    def scores(self, user: int, history: list[int]) -> np.ndarray:
        """As `Arm.scores`."""
        return self._counts.copy()

    def observe(self, user: int, item: int, time: float, history: list[int]) -> None:
        """As `Arm.observe`."""
        self._counts *= self._keep
        self._counts[item] += 1


class Frozen:
    """The vectors of a run."""

    def __init__(self, user: np.ndarray, item: np.ndarray, num_items: int):
        """
        Args:
          user, item: `f32[M, e]`, `f32[N, e]`. num_items: `T`, with new items.
        """
        self._user, self._item, self._num_items = user, item, num_items

    def scores(self, user: int, history: list[int]) -> np.ndarray | None:
        """As `Arm.scores`."""
        if user >= len(self._user) or not self._user[user].any():
            return None
        return with_unknown(self._item @ self._user[user], self._num_items)

    def observe(self, user: int, item: int, time: float, history: list[int]) -> None:
        """Nothing changes."""


class Live:
    """Live users, with the items as training left them. New items are no part of a user."""

    def __init__(self, live: LiveUsers, num_items: int):
        """
        Args:
          live: users without events since training; they observe the events. num_items: `T`, with new items.
        """
        self._live, self._num_items = live, num_items

    def scores(self, user: int, history: list[int]) -> np.ndarray | None:
        """As `Arm.scores`."""
        own = self._live.history(user)
        if not own.items:
            return None
        return with_unknown(self._live.run.item @ self._live.vectors([own])[0], self._num_items)

    def observe(self, user: int, item: int, time: float, history: list[int]) -> None:
        """As `Arm.observe`."""
        if item < len(self._live.run.item):
            self._live.observe(user, item)


class ItemKNN:
    """Items by the cosine of their users, up to date at each event; all items of a history count as neighbours.

    Source: Sarwar et al. 2001; Miranda and Jorge 2008, Incremental collaborative filtering for binary ratings.
    """

    def __init__(self, pairs: np.ndarray, num_items: int, recency: Recency):
        """
        Args:
          pairs: `int[P, 2]`, of training. num_items: `T`, with new items. recency: how much less an older event counts.

        Raises:
          UserError: too many items.
        """
        if num_items > MOST_ITEMS:
            raise UserError(f"itemknn: {num_items} items, expected at most {MOST_ITEMS}; leave it out of arms")
        ones = np.ones(len(pairs), np.float32)
        matrix = csr_matrix((ones, pairs.T), shape=(int(pairs[:, 0].max()) + 1, num_items))
        self._together, self._recency = (matrix.T @ matrix).toarray(), recency

    def scores(self, user: int, history: list[int]) -> np.ndarray | None:
        """As `Arm.scores`."""
        if not history:
            return None
        counts = np.diag(self._together)
        # An item without users has no similarities either.
        length = np.sqrt(np.maximum(counts, 1))
        weights = self._recency.of_ages(np.arange(len(history))[::-1]) / length[history]
        return np.where(counts > 0, weights @ self._together[history] / length, -np.inf)

    def observe(self, user: int, item: int, time: float, history: list[int]) -> None:
        """As `Arm.observe`."""
        self._together[item, history] += 1
        self._together[history, item] += 1
        self._together[item, item] += 1


def with_unknown(scores: np.ndarray, num_items: int) -> np.ndarray:
    """Scores of the first items, and -inf for the others."""
    made = np.full(num_items, -np.inf, scores.dtype)
    made[: len(scores)] = scores
    return made
