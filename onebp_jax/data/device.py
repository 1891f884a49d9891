"""Interactions as arrays: on the host for everything that is computed before training, and their upload to the device."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from onebp_jax.compat.renamed import renamed_names
from onebp_jax.types import Interactions, Tree


def on_host(
    pairs: np.ndarray,
    num_users: int,
    num_items: int,
    user_features: Tree = None,
    item_features: Tree = None,
    ages: np.ndarray | None = None,
) -> Interactions:
    """`Interactions` of NumPy arrays, for whatever is computed before training.

    Args:
      pairs: `int[P, 2]`, distinct (user, item) pairs. num_users, num_items: `M` and `N`, above every id.
      user_features, item_features: side information with one row per user or item; None for none.
      ages: `i32[P]`, see `Interactions`; None if the order of events is not known.

    Raises:
      ValueError: no pairs, another shape, or an id out of range.
    """
    pairs = np.asarray(pairs)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not len(pairs):
        raise ValueError(f"expected pairs of shape [P, 2] with P > 0, got {pairs.shape}")
    low, high = pairs.min(0), pairs.max(0)
    if low.min() < 0 or high[0] >= num_users or high[1] >= num_items:
        raise ValueError(
            f"ids out of range: users {low[0]}..{high[0]} of {num_users}, items {low[1]}..{high[1]} of {num_items}"
        )
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    counts = np.bincount(pairs[:, 0], minlength=num_users)
    starts = np.concatenate([[0], np.cumsum(counts)])
    # `Interactions` declares device arrays; on the host NumPy arrays take their place.
    arrays: list[Tree] = [np.asarray(x, np.int32) for x in (pairs[:, 0], pairs[:, 1], starts, pairs[order, 1])]
    user_ids, item_ids, row_starts, sorted_items = arrays
    of_rows: Tree = None if ages is None else np.asarray(ages, np.int32)[order]
    return Interactions(
        user_ids=user_ids,
        item_ids=item_ids,
        row_starts=row_starts,
        sorted_items=sorted_items,
        num_users=num_users,
        num_items=num_items,
        max_row=int(counts.max()),
        user_features=user_features,
        item_features=item_features,
        ages=of_rows,
    )


def upload(data: Interactions) -> Interactions:
    """The same interactions on the default device."""
    return jax.tree.map(jnp.asarray, data)


def to_device(
    pairs: np.ndarray, num_users: int, num_items: int, user_features: Tree = None, item_features: Tree = None
) -> Interactions:
    """`upload(on_host(..))` with the same arguments."""
    return upload(on_host(pairs, num_users, num_items, user_features, item_features))


def one_pair_a_user(data: Interactions) -> Interactions:
    """Host interactions of which an epoch visits each user once: with the first pair of the user's sorted row."""
    starts = np.asarray(data.row_starts)
    users = np.flatnonzero(np.diff(starts)).astype(np.int32)
    return data.replace(user_ids=users, item_ids=np.asarray(data.sorted_items)[starts[users]])


def one_history_a_user(data: Interactions, batch_size: int) -> Interactions:
    """Host interactions of which an epoch visits each user with pairs once, in batches whose histories fit in little space.

    The users are sorted by the length of their histories and cut into `batch_size` strata of equal size; each batch takes one
    user of each stratum. So all batches hold about the same number of pairs, and `row_limits` bounds it exactly. Strata are in
    the order of their reversed bits, so that equal parts of a batch, one per device, are about equal too.

    Returns:
      `user_ids i32[batch_size * steps]`, stratum after stratum, padded with `M`; no `item_ids`.
    """
    counts = np.diff(np.asarray(data.row_starts))
    users = np.argsort(counts, kind="stable")[np.count_nonzero(counts == 0) :]
    steps = -(-len(users) // batch_size)
    # Padding comes first: it takes no space where histories are short.
    strata = np.append(np.full(batch_size * steps - len(users), data.num_users), users).reshape(batch_size, steps)
    bits = max(1, (batch_size - 1).bit_length())
    order = np.argsort([int(f"{place:0{bits}b}"[::-1], 2) for place in range(batch_size)], kind="stable")
    limits = np.append(counts, 0)[strata[order]].max(1)
    return data.replace(
        user_ids=strata[order].reshape(-1).astype(np.int32),
        item_ids=np.zeros(0, np.int32),
        row_limits=tuple(limits.tolist()),
    )


def for_epochs(data: Interactions, epoch_unit: str, batch_size: int) -> Interactions:
    """Host interactions in the form that an epoch of this unit goes through, see `Method.epoch_unit`."""
    if epoch_unit == "user":
        return one_pair_a_user(data)
    return one_history_a_user(data, batch_size) if epoch_unit == "history" else data


_MOVED = ("batch_at", "shuffled", "steps_per_epoch")
__getattr__ = renamed_names(__name__, {name: f"onebp_jax.engine.batches.{name}" for name in _MOVED})
