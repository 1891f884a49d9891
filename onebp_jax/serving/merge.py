"""One list out of several: those of the nearest neighbours of each vector of a user."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from onebp_jax.types import Array


@partial(jax.jit, static_argnames="n")
def merge(scores: Array, item_ids: Array, n: int) -> tuple[Array, Array]:
    """The `n` best items over a user's `K` lists, each item once, at its best score.

    It is exact: an item among the `n` best by its best vector is among the `n` best of that vector's list.

    Args:
      scores: `f32[M, K, m]`, each list at least as long as wanted. item_ids: `i32[M, K, m]`, distinct in a list; where a list
        has ended, the score is `-inf` and the id the number of items, as `ranking.top_k` gives them.
      n: items wanted, `1 <= n <= m`.

    Returns:
      `(f32[M, n], i32[M, n])`, best first, equal scores by ascending id; `-inf` and the number of items where they end.

    Raises:
      ValueError: `n` out of range, since shorter lists could miss an item.
    """
    if not 1 <= n <= scores.shape[2]:
        raise ValueError(f"n must be from 1 to the length of the lists, {scores.shape[2]}, got {n}")
    ended = jnp.max(item_ids, axis=(1, 2), keepdims=True)[:, :, 0]
    # By id, and the best score of an item first; so the order of ids also breaks ties below.
    flat = [values.reshape(len(values), -1) for values in (item_ids, -scores)]
    ids, best = jax.lax.sort(flat, num_keys=2)
    again = jnp.concatenate([jnp.zeros((len(ids), 1), bool), ids[:, 1:] == ids[:, :-1]], 1)
    top, place = jax.lax.top_k(jnp.where(again, -jnp.inf, -best), n)
    return top, jnp.where(top > -jnp.inf, jnp.take_along_axis(ids, place, 1), ended)
