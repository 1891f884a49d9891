"""Negative samplers, drawn inside the compiled step. See `onebp_jax.types.Sampler` for the contract."""

from onebp_jax.samplers.shared import shared
from onebp_jax.samplers.trivial import full_catalogue, none
from onebp_jax.samplers.uniform import uniform

__all__ = ["full_catalogue", "none", "shared", "uniform"]
