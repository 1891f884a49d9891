"""Losses: one number a row from a user, a positive and some negatives. See `onebp_jax.types.Loss` for the contract."""

from onebp_jax.losses.infonce import bpr, infonce

__all__ = ["bpr", "infonce"]
