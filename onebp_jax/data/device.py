"""Interactions on the device, and the shuffled mini-batches made there.

An epoch visits every pair once in a pseudo-random order that is a *function*, not an array: position `p` of epoch `e` holds
pair `order(key, e, p)`. The function is a Feistel network over a grid of about `sqrt(P) x sqrt(P)` cells, walked on until
it lands inside `0 .. P-1` (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"). It needs no sort and no
memory, and any batch of any epoch can be made alone, which is what makes an interrupted run resumable at any step.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from onebp_jax.ops.random import hash_words
from onebp_jax.types import Array, Batch, Interactions, Purpose, Tree, step_key

_ROUNDS = 8


def on_host(
    pairs: np.ndarray, num_users: int, num_items: int, user_features: Tree = None, item_features: Tree = None
) -> Interactions:
    """`Interactions` of NumPy arrays, for whatever is computed before training.

    Args:
      pairs: `int[P, 2]`, distinct (user, item) pairs. num_users, num_items: `M` and `N`, above every id.
      user_features, item_features: side information with one row per user or item; None for none.

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
    ordered = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    counts = np.bincount(pairs[:, 0], minlength=num_users)
    starts = np.concatenate([[0], np.cumsum(counts)])
    arrays = (np.asarray(x, np.int32) for x in (pairs[:, 0], pairs[:, 1], starts, ordered[:, 1]))
    return Interactions(*arrays, num_users, num_items, int(counts.max()), user_features, item_features)


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


def steps_per_epoch(num_pairs: int, batch_size: int, drop_last: bool) -> int:
    """Batches in an epoch: the last partial one counts unless it is dropped (a set smaller than a batch never is)."""
    whole = num_pairs // batch_size
    return whole if drop_last and whole else math.ceil(num_pairs / batch_size)


def shuffled(key: Array, positions: Array, size: int) -> Array:
    """A pseudo-random permutation of `0 .. size-1` chosen by `key`, evaluated at `positions i32[n]`."""
    left_size = max(2, math.isqrt(size - 1) + 1)
    right_size = max(2, -(-size // left_size))
    round_keys = jax.random.bits(key, (_ROUNDS,))

    def encrypt(index: Array) -> Array:
        left, right = index // right_size, index % right_size
        for i in range(_ROUNDS):
            if i % 2 == 0:
                left = (left + hash_words(right ^ round_keys[i]) % left_size) % left_size
            else:
                right = (right + hash_words(left ^ round_keys[i]) % right_size) % right_size
        return left * right_size + right

    def walk(index: Array) -> Array:
        return jnp.where(index < size, index, encrypt(index))

    first = encrypt(positions.astype(jnp.uint32))
    return jax.lax.while_loop(lambda index: jnp.any(index >= size), walk, first).astype(jnp.int32)


def batch_at(key: Array, step: Array, data: Interactions, batch_size: int, drop_last: bool = False) -> Batch:
    """The batch of one global step: `batch_size` rows, the tail of an epoch padded with out-of-range ids."""
    epoch, position = jnp.divmod(step, steps_per_epoch(data.num_pairs, batch_size, drop_last))
    places = position * batch_size + jnp.arange(batch_size, dtype=jnp.int32)
    inside = places < data.num_pairs
    pairs = shuffled(step_key(key, Purpose.SHUFFLE, epoch), jnp.where(inside, places, 0), data.num_pairs)
    users = data.user_ids.at[pairs].get(mode="promise_in_bounds")
    items = data.item_ids.at[pairs].get(mode="promise_in_bounds")
    return Batch(jnp.where(inside, users, data.num_users), jnp.where(inside, items, data.num_items))
