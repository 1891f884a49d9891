"""Recommenders without training: closed forms and counts, as tables that are ranked by dot product like those of any method.

An item model scores user `u` by `x_u B`: the user's history `x_u in {0, 1}^N` times a matrix `B [N, N]`. Two tables of width
`min(M, N)` hold that exactly: the histories and the columns of `B`, or, with fewer users than items, the identity and the
finished scores.

Everything is dense. `max_bytes` bounds the tables and the matrices behind them; data that need more are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from onebp_jax.data.pairs import item_counts
from onebp_jax.errors import UserError
from onebp_jax.ops.checks import check_choice, check_count, check_not_negative, check_positive
from onebp_jax.ops.spectral import check_rank, normalised, spectral_tables

MAX_BYTES = 2 * 2**30
SIMILARITIES = ("cosine", "jaccard")
# Users or items per block of work, so that temporary arrays stay small.
BLOCK = 512


class Baseline(NamedTuple):
    """A method without training: `tables(pairs int[P, 2], M, N) -> (f32[M, e], f32[N, e])`, ranked by dot product."""

    tables: Callable[[np.ndarray, int, int], tuple[np.ndarray, np.ndarray]]


def popularity() -> Baseline:
    """Items by their number of training users, the same list for each user: the lower bound for any method."""

    def tables(pairs: np.ndarray, num_users: int, num_items: int) -> tuple[np.ndarray, np.ndarray]:
        counts = item_counts(pairs, num_items).astype(np.float32)
        return np.ones((num_users, 1), np.float32), counts[:, None]

    return Baseline(tables)


def item_knn(
    num_neighbours: int = 100, shrink: float = 10.0, similarity: str = "cosine", max_bytes: int = MAX_BYTES
) -> Baseline:
    """Item-based nearest neighbours: a user's items vote for similar items.

    With `c_ij` users of both items and `n_i` users of item `i`: `s_ij = c_ij / (sqrt(n_i n_j) + shrink)` (cosine) or
    `c_ij / (n_i + n_j - c_ij + shrink)` (jaccard), `s_ii = 0`. Each column `j` keeps its `num_neighbours` largest
    values, of equal ones the lower id. The score of `j` is the sum of `s_ij` over the items `i` of the user.

    Args:
      num_neighbours: values kept per column. shrink: at least 0; the larger, the less a few common users count.
      similarity: "cosine" or "jaccard".
      max_bytes: refuse data whose matrices and tables need more.

    Raises:
      ValueError: an argument out of range, or (from `tables`) data that need more than `max_bytes`.

    Source: Sarwar et al., WWW 2001; shrinkage as in Ferrari Dacrema et al., arXiv 1907.06902.
    """
    check_count("num_neighbours", num_neighbours)
    check_not_negative("shrink", shrink)
    check_choice("similarity", similarity, SIMILARITIES)
    num_neighbours = int(num_neighbours)

    def weights(pairs: np.ndarray, num_users: int, num_items: int) -> np.ndarray:
        matrix = co_counts(pairs, num_users, num_items)
        counts = matrix.diagonal().copy()
        np.fill_diagonal(matrix, 0)
        for start in range(0, num_items, BLOCK):
            # The matrix is symmetric, so rows stand for columns.
            rows, own = matrix[start : start + BLOCK], counts[start : start + BLOCK, None]
            rows /= _at_least_tiny(
                (np.sqrt(own * counts) if similarity == "cosine" else own + counts - rows) + np.float32(shrink)
            )
            if num_neighbours < num_items:
                order = np.argsort(-rows, axis=1, kind="stable")
                np.put_along_axis(rows, order[:, num_neighbours:], 0, axis=1)
        return matrix

    return Baseline(_item_model(weights, 4, max_bytes))


def ease(l2: float = 500.0, max_bytes: int = MAX_BYTES) -> Baseline:
    """EASE^R: the linear model of each user's items from their other items, in closed form.

    `P = (X^T X + l2 I)^-1`, `B = I - P diag(1 / diag P)`: least squares of `X - X B` with an `l2` penalty and `diag B = 0`.

    Args:
      l2: positive; the larger, the smaller the weights. The default is the author's for MovieLens-20M.
      max_bytes: refuse data whose matrices and tables need more.

    Raises:
      ValueError: an argument out of range, or (from `tables`) data that need more than `max_bytes`.

    Source: Steck, WWW 2019, arXiv 1905.03375.
    """
    check_positive("ease_l2", l2)

    def weights(pairs: np.ndarray, num_users: int, num_items: int) -> np.ndarray:
        gram = co_counts(pairs, num_users, num_items).astype(np.float64)
        gram[np.diag_indices(num_items)] += l2
        inverse = np.linalg.inv(gram)
        inverse /= -inverse.diagonal()
        np.fill_diagonal(inverse, 0)
        # Transposed: row j holds the weights that make the score of item j.
        return np.ascontiguousarray(inverse.T, np.float32)

    # In float64 the matrix, its inverse, and what the solver works on.
    return Baseline(_item_model(weights, 4 + 3 * 8, max_bytes))


def bspm(
    dim: int, lowpass_weight: float = 0.3, sharpening: float = 0.0, max_bytes: int = MAX_BYTES, seed: int = 0
) -> Baseline:
    """Blurring and sharpening of each user's history by the normalised item graph; without sharpening it is GF-CF.

    With the normalised interactions `R~` (`onebp_jax.ops.spectral`), `P = R~^T R~`, its leading vectors in `V [N, dim]` and the
    number of users of each item in `D`:

        B = (P + lowpass_weight D^-1/2 V V^T D^1/2) (I - sharpening P)

    This is the form with one Euler step each, of length 1 and `sharpening`, that sharpens what the two filters give together
    ("early merge").

    Args:
      dim: of the ideal low-pass filter, at most the number of users and of items. lowpass_weight: at least 0.
      sharpening: at least 0. max_bytes: refuse data whose matrices and tables need more. seed: of the singular vectors.

    Raises:
      ValueError: an argument out of range, or (from `tables`) data that need more than `max_bytes`.

    Source: Choi et al. 2023, Blurring-Sharpening Process Models for Collaborative Filtering (arXiv 2211.09175); Shen et al. 2021,
    GF-CF (arXiv 2108.07567).
    """
    check_not_negative("lowpass_weight", lowpass_weight)
    check_not_negative("sharpening", sharpening)

    def weights(pairs: np.ndarray, num_users: int, num_items: int) -> np.ndarray:
        check_rank("dim", dim, num_users, num_items)
        item = spectral_tables(pairs, num_users, num_items, dim, seed=seed)[1]  # D^1/2 V
        counts = np.maximum(item_counts(pairs, num_items), 1).astype(np.float32)[:, None]
        matrix = normalised(pairs, num_users, num_items)
        low = (matrix.T @ matrix).toarray()
        blurred = low + np.float32(lowpass_weight) * (item / counts) @ item.T
        return np.ascontiguousarray((blurred - np.float32(sharpening) * blurred @ low).T)

    return Baseline(_item_model(weights, 5 * 4, max_bytes))


def co_counts(pairs: np.ndarray, num_users: int, num_items: int) -> np.ndarray:
    """`X^T X`, `f32[N, N]`: the number of users of both items (exact below 2^24 users), of each item on the diagonal."""
    matrix = np.zeros((num_items, num_items), np.float32)
    for _, rows in _histories(pairs, num_users, num_items):
        matrix += rows.T @ rows
    return matrix


def _item_model(weights: Callable[..., np.ndarray], bytes_per_cell: int, max_bytes: int):
    """`tables` of an item model; `weights(pairs, M, N) -> B^T f32[N, N]` needs `bytes_per_cell` for each cell of `[N, N]`."""
    check_count("max_bytes", max_bytes)

    def tables(pairs: np.ndarray, num_users: int, num_items: int) -> tuple[np.ndarray, np.ndarray]:
        width = min(num_users, num_items)
        needed = bytes_per_cell * num_items**2 + 4 * width * (num_users + num_items)
        if needed > max_bytes:
            raise UserError(
                f"{num_users} users and {num_items} items need {needed / 2**30:.2f} GiB ({needed} bytes) as dense matrices, "
                f"above max_bytes={max_bytes}: raise options.max_bytes if the machine has the memory, or take another method"
            )
        matrix = weights(pairs, num_users, num_items)
        users = np.empty((num_users, width), np.float32)
        if num_items <= num_users:
            for start, rows in _histories(pairs, num_users, num_items):
                users[start : start + len(rows)] = rows
            return users, matrix
        scores = np.empty((num_items, num_users), np.float32)
        for start, rows in _histories(pairs, num_users, num_items):
            scores[:, start : start + len(rows)] = matrix @ rows.T
        users[:] = 0
        np.fill_diagonal(users, 1)
        return users, scores

    return tables


def _histories(pairs: np.ndarray, num_users: int, num_items: int):
    """Yields `(start, f32[b, N])`: the histories of the users from `start` on, block by block."""
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    starts = range(0, num_users, BLOCK)
    edges = np.searchsorted(pairs[:, 0], [*starts, num_users])
    for start, low, high in zip(starts, edges[:-1], edges[1:], strict=True):
        rows = np.zeros((min(BLOCK, num_users - start), num_items), np.float32)
        rows[pairs[low:high, 0] - start, pairs[low:high, 1]] = 1
        yield start, rows


def _at_least_tiny(values: np.ndarray) -> np.ndarray:
    """Keeps the divisor above zero: items without users get the similarity 0 in place of 0 / 0."""
    return np.maximum(values, np.finfo(np.float32).tiny)
