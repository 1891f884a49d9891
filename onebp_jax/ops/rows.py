"""Table rows: fast reads, and float32 arithmetic even if the table is stored in a narrower type."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp

from onebp_jax.ops.gpu import for_gpu
from onebp_jax.types import Array

# The bytes of one array of a block. An update uses about eight such arrays, and a core has about 2 MB of cache of its own.
_CACHED_BYTES = 2**16

# A bfloat16 table is stored as raw bits. To read or write rows of bfloat16, XLA:CPU would make a float32 copy of the whole
# table.
NARROW = jnp.uint16
# The types in which tables may be stored.
DTYPES = ("float32", "bfloat16")


def to_float32(values: Array) -> Array:
    """Stored numbers as float32 or wider. `NARROW` bits become the numbers that they encode; 32-bit integers stay as they are."""
    if values.dtype == NARROW:
        return jax.lax.bitcast_convert_type(values.astype(jnp.uint32) << 16, jnp.float32)
    if not jnp.issubdtype(values.dtype, jnp.floating):
        return values
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))


def _for_cpu() -> bool:
    return jax.default_backend() == "cpu" and not for_gpu()


def block_rows(table: Array | jax.ShapeDtypeStruct, count: int) -> int:
    """How many of `count` rows to update at a time: on the CPU as many as fit in a core's cache, elsewhere all."""
    if not _for_cpu():
        return count
    return min(count, max(64, _CACHED_BYTES // (4 * math.prod(table.shape[1:]))))


@partial(jax.jit, inline=True)
def take(table: Array, ids: Array) -> Array:
    """`[n, ...]`: the rows `ids i32[n]` of a table, as float32 or wider. An id out of range reads the last row."""
    if table.ndim < 2 or not _for_cpu() or ids.shape[0] < 2:
        return to_float32(table.at[ids].get(mode="clip"))
    # XLA:CPU copies a bare gather one number at a time. Inside an arithmetic expression, a gather becomes a vector loop, three
    # times as fast (results/performance.md). So the rows are multiplied by a 1 that the compiler does not know (exact, except
    # that subnormal numbers may become zero). The multiplication is in a branch that the compiler cannot predict; otherwise it
    # would split the expression again if the rows are used twice.
    rows = jax.ShapeDtypeStruct((ids.shape[0], *table.shape[1:]), jax.eval_shape(to_float32, table).dtype)
    one = jax.lax.optimization_barrier(jnp.ones((), rows.dtype))
    return jax.lax.cond(
        one == 1, lambda: to_float32(table.at[ids].get(mode="clip")) * one, lambda: jnp.zeros(rows.shape, rows.dtype)
    )


def row_sums(rows: Array) -> Array:
    """`f32[..., 1]`: sums over the last axis, as a product with ones. XLA:CPU would otherwise add one number at a time."""
    return jnp.matmul(rows, jnp.ones((rows.shape[-1], 1), rows.dtype), precision=jax.lax.Precision.HIGHEST)
