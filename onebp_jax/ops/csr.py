"""Training pairs sorted by user (CSR): row bounds, item counts, and binary search in a row."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from onebp_jax.types import Array, Interactions


def item_counts(data: Interactions) -> np.ndarray:
    """`i64[N]`, on the host: the number of users who touched each item in training."""
    if data.item_counts is not None:
        return np.asarray(data.item_counts, np.int64)
    return np.bincount(data.sorted_items, minlength=data.num_items)


def item_share(data: Interactions) -> Array:
    """`f32[N]`: the share of each item in the training pairs."""
    counts = item_counts(data)
    return jnp.asarray(counts / counts.sum(), jnp.float32)


def need_rows(data: Interactions) -> None:
    """Raises ValueError if it is unknown what users touched, for parts that need it."""
    if not data.max_row:
        raise ValueError(
            "this method needs to know what each user touched, and that does not fit in memory: raise membership_bytes, or use "
            "negatives that work without it, such as uniform, shared or in_batch"
        )


def not_left_out(users: np.ndarray, data: Interactions) -> np.ndarray:
    """`bool[M]`, on the host: those of the users whose pairs are trained on."""
    return users if data.left_out is None else users & ~np.asarray(data.left_out)


def row_bounds(user_ids: Array, data: Interactions) -> tuple[Array, Array]:
    """Where the users' rows in `sorted_items` begin and end, `i32[b]` each. Padding has an empty row."""
    start, end = (data.row_starts.at[user_ids + i].get(mode="clip") for i in (0, 1))
    return start, end


def count_leading(holds: Callable[[Array], Array], length: Array | int, longest: int, shape: tuple[int, ...]) -> Array:
    """How many leading places of each row satisfy a condition, by binary search.

    Args:
      holds: `holds(count i32[shape]) -> bool[shape]`, whether the last of the first `count` places satisfies the condition. True
        up to some count of each row and false after it. It is also called with counts past the end of a row; those answers
        are ignored. (Counts, not places: with `count - 1` as its argument, XLA copied an index in each round, 3 % of a step.)
      length: the number of places of each row, a number or `i32` that broadcasts to `shape`.
      longest: the largest `length`, which decides the number of steps.
      shape: the shape of the result.

    Returns:
      `i32[shape]`, from 0 to `length`.
    """
    bits = longest.bit_length()

    def try_bit(i: Array | int, count: Array) -> Array:
        longer = count + ((1 << bits) >> 1 >> i)
        return jnp.where((longer <= length) & holds(longer), longer, count)

    # Not unrolled: XLA would fuse the steps and compute early ones repeatedly (1.8 times as long for 2048 x 256).
    return jax.lax.fori_loop(0, bits, try_bit, jnp.zeros(shape, jnp.int32))
