"""Users without a table: each user is the weighted sum of the vectors of the items that they touched.

    u = unit(sum over the history of w_i v_i),     v_i = unit(row of item i),     w_i = degree_i ^ -damping

With a half-life, a user that is ranked or served weighs recent events more, see `onebp_jax.ops.fold.Recency`. Training weighs all
events alike: it learns which items go together, recency says which ones matter now (results/FRONTIER.md).

With `smoothing` g, `v_i = unit(unit(row of item i) + g c_i)`: the context `c_i` is the mean of the vectors of the item's users,
rescaled to length one, as they were at the start of the epoch; it is a constant to the gradient.

An item that learns moves all its users at once, and a new event moves its user in O(dim). This is OneBP's moving average at its
limit: with a weight of its own for each item, and always of the *current* item vectors. The gradient may go through the sum; then
items also learn in their role as history. There is no parameter, no gradient and no optimiser state of a user.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from onebp_jax.encoders.embedding import xavier_normal
from onebp_jax.encoders.graph import AnyArray, Edges, sums, weighted
from onebp_jax.ops.checks import check_count, check_not_negative
from onebp_jax.ops.csr import item_counts, need_rows
from onebp_jax.ops.fold import ALIKE, Fold, Part, Recency
from onebp_jax.ops.geometry import unit, unit_fast_gradient
from onebp_jax.ops.repeated import add_rows, rows_at
from onebp_jax.ops.rows import to_float32
from onebp_jax.types import Array, Encoder, Interactions, Tables


class _Prepared(NamedTuple):
    """The weight of each item, `f32[N]`, and the weighted edges from items to users.

    For the context: the edges to items, and, if `to_user` has weights by age, those to users without.
    """

    weight: AnyArray
    to_user: Edges
    to_item: Edges | None
    ageless: Edges | None


def aggregate(
    dim: int,
    damping: float = 0.0,
    through: bool = True,
    leave_one_out: bool = False,
    smoothing: float = 0.0,
    user_damping: float = 0.5,
    recency: Recency = ALIKE,
) -> Encoder:
    """Users as sums over their histories; items have a table of width `dim`, and are compared by the cosine.

    Args:
      dim: width of the item table.
      damping: exponent of the weights `degree ^ -damping` >= 0, where the degree is an item's number of training pairs; the
        larger, the less popular items say about a user.
      through: whether the gradient goes through the sum.
      leave_one_out: whether each positive is compared with its user without this positive. A user with one item then has the
        vector zero, which scores zero.
      smoothing: the weight of the context in an item's vector, >= 0; 0 for none.
      user_damping: in the context a user weighs `degree ^ -user_damping`, >= 0.
      recency: how much an event counts where its user is ranked.

    Returns:
      An `Encoder` whose users have rows of width 0. Its methods have the epoch unit "history". A user without history has the
      vector zero.

    Raises:
      ValueError: a width that is not a positive whole number, or a negative exponent; from `prepare`, a half-life for events
        whose order is not known.
    """
    check_count("dim", dim)
    check_not_negative("damping", damping)
    check_not_negative("smoothing", smoothing)
    check_not_negative("user_damping", user_damping)
    recency.check()

    def init(key: Array, data: Interactions) -> Tables:
        item = xavier_normal(key, data.num_items, dim)
        return Tables(jnp.zeros((data.num_users, 0)), item, context=jnp.zeros_like(item) if smoothing else ())

    def prepare(data: Interactions) -> _Prepared:
        need_rows(data)
        weight = np.maximum(item_counts(data), 1).astype(np.float64) ** -damping
        by_age, of_pairs, counts = recency.weights(data), weight[data.sorted_items], np.diff(data.row_starts)
        of_users = np.repeat(np.maximum(counts, 1).astype(np.float64) ** -user_damping, counts) if smoothing else None
        to_user, to_item = weighted(data, dim, of_pairs, of_users)
        ageless = None
        if by_age is not None:
            ageless, to_user = to_user if smoothing else None, weighted(data, dim, of_pairs * by_age)[0]
        return _Prepared(weight.astype(np.float32), to_user, to_item, ageless)

    def items(tables: Tables, unit: Callable[[Array], Array]) -> Array:
        rows = unit(to_float32(tables.item))
        return unit(rows + smoothing * jnp.asarray(tables.context)) if smoothing else rows

    def encode(tables: Tables, user_ids, item_ids, data, key=None) -> tuple[Array, Array]:
        del user_ids, item_ids, data, key
        return tables.user, items(tables, unit_fast_gradient)

    def users(
        items: Array, item_ids: Array, slots: Array, count: int, data: Interactions
    ) -> tuple[Array, Array | None]:
        messages = items if through else jax.lax.stop_gradient(items)
        messages = messages * data.prepared.weight.at[item_ids].get(mode="clip")[:, None]
        total = add_rows(jnp.zeros((count, dim)), slots, messages, indices_are_sorted=True)
        if not leave_one_out:
            return unit_fast_gradient(total), None
        return unit_fast_gradient(total), unit_fast_gradient(rows_at(total, slots) - messages)

    def vectors(tables: Tables, data: Interactions) -> tuple[Array, Array]:
        item = items(tables, unit)
        return unit(sums(data.prepared.to_user, item, data.num_users)), item

    def refresh(tables: Tables, data: Interactions) -> Array:
        """Each item's users, of the items as they are without context."""
        ageless = data.prepared.ageless
        user = unit(sums(ageless or data.prepared.to_user, unit(to_float32(tables.item)), data.num_users))
        return unit(sums(data.prepared.to_item, user, data.num_items))

    def fold(data: Interactions) -> Fold:
        return Fold((Part(data.prepared.weight, np.ones(dim, np.float32), unit=True),), recency)

    return Encoder(
        init, encode, vectors, prepare=prepare, aggregate=users, refresh=refresh if smoothing else None, fold=fold
    )
