"""Negative samplers, drawn inside the compiled step. See `onebp_jax.types.Sampler` for the contract."""

from onebp_jax.samplers.hide_new import hide_new
from onebp_jax.samplers.shared import shared
from onebp_jax.samplers.uniform import uniform

__all__ = ["hide_new", "shared", "uniform"]
