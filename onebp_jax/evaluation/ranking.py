"""Top-k over the full catalogue in bounded memory: chunks of users, seen items masked exactly, stable ties.

Never a users x items array: a chunk's scores `[chunk, N]` are the largest thing alive, and a byte budget sets the chunk.
Equal scores rank the lower item id first (`jax.lax.top_k` keeps the lower index), so that a ranking is reproducible.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from onebp_jax.types import Array

# A chunk of scores that stays in cache ranks faster than a larger one.
DEFAULT_BYTES = 4 * 2**20


class Seen(NamedTuple):
    """Items to leave out, sorted by row: pair `p` hides `item_ids[p]` from row `rows[p]`; `starts i32[chunks]` is where
    each chunk's pairs begin, and `width` (static) the most pairs that one chunk has."""

    rows: Array
    item_ids: Array
    starts: Array
    width: int


class Plan(NamedTuple):
    """How to rank: users a chunk, chunks, and what is hidden. Made once by `plan`, used at every evaluation."""

    num_rows: int
    num_items: int
    chunk: int
    seen: Seen


def plan(num_rows: int, num_items: int, seen: np.ndarray | None = None, byte_budget: int = DEFAULT_BYTES) -> Plan:
    """Lays out a ranking of `num_rows` users.

    Args:
      num_rows: rows of the user matrix that will be ranked.
      num_items: catalogue size `N`.
      seen: `int[P, 2]` (row, item) pairs to leave out of the lists, in any order; None hides nothing.
      byte_budget: upper bound in bytes for the scores alive at a time; at least one user is ranked at a time.
    """
    chunk = int(np.clip(byte_budget // (4 * num_items), 1, max(1, num_rows)))
    chunks = max(1, -(-num_rows // chunk))
    pairs = np.zeros((0, 2), np.int32) if seen is None else np.asarray(seen)
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    edges = np.searchsorted(pairs[:, 0], np.arange(chunks + 1) * chunk)
    width = max(1, int(np.diff(edges).max(initial=0)))
    # Padding after the last pair: every chunk reads `width` pairs from its start, those of other rows are ignored.
    padded = np.concatenate([pairs, np.full((width, 2), -1)])
    columns = (jnp.asarray(padded[:, i], jnp.int32) for i in (0, 1))
    return Plan(num_rows, num_items, chunk, Seen(*columns, jnp.asarray(edges[:-1], jnp.int32), width))


@partial(jax.jit, static_argnames=("k", "chunk", "width"))
def _top_k(user: Array, item: Array, rows: Array, item_ids: Array, starts: Array, *, k: int, chunk: int, width: int):
    num_items = item.shape[0]
    if item.shape[1] == 1:
        # A product alone may be -0.0, which top_k ranks below the 0.0 that it equals; a sum of two never is.
        user, item = (jnp.pad(table, ((0, 0), (0, 1))) for table in (user, item))
    padded = jnp.pad(user, ((0, starts.shape[0] * chunk - user.shape[0]), (0, 0)))

    def rank(index: Array) -> tuple[Array, Array]:
        vectors = jax.lax.dynamic_slice_in_dim(padded, index * chunk, chunk)
        scores = jnp.matmul(vectors, item.T, precision=jax.lax.Precision.HIGHEST)
        row = jax.lax.dynamic_slice_in_dim(rows, starts[index], width) - index * chunk
        hidden = jax.lax.dynamic_slice_in_dim(item_ids, starts[index], width)
        row = jnp.where((row >= 0) & (row < chunk), row, chunk)
        scores = scores.at[row, hidden].set(-jnp.inf, mode="drop")
        best, ids = jax.lax.top_k(scores, k)
        return best, jnp.where(best > -jnp.inf, ids, num_items)

    best, ids = jax.lax.map(rank, jnp.arange(starts.shape[0], dtype=jnp.int32))
    return best.reshape(-1, k)[: user.shape[0]], ids.reshape(-1, k)[: user.shape[0]]


def top_k(user: Array, item: Array, layout: Plan, k: int) -> tuple[Array, Array]:
    """The `k` best items of every user by dot product.

    Args:
      user: `f32[rows, d]`. item: `f32[N, d]`. layout: from `plan(rows, N, seen)`. k: list length, capped at `N`.

    Returns:
      `(scores f32[rows, k], item_ids i32[rows, k])`, best first. Where a user has fewer than `k` items left, the rest
      of the row is `-inf` and `N`.

    Raises:
      ValueError: tables that do not fit the layout, or `k < 1`.
    """
    if (user.shape[0], item.shape[0]) != (layout.num_rows, layout.num_items):
        raise ValueError(
            f"tables of {user.shape[0]} users and {item.shape[0]} items do not fit a plan for "
            f"{layout.num_rows} and {layout.num_items}"
        )
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    seen = layout.seen
    return _top_k(
        user,
        item,
        seen.rows,
        seen.item_ids,
        seen.starts,
        k=min(k, layout.num_items),
        chunk=layout.chunk,
        width=seen.width,
    )
