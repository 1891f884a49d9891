"""What a program for a GPU needs, and one for a CPU does not."""

from __future__ import annotations

import jax

from onebp_jax.types import Array

# None: as the device needs it. JAX compiles anew for another value.
_FOR_GPU = jax.make_user_context(None)


def for_gpu() -> bool:
    """Whether the program that is traced will run on a GPU: JAX's default device is one, or `trace_for_gpu` says so."""
    return jax.default_backend() == "gpu" if _FOR_GPU.value is None else _FOR_GPU.value


def trace_for_gpu(on: bool | None = True):
    """A context in which programs are traced as for a GPU, or as for a CPU, whatever the device is. They run on either.

    None: as the device needs it, also within another such context.
    """
    return _FOR_GPU(on)


def computed_once(values: Array) -> Array:
    """The same numbers, for a maximum of them with a gradient, or one that is looked for among them.

    XLA:GPU may compute a number again in each kernel that needs it, and then round it otherwise. A maximum would not be found
    among the numbers that it was taken from, and its gradient would be 0 / 0.
    """
    return jax.lax.optimization_barrier(values) if for_gpu() else values
