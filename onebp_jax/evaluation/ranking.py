"""Top-k over the full catalogue in bounded memory: chunks of users, seen items masked exactly, stable ties.

There is never a users x items array. The scores of a chunk of users, `[chunk, N]`, are the largest array, and a byte budget
sets the size of a chunk. Of equal scores the lower item id comes first (`jax.lax.top_k` keeps the lower index), so a ranking
is reproducible.

A large catalogue is ranked in two levels, with the same result: take the maximum of each block of `BLOCK` items, choose the
`k` blocks with the best maxima, and rank only the items of these blocks. This is exact: `k` items come before any item of
another block, namely the maxima of the chosen blocks. Each maximum is above that item, or equal and in a lower block. The
chosen blocks are kept in the order of their ids, so ties are the same too. Measured in results/ranking.md.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from onebp_jax.types import Array

# A larger chunk multiplies faster, as long as it fits in the cache (results/ranking.md).
DEFAULT_BYTES = 16 * 2**20

# Items per block, and the largest share of the catalogue in the chosen blocks for which two levels are faster.
BLOCK = 64
SHARE = 1 / 4


class Seen(NamedTuple):
    """Items to leave out, sorted by row: pair `p` leaves `item_ids[p]` out of the list of row `rows[p]`.

    `starts i32[chunks]` is where the pairs of each chunk begin, `width` (static) the largest number of pairs of a chunk.
    """

    rows: Array
    item_ids: Array
    starts: Array
    width: int


class Plan(NamedTuple):
    """How to rank: the users per chunk, and the pairs to leave out. `plan` makes it once for all evaluations."""

    num_rows: int
    num_items: int
    chunk: int
    seen: Seen


def plan(num_rows: int, num_items: int, seen: np.ndarray | None = None, byte_budget: int = DEFAULT_BYTES) -> Plan:
    """Prepares a ranking of `num_rows` users.

    Args:
      num_rows: rows of the user matrix that will be ranked.
      num_items: catalogue size `N`.
      seen: `int[P, 2]` (row, item) pairs to leave out of the lists, in any order; None for none.
      byte_budget: upper bound in bytes for the scores of a chunk, `[chunk, N]`; a chunk has at least one user. Not in the
        budget: one copy of the item table, the lists, and for two levels up to 63 items of padding per row, the maxima
        (1/64 of the scores) and the candidates (at most a quarter of the scores). Several vectors per user need twice
        the scores, for any number of vectors.
    """
    chunk = int(np.clip(byte_budget // (4 * num_items), 1, max(1, num_rows)))
    chunks = max(1, -(-num_rows // chunk))
    pairs = np.zeros((0, 2), np.int32) if seen is None else np.asarray(seen)
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    edges = np.searchsorted(pairs[:, 0], np.arange(chunks + 1) * chunk)
    width = max(1, int(np.diff(edges).max(initial=0)))
    # Every chunk reads `width` pairs from its start, so padding follows the last pair; pairs of other rows are ignored.
    padded = np.concatenate([pairs, np.full((width, 2), -1)])
    rows, item_ids, starts = (jnp.asarray(x, jnp.int32) for x in (padded[:, 0], padded[:, 1], edges[:-1]))
    return Plan(num_rows, num_items, chunk, Seen(rows, item_ids, starts, width))


def block_of(num_items: int, k: int) -> int:
    """Items per block for lists of `k`; 0 if `k` blocks are a large share of the catalogue, then whole rows are sorted."""
    return BLOCK if k * BLOCK <= SHARE * num_items else 0


def _maximum(array: Array, axis: int) -> Array:
    """The maximum along an axis; NaN counts as minus infinity, without the extra NaN test of `jnp.max`."""
    return jax.lax.reduce(array, np.float32(-np.inf), lambda a, b: jax.lax.select(b > a, b, a), (axis,))


def _best_of_blocks(scores: Array, k: int) -> tuple[Array, Array]:
    """`jax.lax.top_k` of each row in two levels.

    Args:
      scores: `f32[rows, B, blocks]`, item `i` at `[:, i % B, i // B]`. So a block is a range of ids, and the maxima of all
        blocks are computed on contiguous vectors.

    Returns:
      `(scores f32[rows, k], item_ids i32[rows, k])`.
    """
    _, block, blocks = scores.shape
    _, chosen = jax.lax.top_k(_maximum(scores, 1), min(k, blocks))
    # Ascending order. For such short rows top_k is much faster than a sort, but only in float32 (exact below 2 ** 24).
    chosen = -jax.lax.top_k(-chosen.astype(jnp.float32), chosen.shape[1])[0].astype(jnp.int32)
    rows, inside = jnp.arange(len(scores))[:, None, None], jnp.arange(block)
    candidates = scores.at[rows, inside, chosen[:, :, None]].get(mode="promise_in_bounds")
    candidates = jnp.where(jnp.isnan(candidates), -jnp.inf, candidates).reshape(len(scores), -1)
    best, place = jax.lax.top_k(candidates, k)
    ids = jnp.take_along_axis(chosen, place // block, axis=1, mode="promise_in_bounds")
    return best, ids * block + place % block


def _best_scores(vectors: Array, item: Array) -> Array:
    """`f32[chunk, N]`: the largest dot product of `vectors [chunk, K, d]` with each item; for `K > 1` NaN is minus infinity.

    It takes one vector after another, so the scores of all `K` are never in memory together.
    """
    product = lambda k: jnp.matmul(vectors[:, k], item.T, precision=jax.lax.Precision.HIGHEST)
    if vectors.shape[1] == 1:
        return product(0)

    def better(k: Array, best: Array) -> Array:
        scores = product(k)
        return jnp.where(scores > best, scores, best)

    first = jnp.full((vectors.shape[0], item.shape[0]), -jnp.inf, vectors.dtype)
    return jax.lax.fori_loop(0, vectors.shape[1], better, first)


@partial(jax.jit, static_argnames=("k", "chunk", "width", "block"))
def rank_chunks(
    user: Array,
    item: Array,
    rows: Array,
    item_ids: Array,
    starts: Array,
    *,
    k: int,
    chunk: int,
    width: int,
    block: int | None = None,
) -> tuple[Array, Array]:
    """`top_k` of the arrays of a plan, compiled. `block`: items per block, 0 for whole rows, None for `block_of`."""
    num_items, dim = item.shape
    # Several vectors of a user are separate rows until their scores are compared.
    several = user.shape[1] if user.ndim == 3 else 1
    block = block_of(num_items, k) if block is None else block
    if dim == 1:
        # A single product may be -0.0, which top_k ranks below the equal 0.0; the sum of two products never is.
        user, item = (jnp.pad(table, [(0, 0)] * (table.ndim - 1) + [(0, 1)]) for table in (user, item))
    # Whole rows are blocks of one item.
    size = max(1, block)
    blocks = -(-num_items // size)
    padding = blocks * size - num_items
    item = jnp.pad(item, ((0, padding), (0, 0))).reshape(blocks, size, -1).swapaxes(0, 1).reshape(blocks * size, -1)
    padded = jnp.pad(user, [(0, starts.shape[0] * chunk - user.shape[0])] + [(0, 0)] * (user.ndim - 1))

    def rank(index: Array) -> tuple[Array, Array]:
        vectors = jax.lax.dynamic_slice_in_dim(padded, index * chunk, chunk)
        scores = _best_scores(vectors.reshape(chunk, several, -1), item).reshape(chunk, size, blocks)
        row = jax.lax.dynamic_slice_in_dim(rows, starts[index], width) - index * chunk
        hidden = jax.lax.dynamic_slice_in_dim(item_ids, starts[index], width)
        row = jnp.where((row >= 0) & (row < chunk), row, chunk)
        scores = scores.at[row, hidden % size, hidden // size].set(-jnp.inf, mode="drop")
        if padding:
            scores = scores.at[:, size - padding :, -1].set(-jnp.inf)
        best, ids = _best_of_blocks(scores, k) if block else jax.lax.top_k(scores[:, 0], k)
        return best, jnp.where(best > -jnp.inf, ids, num_items)

    best, ids = jax.lax.map(rank, jnp.arange(starts.shape[0], dtype=jnp.int32))
    return best.reshape(-1, k)[: user.shape[0]], ids.reshape(-1, k)[: user.shape[0]]


def top_k(user: Array, item: Array, layout: Plan, k: int) -> tuple[Array, Array]:
    """The `k` best items of every user by dot product.

    Args:
      user: `f32[rows, d]`, or `f32[rows, K, d]`: the best of several vectors counts.
      item: `f32[N, d]`. layout: from `plan(rows, N, seen)`. k: list length, capped at `N`.

    Returns:
      `(scores f32[rows, k], item_ids i32[rows, k])`, best first. If a user has fewer than `k` items left, the rest
      of the row is `-inf` and `N`.

    Raises:
      ValueError: the tables do not fit the plan, or `k < 1`.
    """
    if (user.shape[0], item.shape[0]) != (layout.num_rows, layout.num_items):
        raise ValueError(
            f"tables of {user.shape[0]} users and {item.shape[0]} items do not fit a plan for "
            f"{layout.num_rows} and {layout.num_items}"
        )
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    seen = layout.seen
    return rank_chunks(
        user,
        item,
        seen.rows,
        seen.item_ids,
        seen.starts,
        k=min(k, layout.num_items),
        chunk=layout.chunk,
        width=seen.width,
    )
