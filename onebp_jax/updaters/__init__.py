"""Updaters: how one tower's rows change after a batch. See `onebp_jax.types.Updater` for the contract."""

from onebp_jax.updaters.combinators import chain
from onebp_jax.updaters.constraints import ball, constrained, sphere
from onebp_jax.updaters.duplicates import RULES as DUPLICATE_RULES
from onebp_jax.updaters.gradient import gradient
from onebp_jax.updaters.moving_average import moving_average
from onebp_jax.updaters.nearest_interest import nearest_interest
from onebp_jax.updaters.penalties import covariance, dcrs
from onebp_jax.updaters.rowwise import rowwise
from onebp_jax.updaters.target import with_target
from onebp_jax.updaters.transforms import TRANSFORMS, adam, cosine_decay, scale_by_row_adagrad, scale_by_row_adam

__all__ = [
    "DUPLICATE_RULES",
    "TRANSFORMS",
    "adam",
    "ball",
    "chain",
    "constrained",
    "cosine_decay",
    "covariance",
    "dcrs",
    "gradient",
    "moving_average",
    "nearest_interest",
    "rowwise",
    "scale_by_row_adagrad",
    "scale_by_row_adam",
    "sphere",
    "with_target",
]
