"""Negative samplers, drawn inside the compiled step. See `onebp_jax.types.Sampler` for the contract."""

from onebp_jax.samplers.uniform import uniform

__all__ = ["uniform"]
