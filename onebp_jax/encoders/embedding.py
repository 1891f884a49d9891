"""One free vector per user and per item (matrix factorisation): the vector of an id is its table row."""

from __future__ import annotations

import jax

from onebp_jax.types import Array, Encoder, Interactions, Rows


def xavier_normal(key: Array, rows: int, dim: int) -> Array:
    """`f32[rows, dim]`, normal with standard deviation `sqrt(2 / (rows + dim))` (Glorot and Bengio 2010)."""
    return jax.random.normal(key, (rows, dim)) * (2.0 / (rows + dim)) ** 0.5


def embedding(dim: int) -> Encoder:
    """Two embedding tables of width `dim`, Xavier-normal as in the paper's code; the score is the dot product."""
    if int(dim) != dim or dim < 1:
        raise ValueError(f"dim must be a positive whole number, got {dim}")

    def init(key: Array, data: Interactions) -> tuple[Array, Array]:
        user_key, item_key = jax.random.split(key)
        return xavier_normal(user_key, data.num_users, dim), xavier_normal(item_key, data.num_items, dim)

    def read(table: Array, ids: Array) -> Rows:
        # A padded id reads the last row; the step masks what is computed from it.
        return Rows(ids, table.at[ids].get(mode="clip"))

    def encode(user_rows, item_rows, user_ids, item_ids, data) -> tuple[Array, Array]:
        del user_ids, item_ids, data
        return user_rows, item_rows

    def tables(user_table, item_table, data) -> tuple[Array, Array]:
        del data
        return user_table, item_table

    return Encoder(init, read, encode, tables)
