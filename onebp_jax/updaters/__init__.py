"""Updaters: how one tower's rows change after a batch. See `onebp_jax.types.Updater` for the contract."""

from onebp_jax.updaters.combinators import chain
from onebp_jax.updaters.duplicates import RULES as DUPLICATE_RULES
from onebp_jax.updaters.gradient import gradient
from onebp_jax.updaters.moving_average import moving_average
from onebp_jax.updaters.rowwise import rowwise
from onebp_jax.updaters.transforms import TRANSFORMS, adam, scale_by_row_adagrad, scale_by_row_adam

__all__ = [
    "DUPLICATE_RULES",
    "TRANSFORMS",
    "adam",
    "chain",
    "gradient",
    "moving_average",
    "rowwise",
    "scale_by_row_adagrad",
    "scale_by_row_adam",
]
