"""The shuffled mini-batches of interactions in memory, made on the device.

An epoch visits every pair once in a pseudo-random order that is a *function*, not an array: position `p` of epoch `e` holds
pair `order(key, e, p)`. The function is a Feistel network over a grid of about `sqrt(P) x sqrt(P)` cells, repeated until the
result lies in `0 .. P-1` (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"). It needs no sort and no memory, and
any batch of any epoch can be made alone. So an interrupted run can go on at any step.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from onebp_jax.ops.csr import row_bounds
from onebp_jax.ops.random import hash_words
from onebp_jax.types import Array, Batch, Interactions, Purpose, step_key

_ROUNDS = 8


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
    if data.row_limits:
        return _users_at(key, step, data, batch_size)
    epoch, position = jnp.divmod(step, steps_per_epoch(data.num_pairs, batch_size, drop_last))
    places = position * batch_size + jnp.arange(batch_size, dtype=jnp.int32)
    inside = places < data.num_pairs
    pairs = shuffled(step_key(key, Purpose.SHUFFLE, epoch), jnp.where(inside, places, 0), data.num_pairs)
    users = data.user_ids.at[pairs].get(mode="promise_in_bounds")
    items = data.item_ids.at[pairs].get(mode="promise_in_bounds")
    return Batch(jnp.where(inside, users, data.num_users), jnp.where(inside, items, data.num_items))


def batches_at(
    key: Array, step: Array, length: int, data: Interactions, batch_size: int, drop_last: bool = False
) -> Batch:
    """The batches of `length` steps from `step` on, `Batch[length, b]`, by as many kernels as one of them takes."""
    steps = step + jnp.arange(length, dtype=jnp.int32)
    return jax.vmap(lambda step: batch_at(key, step, data, batch_size, drop_last))(steps)


def _users_at(key: Array, step: Array, data: Interactions, batch_size: int) -> Batch:
    """One user of each stratum (`data.device.one_history_a_user`), each with the first item of the history."""
    steps = data.num_pairs // batch_size
    epoch, position = jnp.divmod(step, steps)
    epoch_key = step_key(key, Purpose.SHUFFLE, epoch)

    def member(stratum: Array) -> Array:
        return stratum * steps + shuffled(jax.random.fold_in(epoch_key, stratum), position[None], steps)[0]

    users = data.user_ids[jax.vmap(member)(jnp.arange(batch_size, dtype=jnp.int32))]
    first = data.sorted_items.at[data.row_starts.at[users].get(mode="clip")].get(mode="clip")
    return Batch(users, jnp.where(users < data.num_users, first, data.num_items))


def pack_histories(user_ids: Array, data: Interactions) -> tuple[Array, Array]:
    """The histories of the users of a batch, or of one device's part of it, one after the other.

    Args:
      user_ids: `i32[b]`, padded with `M`; under `data.row_limits` each at its own place of a batch.

    Returns:
      `(slots i32[p], item_ids i32[p])`: which user each item belongs to, ascending, and the item; `b` and `N` for padding. `p`
      is the most that any such batch can need.
    """
    count, limits = user_ids.shape[0], data.row_limits
    parts = [sum(limits[at : at + count]) for at in range(0, len(limits), count)]
    start, end = row_bounds(user_ids, data)
    ends = jnp.cumsum(end - start)
    place = jnp.arange(max(parts, default=count * data.max_row), dtype=jnp.int32)
    slots = jnp.searchsorted(ends, place, side="right").astype(jnp.int32)
    first = start - (ends - (end - start))
    items = data.sorted_items.at[first.at[slots].get(mode="clip") + place].get(mode="clip")
    return slots, jnp.where(slots < count, items, data.num_items)
