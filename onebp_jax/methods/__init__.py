"""Every named method, the parts that methods are made of, and the way from a configuration to a method.

`onebp_jax.methods.NAME` is the function of the method `NAME`, such as `onebp_jax.methods.onebp`.
"""

from onebp_jax.methods import named
from onebp_jax.methods.baselines import Baseline
from onebp_jax.methods.build import build_method
from onebp_jax.methods.named import NAMED
from onebp_jax.methods.parts import compose

__all__ = ["NAMED", "Baseline", "build_method", "compose"]


def __getattr__(name: str):
    return getattr(named, name)
