"""Merges the top-k lists of the several vectors of a user into one list."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from onebp_jax.types import Array


@partial(jax.jit, static_argnames="n")
def merge(scores: Array, item_ids: Array, n: int) -> tuple[Array, Array]:
    """The `n` best items over a user's `K` lists, each item once, at its best score.

    The result is exact: if an item is among the `n` best of a user, it is among the `n` best of at least one vector's list.

    Args:
      scores: `f32[M, K, m]`, the scores in each list.
      item_ids: `i32[M, K, m]`, no item twice in one list. After the end of a list the score is `-inf` and the id is the number of
        items, as in `ranking.top_k`.
      n: the length of the merged list, `1 <= n <= m`.

    Returns:
      `(scores f32[M, n], item_ids i32[M, n])`, best first, equal scores by ascending id. After the end of a list the score is
      `-inf` and the id is the number of items.

    Raises:
      ValueError: `n` is out of range: lists shorter than `n` could miss an item.
    """
    if not 1 <= n <= scores.shape[2]:
        raise ValueError(f"n must be from 1 to the length of the lists, {scores.shape[2]}, got {n}")
    ended = jnp.max(item_ids, axis=(1, 2), keepdims=True)[:, :, 0]
    # Sorted by id, then best score first. So equal ids are neighbours, and `top_k` below breaks ties by the smaller id.
    flat = [values.reshape(len(values), -1) for values in (item_ids, -scores)]
    ids, best = jax.lax.sort(flat, num_keys=2)
    again = jnp.concatenate([jnp.zeros((len(ids), 1), bool), ids[:, 1:] == ids[:, :-1]], 1)
    top, place = jax.lax.top_k(jnp.where(again, -jnp.inf, -best), n)
    return top, jnp.where(top > -jnp.inf, jnp.take_along_axis(ids, place, 1), ended)
