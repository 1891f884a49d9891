"""Users without a table: each user is the weighted sum of the vectors of the items that they touched.

    u = unit(sum over the history of w_i v_i),     v_i = unit(row of item i),     w_i = degree_i ^ -damping

An item that learns moves all its users at once, and a new event moves its user in O(dim). This is OneBP's moving average at its
limit: with a weight of its own for each item, and always of the *current* item vectors. The gradient may go through the sum; then
items also learn in their role as history. There is no parameter, no gradient and no optimiser state of a user.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from onebp_jax.encoders.embedding import xavier_normal
from onebp_jax.encoders.graph import AnyArray, Edges, one_way, sums
from onebp_jax.ops.checks import check_count, check_not_negative
from onebp_jax.ops.csr import item_counts
from onebp_jax.ops.geometry import unit, unit_fast_gradient
from onebp_jax.ops.rows import to_float32
from onebp_jax.types import Array, Encoder, Interactions, Tables


class _Prepared(NamedTuple):
    """The weight of each item, `f32[N]`, and the weighted edges from items to users."""

    weight: AnyArray
    to_user: Edges


def aggregate(dim: int, damping: float = 0.0, through: bool = True, leave_one_out: bool = False) -> Encoder:
    """Users as sums over their histories; items have a table of width `dim`, and are compared by the cosine.

    Args:
      dim: width of the item table.
      damping: exponent of the weights `degree ^ -damping` >= 0, where the degree is an item's number of training pairs; the
        larger, the less popular items say about a user.
      through: whether the gradient goes through the sum.
      leave_one_out: whether each positive is compared with its user without this positive. A user with one item then has the
        vector zero, which scores zero.

    Returns:
      An `Encoder` whose users have rows of width 0. Its methods have the epoch unit "history". A user without history has the
      vector zero.

    Raises:
      ValueError: a width that is not a positive whole number, or a negative exponent.
    """
    check_count("dim", dim)
    check_not_negative("damping", damping)

    def init(key: Array, data: Interactions) -> Tables:
        return Tables(jnp.zeros((data.num_users, 0)), xavier_normal(key, data.num_items, dim))

    def prepare(data: Interactions) -> _Prepared:
        weight = np.maximum(item_counts(data), 1).astype(np.float64) ** -damping
        return _Prepared(weight.astype(np.float32), one_way(data, dim, weight))

    def encode(tables: Tables, user_ids, item_ids, data, key=None) -> tuple[Array, Array]:
        del user_ids, item_ids, data, key
        return tables.user, unit_fast_gradient(tables.item)

    def users(
        items: Array, item_ids: Array, slots: Array, count: int, data: Interactions
    ) -> tuple[Array, Array | None]:
        messages = items if through else jax.lax.stop_gradient(items)
        messages = messages * data.prepared.weight.at[item_ids].get(mode="clip")[:, None]
        total = jnp.zeros((count, dim)).at[slots].add(messages, mode="drop", indices_are_sorted=True)
        if not leave_one_out:
            return unit_fast_gradient(total), None
        return unit_fast_gradient(total), unit_fast_gradient(total.at[slots].get(mode="clip") - messages)

    def vectors(tables: Tables, data: Interactions) -> tuple[Array, Array]:
        item = unit(to_float32(tables.item))
        return unit(sums(data.prepared.to_user, item, data.num_users)), item

    return Encoder(init, encode, vectors, prepare=prepare, aggregate=users)
