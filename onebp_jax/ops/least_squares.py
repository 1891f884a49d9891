"""The rows of one table of an implicit matrix factorisation, in closed form from the rows of the other.

A row `w` with the partner rows `x_1 .. x_n` it interacted with, of all partner rows `v`, minimises

    sum_i (w x_i - 1)^2 + alpha sum_v (w v)^2 + l |w|^2
    (X^T X + B) w = X^T 1,    B = alpha V^T V + l I

In the coordinates in which `V^T V` is diagonal, `B` is diagonal. Rows with fewer partners than dimensions are solved by a system
of `n` equations, `w = B^-1 X^T (I + X B^-1 X^T)^-1 1`, the others by one of `d` equations; both are exact.

Rows with similar numbers of partners are padded to one length, and solved in blocks of bounded memory.

Source: Hu, Koren, Volinsky 2008, in the notation of Rendle et al. 2021 (arXiv 2110.14037).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from onebp_jax.types import Array

# Numbers in the largest array of a block; the places of a row that are read at once; the least length that rows are padded to.
BLOCK = 2**22
STRIP = 1024
SHORTEST = 16


class Bucket(NamedTuple):
    """Rows of similar length in blocks: `rows i32[n, b]`, `partners i32[n, b, L]`, `lengths i32[n, b]`, 0 for padding."""

    rows: Array
    partners: Array
    lengths: Array


def buckets(rows: np.ndarray, partners: np.ndarray, num_rows: int, dim: int) -> list[Bucket]:
    """The pairs `(rows[p], partners[p])` by the row's number of partners, rounded up to a power of two.

    Rows without partners are in none.
    """
    order = np.argsort(rows, kind="stable")
    sorted_partners, counts = partners[order].astype(np.int32), np.bincount(rows, minlength=num_rows)
    starts, made = np.cumsum(counts) - counts, []
    sizes = np.maximum(SHORTEST, 1 << np.ceil(np.log2(np.maximum(counts, 1))).astype(np.int64))
    for size in np.unique(sizes[counts > 0]):
        members = np.flatnonzero((sizes == size) & (counts > 0))
        height = max(1, min(len(members), BLOCK // (max(min(size, STRIP), min(size, dim)) * dim)))
        number = -(-len(members) // height)
        padded = np.zeros(number * height, np.int64)
        padded[: len(members)] = members
        lengths = np.where(np.arange(len(padded)) < len(members), counts[padded], 0)
        places = np.arange(size)
        held = places < lengths[:, None]
        taken = np.where(held, sorted_partners[np.where(held, starts[padded][:, None] + places, 0)], 0)
        shape = (number, height)
        made.append(
            Bucket(
                jnp.asarray(padded.reshape(shape), jnp.int32),
                jnp.asarray(taken.reshape(*shape, size), jnp.int32),
                jnp.asarray(lengths.reshape(shape), jnp.int32),
            )
        )
    return made


def solve(parts: list[Bucket], partner: Array, penalties: Array, alpha: float) -> Array:
    """All rows of a table from the partner's.

    Args:
      parts: from `buckets`. partner: `f32[N, d]`. penalties: `f32[M]`, `l` of each row, above 0. alpha: of unobserved pairs.

    Returns:
      `f32[M, d]`; rows without partners are zero.
    """
    sizes, turn = jnp.linalg.eigh(partner.T @ partner)
    turned, base = partner @ turn, alpha * jnp.maximum(sizes, 0)
    table = jnp.zeros((len(penalties), partner.shape[1]), jnp.float32)
    for part in parts:
        table = _solve_bucket(part, turned, base, penalties, table)
    return table @ turn.T


@functools.partial(jax.jit, donate_argnums=4)
def _solve_bucket(part: Bucket, turned: Array, base: Array, penalties: Array, table: Array) -> Array:
    """`table` with the rows of the bucket."""
    size, dim = part.partners.shape[2], turned.shape[1]

    def block(given: Bucket) -> Array:
        weights = base + penalties[given.rows][:, None]
        held = (jnp.arange(size) < given.lengths[:, None]).astype(jnp.float32)
        read = lambda start, width: (
            turned[jax.lax.dynamic_slice_in_dim(given.partners, start, width, 1)]
            * jax.lax.dynamic_slice_in_dim(held, start, width, 1)[..., None]
        )
        if size < dim:
            rows = read(0, size)
            scaled = rows / weights[:, None]
            system = jnp.eye(size) + jnp.einsum("bld,bkd->blk", scaled, rows)
            return jnp.einsum("bl,bld->bd", _solve_positive(system, held), scaled)
        width = min(size, STRIP)

        def add(strip: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
            rows = read(strip * width, width)
            return sums[0] + jnp.einsum("bld,ble->bde", rows, rows), sums[1] + rows.sum(1)

        start = jnp.eye(dim) * weights[:, None], jnp.zeros_like(weights)
        return _solve_positive(*jax.lax.fori_loop(0, size // width, add, start))

    found = jax.lax.map(block, part).reshape(-1, dim)
    rows = jnp.where(part.lengths > 0, part.rows, len(table)).reshape(-1)
    return table.at[rows].set(found, mode="drop")


def _solve_positive(matrices: Array, right: Array) -> Array:
    """`matrices[b] x[b] = right[b]` for positive definite matrices `f32[b, n, n]`."""
    return jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(matrices), True), right[..., None])[..., 0]
