"""Updaters: how one tower's rows change after a batch. See `onebp_jax.types.Updater` for the contract."""

from onebp_jax.updaters.combinators import chain
from onebp_jax.updaters.duplicates import RULES as DUPLICATE_RULES
from onebp_jax.updaters.gradient import adam, gradient
from onebp_jax.updaters.moving_average import moving_average

__all__ = ["DUPLICATE_RULES", "adam", "chain", "gradient", "moving_average"]
