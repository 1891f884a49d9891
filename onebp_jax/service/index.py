"""An approximate index of items, for catalogues where a product with all of them takes too long. Exact lists are the default.

It is a graph (HNSW: Malkov, Yashunin 2018) of the package usearch, searched by dot products.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from absl import logging

from onebp_jax.errors import UserError

# Items that are looked at more closely while the graph is searched, at least.
EXPANSION = 256
# Users whose exact lists the index is compared with.
_MEASURED, _N = 200, 10


class ItemIndex:
    """Finds items with large dot products.

    Attributes:
      recall: the share of exact lists of ten that it finds, of some users.
    """

    def __init__(self, item: np.ndarray, user: np.ndarray):
        """Builds the graph, and measures it.

        Args:
          item: `f32[N, e]`. user: `f32[M, e]`, of whom some are asked for.

        Raises:
          UserError: usearch is not installed.
        """
        try:
            from usearch.index import Index
        except ImportError as error:
            raise UserError("index=usearch needs the package usearch: pip install 'onebp-jax[index]'") from error
        self._index = Index(ndim=item.shape[1], metric="ip", dtype="f32", connectivity=32, expansion_search=EXPANSION)
        self._index.add(np.arange(len(item), dtype=np.uint64), item)
        self._item = item
        self.recall = self._measured(user[np.linspace(0, len(user) - 1, min(len(user), _MEASURED)).astype(int)])
        logging.info("index of %d items: %.1f %% of exact lists of ten are found", len(item), 100 * self.recall)

    def find(self, vectors: np.ndarray, n: int) -> np.ndarray:
        """`int[b, m]`: rows of about the `n` largest products of each of `f32[b, e]`, in no order; -1 where there are fewer."""
        n = min(n, len(self._item))
        found: Any = self._index.search(vectors, n)
        rows = np.asarray(found.keys).reshape(len(vectors), -1).astype(np.int64)
        if len(vectors) > 1:
            rows[np.arange(rows.shape[1]) >= np.asarray(found.counts)[:, None]] = -1
        return rows

    def _measured(self, user: np.ndarray) -> float:
        found, shares = self.find(user, _N), []
        for vector, rows in zip(user, found, strict=True):
            exact = np.argpartition(-(self._item @ vector), _N - 1)[:_N] if len(self._item) > _N else rows
            shares.append(len(np.intersect1d(exact, rows)) / len(exact))
        return float(np.mean(shares))
