"""Factorisations of the interactions as two tables, without gradients.

Unlike the item models of `baselines`, they need no dense matrix of users or items.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from onebp_jax.data.pairs import item_counts
from onebp_jax.methods.baselines import Baseline
from onebp_jax.ops import least_squares
from onebp_jax.ops.checks import check_count, check_not_negative, check_positive
from onebp_jax.ops.spectral import check_rank, spectral_tables


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
        return spectral_tables(pairs, num_users, num_items, dim, item_power, response, iterations, seed)[:2]

    return Baseline(tables)


def ials(
    dim: int,
    ials_l2: float = 0.003,
    unobserved_weight: float = 0.1,
    l2_power: float = 1.0,
    iterations: int = 16,
    seed: int = 0,
) -> Baseline:
    """Implicit alternating least squares, with an L2 penalty that grows with the frequency of a user or an item.

    With the pairs `S`, the number `n_u` of items of user `u` and `n_i` of users of item `i`, it minimises

        sum over S of (u i - 1)^2 + a sum over all pairs of (u i)^2 + l sum_u (n_u + a N)^p |u|^2 + l sum_i (n_i + a M)^p |i|^2

    Users begin at random; an iteration solves all items, then all users, each exactly (`onebp_jax.ops.least_squares`). So users
    are those that fit the final items best, as a new user would be.

    With `l2_power=0` it is the ALS of the package `implicit` with `alpha = (1 + a) / a` and `regularization = l (1 + a) / a`; the
    scores there are `1 + a` times as large.

    Args:
      dim: the width of a row.
      ials_l2: `l`, positive. unobserved_weight: `a`, positive. l2_power: `p`, at least 0.
      iterations: at least 1. seed: of the first users.

    Returns:
      A `Baseline`. Users without items and items without users have rows of zeros.

    Raises:
      ValueError: an argument out of range.

    Source: Rendle et al. 2021, Revisiting the Performance of iALS on Item Recommendation Benchmarks (arXiv 2110.14037); their
    lambda, alpha0 and nu are `ials_l2`, `unobserved_weight` and `l2_power`. Hu, Koren, Volinsky 2008.
    """
    check_count("dim", dim)
    check_positive("ials_l2", ials_l2)
    check_positive("unobserved_weight", unobserved_weight)
    check_not_negative("l2_power", l2_power)
    check_count("iterations", iterations)

    def tables(pairs: np.ndarray, num_users: int, num_items: int) -> tuple[np.ndarray, np.ndarray]:
        users, items = pairs.T
        by_user = least_squares.buckets(users, items, num_users, dim)
        by_item = least_squares.buckets(items, users, num_items, dim)
        penalty = lambda counts, others: jnp.asarray(
            ials_l2 * (counts + unobserved_weight * others) ** l2_power, jnp.float32
        )
        of_users = penalty(np.bincount(users, minlength=num_users), num_items)
        of_items = penalty(item_counts(pairs, num_items), num_users)
        start = np.random.default_rng(seed).standard_normal((num_users, dim), dtype=np.float32)
        user, item = jnp.asarray(0.1 / np.sqrt(dim) * start, jnp.float32), jnp.zeros((num_items, dim), jnp.float32)
        for _ in range(int(iterations)):
            item = least_squares.solve(by_item, user, of_items, unobserved_weight)
            user = least_squares.solve(by_user, item, of_users, unobserved_weight)
        return np.asarray(user), np.asarray(item)

    return Baseline(tables)
