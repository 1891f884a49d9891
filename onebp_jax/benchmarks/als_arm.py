"""An arm of `onebp_jax.serving.prequential`: the ALS of the package `implicit`, refitted by the clock of the events."""

from __future__ import annotations

import numpy as np

from onebp_jax.benchmarks.peers import load_implicit
from onebp_jax.ops.fold import ALIKE, Recency


class Als:
    """Between two fits, a user is computed out of all their items (`recalculate_user`). A refit goes on from the last factors."""

    def __init__(
        self,
        pairs: np.ndarray,
        shape: tuple[int, int],
        refit_after: float,
        recency: Recency = ALIKE,
        first: int = 15,
        later: int = 3,
        **settings,
    ):
        """
        Args:
          pairs: `int[P, 2]`, of training. shape: of users and items, with new ones.
          refit_after: seconds of the clock of the events after which the next event brings a refit.
          first, later: iterations of the first fit and of a refit.
          recency: how much less confidence an older event has when a user is computed anew; in a fit, all have 1.
          settings: of `AlternatingLeastSquares`.

        Raises:
          UserError: the package `implicit` is missing.
        """
        models = load_implicit()
        self._matrix_of, self._shape, self._recency = models.csr_matrix, shape, recency
        self._als = models.als(**{"random_state": 0, "num_threads": 1} | settings)
        self._pairs, self._later, self._refit_after = [*map(tuple, pairs.tolist())], later, refit_after
        self._fitted_at: float | None = None
        self._fit(first)

    def scores(self, user: int, history: list[int]) -> np.ndarray | None:
        """As `Arm.scores`."""
        if not history:
            return None
        confidence = self._recency.of_ages(np.arange(len(history))[::-1])
        row = self._matrix_of((confidence, history, [0, len(history)]), (1, self._shape[1]))
        vector = self._als.recalculate_user(0, row)
        return np.where(self._known, self._als.item_factors @ np.ravel(vector), -np.inf)

    def observe(self, user: int, item: int, time: float, history: list[int]) -> None:
        """As `Arm.observe`."""
        if self._fitted_at is None:
            self._fitted_at = time
        if time - self._fitted_at >= self._refit_after:
            self._fit(self._later)
            self._fitted_at = time
        self._pairs.append((user, item))

    def _fit(self, iterations: int) -> None:
        users, items = np.array(self._pairs).T
        matrix = self._matrix_of((np.ones(len(users), np.float32), (users, items)), self._shape)
        self._als.iterations = iterations
        self._als.fit(matrix, show_progress=False)
        self._known = np.bincount(items, minlength=self._shape[1]) > 0
