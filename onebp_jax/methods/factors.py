"""Factorisations of the interactions as two tables, without gradients.

Unlike the item models of `baselines`, they need no dense matrix of users or items.
"""

from __future__ import annotations

import numpy as np

from onebp_jax.methods.baselines import Baseline
from onebp_jax.ops.checks import check_count, check_not_negative
from onebp_jax.ops.spectral import check_rank, interactions_matrix, leading_singular_vectors


def spectral(dim: int, item_power: float = 0.5, response: float = 0.0, iterations: int = 4, seed: int = 0) -> Baseline:
    """The ideal low-pass filter of GF-CF as a table of items and a table of users.

    With the leading right singular vectors `v_j` of the normalised interactions and their squared singular values `l`
    (`onebp_jax.ops.spectral`), and the number `d_j` of users of item `j`:

        item   p_j = l^a * v_j * d_j^b
        user   u   = sum over the items i of the user of v_i * d_i^-b

    With `a = 0` a user is a weighted sum of item rows, `u = sum_i d_i^(-2b) p_i`, so a new event updates them in O(dim).

    Args:
      dim: the number of singular vectors, at most the number of users and of items.
      item_power: `b`, at least 0; 0.5 is that of GF-CF. A smaller one makes popular items count more in a user and less in
        the list.
      response: `a`, at least 0. 0 keeps the leading vectors alike; the larger, the less the later ones count.
      iterations: of the solver, at least 1.
      seed: of the solver.

    Returns:
      A `Baseline`. Users without items and items without users have rows of zeros.

    Raises:
      ValueError: an argument out of range, or (from `tables`) a `dim` that the data cannot have.

    Source: Shen et al. 2021, GF-CF (arXiv 2108.07567), whose low-pass part is `a = 0, b = 0.5`. Kim et al. 2025, ChebyCF (arXiv
    2505.00552), compare filters that fall with the frequency, as `l^a` does; its form is ours.
    """
    check_not_negative("item_power", item_power)
    check_not_negative("response", response)
    check_count("iterations", iterations)

    def tables(pairs: np.ndarray, num_users: int, num_items: int) -> tuple[np.ndarray, np.ndarray]:
        check_rank("dim", dim, num_users, num_items)
        values, vectors = leading_singular_vectors(pairs, num_users, num_items, dim, iterations, seed)
        matrix = interactions_matrix(pairs, num_users, num_items)
        # Items without users have no vector, so their power does not matter.
        weights = np.maximum(matrix.sum(0), 1)[:, None] ** np.float32(item_power)
        items = vectors * weights * values ** np.float32(response)
        return matrix @ (vectors / weights), items

    return Baseline(tables)
