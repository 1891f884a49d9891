"""Rows of a table: read fast, and computed with in float32 however narrow the table is stored."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp

from onebp_jax.types import Array

# One array of a block; an update has some eight of them, and a core some 2 MB of cache of its own.
_CACHED_BYTES = 2**16

# A bfloat16 table is kept as the bits of its numbers: XLA:CPU would read and write rows of bfloat16 by way of a float32 copy of
# the whole table.
NARROW = jnp.uint16
# How tables may be stored.
DTYPES = ("float32", "bfloat16")


def to_float32(values: Array) -> Array:
    """Stored numbers in float32 at least: `NARROW` bits become what they stand for, whole numbers of 32 bits stay."""
    if values.dtype == NARROW:
        return jax.lax.bitcast_convert_type(values.astype(jnp.uint32) << 16, jnp.float32)
    if not jnp.issubdtype(values.dtype, jnp.floating):
        return values
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))


def block_rows(table: Array, count: int) -> int:
    """How many of `count` rows to update at a time: on the CPU what stays in a core's cache, elsewhere all."""
    if jax.default_backend() != "cpu":
        return count
    return min(count, max(64, _CACHED_BYTES // (4 * math.prod(table.shape[1:]))))


@partial(jax.jit, inline=True)
def take(table: Array, ids: Array) -> Array:
    """`[n, ...]`: the rows `ids i32[n]` of a table, in float32 at least; an id out of range reads the last row."""
    if table.ndim < 2 or jax.default_backend() != "cpu" or ids.shape[0] < 2:
        return to_float32(table.at[ids].get(mode="clip"))
    # XLA:CPU copies a bare gather number by number; inside an arithmetic expression it makes a vector loop of it, three times as
    # fast (results/performance.md). So multiply by a one that the compiler cannot know to be one (exact, but for subnormal
    # numbers, which may become zero), in a branch of which it cannot know whether it is taken, or it would take the expression
    # apart again where the rows are used twice.
    rows = jax.ShapeDtypeStruct((ids.shape[0], *table.shape[1:]), jax.eval_shape(to_float32, table).dtype)
    one = jax.lax.optimization_barrier(jnp.ones((), rows.dtype))
    return jax.lax.cond(
        one == 1, lambda: to_float32(table.at[ids].get(mode="clip")) * one, lambda: jnp.zeros(rows.shape, rows.dtype)
    )


def row_sums(rows: Array) -> Array:
    """`f32[..., 1]`: sums over the last axis, by a product with ones: XLA:CPU would add up a row number by number."""
    return jnp.matmul(rows, jnp.ones((rows.shape[-1], 1), rows.dtype), precision=jax.lax.Precision.HIGHEST)
