"""Rounds rows from float32 to the type that a table is stored in.

bfloat16 keeps 8 bits of a number, so a step of 1/1000 of a row is always lost if one rounds to the nearest. Stochastic rounding
(Gupta et al. 2015) goes up or down at random, to the nearer number with the higher probability. The mean is then right, and
small steps add up.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from onebp_jax.compat.renamed import renamed_names
from onebp_jax.ops.random import hash_words
from onebp_jax.ops.rows import NARROW
from onebp_jax.types import Array


def to_storage(rows: Array, dtype, key: Array | None = None) -> Array:
    """`rows f32[n, d]` in a table's `dtype`: float32 as they are, bfloat16 with stochastic rounding (to nearest without a key).

    The random bits are a hash of the key and the position, a few operations per number. A cipher would cost more than the update.
    """
    if dtype not in (jnp.bfloat16, NARROW):
        return rows.astype(dtype)
    rounded = rows.astype(jnp.bfloat16)
    if key is not None:
        place = jax.lax.iota(jnp.uint32, rows.size).reshape(rows.shape)
        low = hash_words(place ^ jax.random.bits(key)) & 0xFFFF
        bits = jax.lax.bitcast_convert_type(rows.astype(jnp.float32), jnp.uint32) + low
        by_chance = jax.lax.bitcast_convert_type((bits >> 16).astype(jnp.uint16), jnp.bfloat16)
        # Adding to the bits of a NaN or of infinity could make another number, so these are not rounded at random.
        rounded = jnp.where(jnp.isfinite(rows), by_chance, rounded)
    return jax.lax.bitcast_convert_type(rounded, NARROW) if dtype == NARROW else rounded


__getattr__ = renamed_names(
    __name__,
    {
        "narrow": "to_storage",
    },
)
