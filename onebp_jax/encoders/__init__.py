"""Encoders: from table rows to the vectors that are scored. See `onebp_jax.types.Encoder` for the contract."""

from onebp_jax.encoders.embedding import embedding, xavier_normal

__all__ = ["embedding", "xavier_normal"]
