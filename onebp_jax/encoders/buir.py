"""The tables of BUIR: each row holds an online vector and its slow copy; a linear predictor `q` maps the one to the other."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from onebp_jax.encoders.embedding import xavier_normal
from onebp_jax.ops.checks import check_count
from onebp_jax.types import Array, Encoder, Interactions, Tables


def buir(dim: int) -> Encoder:
    """Tables `[M, 2, d]` and `[N, 2, d]` (slot 0 online, slot 1 the slow copy, equal at first), and `q(x) = x W^T + b`.

    A user is encoded as `(q(u), u')` and an item as `(v', q(v))`, `[.., 2, d]`, for the loss `buir`. No gradient flows into the
    copies `u'` and `v'`; the updater `with_target` moves them. The score is `<q(u), v> + <u, q(v)>`, with online vectors that
    are not normalised. So the vectors to rank by are `(q(u), u)` and `(v, q(v))`, `2 d` numbers each.

    Args:
      dim: width. Tables and `W` start Xavier-normal, `b` starts standard normal, as in the authors' code.

    Raises:
      ValueError: a width that is not a positive whole number.

    Source: Lee et al. 2021, Bootstrapping User and Item Representations for One-Class Collaborative Filtering (BUIR_id).
    """
    check_count("dim", dim)

    def init(key: Array, data: Interactions) -> Tables:
        user_key, item_key, weight_key, bias_key = jax.random.split(key, 4)
        user, item = (
            jnp.stack([xavier_normal(key, rows, dim)] * 2, 1)
            for key, rows in ((user_key, data.num_users), (item_key, data.num_items))
        )
        params = {"W": xavier_normal(weight_key, dim, dim), "b": jax.random.normal(bias_key, (dim,))}
        return Tables(user, item, params)

    def encode(tables: Tables, user_ids, item_ids, data, key=None) -> tuple[Array, Array]:
        del user_ids, item_ids, data, key
        (user, slow_user), (item, slow_item) = ((rows[:, 0], rows[:, 1]) for rows in tables[:2])
        slow_user, slow_item = jax.lax.stop_gradient((slow_user, slow_item))
        predict = lambda rows: _predict(rows, tables.params)
        return jnp.stack([predict(user), slow_user], 1), jnp.stack([slow_item, predict(item)], 1)

    def vectors(tables: Tables, data) -> tuple[Array, Array]:
        del data
        user, item = tables.user[:, 0], tables.item[:, 0]
        predict = lambda rows: _predict(rows, tables.params)
        return jnp.concatenate([predict(user), user], 1), jnp.concatenate([item, predict(item)], 1)

    return Encoder(init, encode, vectors, geometry="buir")


def _predict(rows: Array, params: dict[str, Array]) -> Array:
    return jnp.matmul(rows, params["W"].T, precision=jax.lax.Precision.HIGHEST) + params["b"]
