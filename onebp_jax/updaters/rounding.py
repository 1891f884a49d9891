"""Rows computed in float32 going back into a table of a narrower type.

bfloat16 keeps 8 bits of a number: a step of 1/1000 of a row rounds to nothing, always. Rounding up or down by chance, in
proportion to what is nearer, keeps the mean right (stochastic rounding, Gupta et al. 2015); so small steps add up.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from onebp_jax.ops.random import hash_words
from onebp_jax.ops.rows import NARROW
from onebp_jax.types import Array


def to_storage(rows: Array, dtype, key: Array | None = None) -> Array:
    """`rows f32[n, d]` in a table's `dtype`: float32 as they are, bfloat16 rounded by chance (to nearest without a key).

    The chance is a hash of key and place: a few operations a number, where a cipher would cost more than the update.
    """
    if dtype not in (jnp.bfloat16, NARROW):
        return rows.astype(dtype)
    rounded = rows.astype(jnp.bfloat16)
    if key is not None:
        place = jax.lax.iota(jnp.uint32, rows.size).reshape(rows.shape)
        low = hash_words(place ^ jax.random.bits(key)) & 0xFFFF
        bits = jax.lax.bitcast_convert_type(rows.astype(jnp.float32), jnp.uint32) + low
        by_chance = jax.lax.bitcast_convert_type((bits >> 16).astype(jnp.uint16), jnp.bfloat16)
        # The bits of a NaN are no place on a scale: adding to them could make a number of it.
        rounded = jnp.where(jnp.isfinite(rows), by_chance, rounded)
    return jax.lax.bitcast_convert_type(rounded, NARROW) if dtype == NARROW else rounded
