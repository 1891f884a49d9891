"""Free vectors in Euclidean space, one per item and one or several per user. The nearest item ranks first."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from onebp_jax.encoders.embedding import normal
from onebp_jax.ops.checks import check_choice, check_count, check_positive
from onebp_jax.ops.geometry import ranked_by_dot, unit
from onebp_jax.types import Array, Encoder, Interactions, Tables

STARTS = ("free", "ball", "sphere")


def euclidean(
    dim: int, num_interests: int = 1, user_std: float | None = None, item_std: float | None = None, start: str = "free"
) -> Encoder:
    """Tables `[M, (K,) d]` and `[N, d]` of normal numbers; the score is `-min_k |u_k - v|^2`.

    Args:
      dim: width of the vectors. num_interests: `K`, vectors per user; with 1 the user table has no axis for it.
      user_std, item_std: standard deviation of the initial numbers. None is `1 / sqrt(dim)`, for vectors of about length 1
        (DPCML: 0.01 for users).
      start: where the vectors begin: "free", as drawn; "ball", cut to the unit ball; "sphere", rescaled to the unit sphere.
        The updater `constrained` keeps them there.

    Returns:
      An `Encoder` of geometry "distance". Its `vectors`, to rank by dot product and to export, are two numbers longer, see
      `onebp_jax.ops.geometry.ranked_by_dot`.

    Raises:
      ValueError: sizes that are not positive whole numbers, a deviation that is not positive, or an unknown start.
    """
    check_count("dim", dim)
    check_count("num_interests", num_interests)
    stds = [1 / math.sqrt(dim) if std is None else std for std in (user_std, item_std)]
    for name, std in zip(("user_std", "item_std"), stds, strict=True):
        check_positive(name, std)
    check_choice("start", start, STARTS)

    def place(rows: Array) -> Array:
        if start == "free":
            return rows
        short = jnp.sum(rows * rows, -1, keepdims=True) <= 1
        return jnp.where(short, rows, unit(rows)) if start == "ball" else unit(rows)

    def init(key: Array, data: Interactions) -> Tables:
        user_key, item_key = jax.random.split(key)
        of_user = (data.num_users, dim) if num_interests == 1 else (data.num_users, num_interests, dim)
        user = normal(user_key, of_user, stds[0])
        item = normal(item_key, (data.num_items, dim), stds[1])
        return Tables(place(user), place(item))

    def encode(tables: Tables, user_ids, item_ids, data, key=None) -> tuple[Array, Array]:
        del user_ids, item_ids, data, key
        return tables.user, tables.item

    def vectors(tables: Tables, data) -> tuple[Array, Array]:
        del data
        return ranked_by_dot(tables.user, tables.item)

    return Encoder(init, encode, vectors, geometry="distance")
