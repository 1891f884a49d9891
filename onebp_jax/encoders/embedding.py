"""One free vector per user and per item (matrix factorisation): the vector of an id is its table row."""

from __future__ import annotations

import jax

from onebp_jax.ops.checks import check_choice, check_count
from onebp_jax.ops.geometry import unit_fast_gradient
from onebp_jax.ops.rows import DTYPES, NARROW, to_float32
from onebp_jax.types import Array, Encoder, Interactions, Tables


def normal(key: Array, shape: tuple[int, ...], std: float) -> Array:
    """`f32[shape]`, normal with standard deviation `std`; compiled or not, the result is the same to the bit."""
    # Without the barrier the compiler would merge `std` with another factor.
    return jax.lax.optimization_barrier(jax.random.normal(key, shape)) * std


def xavier_normal(key: Array, rows: int, dim: int) -> Array:
    """`f32[rows, dim]`, normal with standard deviation `sqrt(2 / (rows + dim))` (Glorot and Bengio 2010)."""
    return normal(key, (rows, dim), (2.0 / (rows + dim)) ** 0.5)


def embedding(dim: int, normalize: bool = False, dtype: str = "float32") -> Encoder:
    """Two embedding tables of width `dim`, Xavier-normal as in the paper's code; the score is the dot product.

    Args:
      dim: width of the tables.
      normalize: score unit vectors, so that the dot product is the cosine. The tables themselves are not rescaled.
      dtype: how the tables are stored, "float32" or "bfloat16" (half the memory, stored as raw bits, see
        `onebp_jax.ops.rows`). Arithmetic is in float32 either way.

    Raises:
      ValueError: a width that is not a positive whole number, or another dtype.
    """
    check_count("dim", dim)
    check_choice("dtype", dtype, DTYPES)
    form = unit_fast_gradient if normalize else lambda rows: rows

    def init(key: Array, data: Interactions) -> Tables:
        user_key, item_key = jax.random.split(key)
        tables = xavier_normal(user_key, data.num_users, dim), xavier_normal(item_key, data.num_items, dim)
        if dtype != "float32":
            tables = (jax.lax.bitcast_convert_type(table.astype(dtype), NARROW) for table in tables)
        return Tables(*tables)

    def encode(tables: Tables, user_ids, item_ids, data, key=None) -> tuple[Array, Array]:
        del user_ids, item_ids, data, key
        return form(tables.user), form(tables.item)

    def vectors(tables: Tables, data) -> tuple[Array, Array]:
        del data
        return form(to_float32(tables.user)), form(to_float32(tables.item))

    return Encoder(init, encode, vectors)
