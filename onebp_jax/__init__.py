"""Two-tower recommenders in JAX with one backpropagation. Rooms and data flow: WORKSPACE.md; the contracts: `onebp_jax.types`."""

from onebp_jax.compat.moved import install

install()
del install
