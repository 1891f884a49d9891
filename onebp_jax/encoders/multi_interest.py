"""Several free vectors per user and one per item. A score uses the best of the user's vectors, in training and in ranking."""

from __future__ import annotations

import jax

from onebp_jax.encoders.embedding import normal, xavier_normal
from onebp_jax.ops.checks import check_count
from onebp_jax.ops.geometry import unit_fast_gradient
from onebp_jax.types import Array, Encoder, Interactions, Tables


def multi_interest(dim: int, num_interests: int, normalize: bool = False) -> Encoder:
    """Tables `[M, K, d]` and `[N, d]`, Xavier-normal as in `embedding` (each vector is drawn separately); `s = max_k <u_k, v>`.

    Args:
      dim: width of the vectors. num_interests: `K`; with 1 the scores equal the scores of `embedding` to the bit.
      normalize: score unit vectors. The tables themselves are not rescaled.

    Raises:
      ValueError: sizes that are not positive whole numbers.
    """
    check_count("dim", dim)
    check_count("num_interests", num_interests)
    form = unit_fast_gradient if normalize else lambda rows: rows

    def init(key: Array, data: Interactions) -> Tables:
        user_key, item_key = jax.random.split(key)
        # The deviation is computed for one vector, so that K does not change the length of the vectors.
        std = (2.0 / (data.num_users + dim)) ** 0.5
        user = normal(user_key, (data.num_users, num_interests, dim), std)
        return Tables(user, xavier_normal(item_key, data.num_items, dim))

    def encode(tables: Tables, user_ids, item_ids, data, key=None) -> tuple[Array, Array]:
        del user_ids, item_ids, data, key
        return form(tables.user), form(tables.item)

    def vectors(tables: Tables, data) -> tuple[Array, Array]:
        return encode(tables, None, None, data)

    return Encoder(init, encode, vectors)
