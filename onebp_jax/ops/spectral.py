"""The leading singular vectors of the normalised interactions, on the host.

`R~ = D_u^-1/2 R D_i^-1/2`, with the binary matrix `R [M, N]`, the number of items of each user in `D_u` and the number of users
of each item in `D_i`. Its singular values lie between 0 and 1.

Source: Halko, Martinsson, Tropp 2011, Finding Structure with Randomness (arXiv 0909.4061), algorithm 4.4, with LU
decompositions between the products: they are as accurate as QR decompositions, in less time.
"""

from __future__ import annotations

import numpy as np

from onebp_jax.errors import UserError
from onebp_jax.ops.checks import check_count

# Columns beyond the rank, for accuracy.
OVERSAMPLING = 32
# Squared singular values below this are rounding errors of float32.
TINY = 1e-6


def check_rank(name: str, rank: int, num_users: int, num_items: int) -> None:
    """Raises `UserError` if a matrix `[num_users, num_items]` has fewer than `rank` singular vectors."""
    if rank > min(num_users, num_items):
        raise UserError(
            f"{name}={rank}: expected at most {min(num_users, num_items)}, because {num_users} users and {num_items} items "
            "have no more singular vectors"
        )


def interactions_matrix(pairs: np.ndarray, num_users: int, num_items: int, values: np.ndarray | None = None):
    """The pairs `int[P, 2]`, each of them once, as a `scipy.sparse.csr_array f32[M, N]` of ones, or of values `f32[P]`."""
    # Loaded where it is used: most runs need no sparse matrix.
    from scipy.sparse import csr_array

    values = np.ones(len(pairs), np.float32) if values is None else values
    return csr_array((values, (pairs[:, 0], pairs[:, 1])), shape=(num_users, num_items))


def normalised(pairs: np.ndarray, num_users: int, num_items: int):
    """`R~`, a `scipy.sparse.csr_array f32[M, N]`."""
    matrix = interactions_matrix(pairs, num_users, num_items)
    scale_users, scale_items = (_inverse_root(matrix.sum(axis)) for axis in (1, 0))
    return (matrix * scale_users[:, None] * scale_items).tocsr()


def leading_singular_vectors(
    pairs: np.ndarray, num_users: int, num_items: int, rank: int, iterations: int = 4, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The `rank` largest squared singular values of `R~` and their right singular vectors.

    A block of `rank + OVERSAMPLING` random vectors is multiplied by `R~^T R~` `iterations` times; the largest values are found
    first. The memory is that of `rank` numbers for each user and three times as many for each item.

    Args:
      pairs: `int[P, 2]`, (user, item), each pair once.
      rank: from 1 to `min(M, N)`.
      iterations: at least 1; the more, the more accurate.
      seed: of the random vectors; the result is a function of the arguments, on the same machine with the same threads.

    Returns:
      `(f32[rank], f32[N, rank])`: the squared singular values in descending order, and orthonormal columns. Items without users
      have rows of zeros. If `R~` has a lower rank, the values and columns beyond it are zero.

    Raises:
      UserError: a rank that the matrix cannot have.
    """
    from scipy.linalg import lu, qr

    check_count("iterations", iterations)
    check_rank("rank", rank, num_users, num_items)
    matrix = normalised(pairs, num_users, num_items)
    known = matrix.sum(0)[:, None] > 0
    transposed = matrix.T.tocsr()
    width = min(rank + OVERSAMPLING, num_users, num_items)
    found = np.random.default_rng(seed).standard_normal((num_items, width), dtype=np.float32)
    for last in [False] * (int(iterations) - 1) + [True]:
        found = transposed @ (matrix @ found)
        if last:
            found = qr(found, mode="economic", overwrite_a=True, check_finite=False)[0]
        else:
            found = lu(found, permute_l=True, overwrite_a=True, check_finite=False)[0]
    product = matrix @ found
    values, turn = np.linalg.eigh((product.T @ product).astype(np.float64))
    values, turn = values[::-1][:rank], turn[:, ::-1][:, :rank]
    sound = values > TINY
    # A decomposition leaves rounding errors in rows that are zero.
    vectors = found @ (turn * sound).astype(np.float32) * known
    return np.where(sound, np.minimum(values, 1), 0).astype(np.float32), vectors


def spectral_tables(
    pairs: np.ndarray,
    num_users: int,
    num_items: int,
    rank: int,
    item_power: float = 0.5,
    response: float = 0.0,
    iterations: int = 4,
    seed: int = 0,
    recency: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`(f32[M, rank], f32[N, rank], f32[rank])`: the tables of the method `spectral` (`methods.factors`) and `l^response`.

    With the singular vectors `v_j` and values `l` of `leading_singular_vectors`, and the number `d_j` of users of item `j`: the
    row of item `j` is `l^response v_j d_j^item_power`, that of a user the sum of `v_i d_i^-item_power` over the history,
    times `recency f32[P]` where it is given. The singular vectors are those of all pairs alike.
    """
    values, vectors = leading_singular_vectors(pairs, num_users, num_items, rank, iterations, seed)
    matrix = interactions_matrix(pairs, num_users, num_items)
    # Items without users have no vector, so their power does not matter.
    weights = np.maximum(matrix.sum(0), 1)[:, None] ** np.float32(item_power)
    gain = values ** np.float32(response)
    if recency is not None:
        matrix = interactions_matrix(pairs, num_users, num_items, recency)
    return matrix @ (vectors / weights), vectors * weights * gain, gain


def _inverse_root(counts: np.ndarray) -> np.ndarray:
    """`counts ^ -1/2`, 0 where there is nothing to count."""
    return np.where(counts > 0, np.maximum(counts, 1) ** -0.5, 0).astype(np.float32)
