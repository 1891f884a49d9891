"""Cheap random numbers for a compiled step: 32-bit words, a hash of words, and the numbers that are made from words.

One call of the cipher behind `jax.random` makes two words. A hash turns a few words into many more. A cipher call for each
number would take longer than the rest of the step.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from onebp_jax.types import Array


def hash_words(words: Array) -> Array:
    """Mixes 32-bit words, one to one, so that no pattern is visible (the finaliser of MurmurHash3, public domain)."""
    words = (words ^ (words >> 16)) * jnp.uint32(0x85EBCA6B)
    words = (words ^ (words >> 13)) * jnp.uint32(0xC2B2AE35)
    return words ^ (words >> 16)


def random_words(key: Array, count: int) -> Array:
    """`u32[count]`: both words of each of `count / 2` cipher calls (`jax.random.bits` keeps one of the two)."""
    return jax.random.key_data(jax.random.split(key, -(-count // 2))).reshape(-1)[:count]


def scale_words(words: Array, bound: Array) -> Array:
    """`i32` in `0 .. bound-1` from uniform 32-bit words: the high half of `words * bound`, in 16-bit pieces.

    The probability of a value differs from `1 / bound` by a relative error below `bound / 2^32` (Lemire 2019, without the retry).
    """
    bound = bound.astype(jnp.uint32)
    a, b = words >> 16, words & 0xFFFF
    c, d = bound >> 16, bound & 0xFFFF
    middle = a * d + ((b * d) >> 16)
    carried = b * c + (middle & 0xFFFF)
    return (a * c + (middle >> 16) + (carried >> 16)).astype(jnp.int32)


def distinct_numbers(words: Array, bound: Array) -> Array:
    """`k` distinct uniform numbers per column: `words u32[k, b]`, `bound i32[b]` with `bound >= k`; returns `i32[k, b]`.

    These are the first `k` swaps of a Fisher-Yates shuffle of `0 .. bound-1`, without the array. Swap `j` picks a place in
    `j .. bound-1`; following the earlier swaps back tells which number is there (Durstenfeld 1964).
    """
    count = words.shape[0]
    row = jnp.arange(count, dtype=jnp.int32)[:, None]
    places = row + scale_words(words, bound - row)

    def follow(i: Array, values: Array) -> Array:
        # Goes from the latest swap back to the first. If swap `j` pointed at this place, it moved the number of place `j` there.
        swap = count - 1 - i
        here = jax.lax.dynamic_slice_in_dim(places, swap, 1)
        return jnp.where((row > swap) & (values == here), swap, values)

    return jax.lax.fori_loop(0, count, follow, places, unroll=count <= 8)


def gumbel(words: Array) -> Array:
    """Standard Gumbel numbers from uniform 32-bit words, accurate to float32 at the upper end, which decides draws."""
    share = jnp.minimum((words.astype(jnp.float32) + 0.5) * 2.0**-32, 1 - 2.0**-24)
    return -jnp.log(-jnp.log1p(-share))
