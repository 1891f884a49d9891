"""Every named method, the parts they are made of, and the way from a configuration to a method."""

from onebp_jax.methods.baselines import Baseline
from onebp_jax.methods.build import build_method
from onebp_jax.methods.named import *  # noqa: F403
from onebp_jax.methods.named import NAMED
from onebp_jax.methods.parts import compose

__all__ = ["NAMED", "Baseline", "build_method", "compose", *NAMED]
