"""Inputs that the tests of losses share, so that operations are compiled once for all of them."""

import jax.numpy as jnp
import numpy as np

BATCH, WIDTH, DIM, SEEDS = 4, 3, 5, 2
HIDDEN = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]], bool)
LOG_Q = {"log_q": jnp.log(jnp.array([0.5, 0.01, 0.2])), "positive_log_q": jnp.log(jnp.array([0.3, 0.1, 0.05, 0.02]))}


def vectors(seed=0, width=WIDTH, several=None):
    """User, positive and negatives, as float64 numbers that float32 holds exactly."""
    random = np.random.default_rng(seed)
    shapes = (BATCH, *([several] if several else []), DIM), (BATCH, DIM), (BATCH, width, DIM)
    return [random.normal(size=shape).astype(np.float32).astype(np.float64) for shape in shapes]


def on_device(arrays):
    return [jnp.asarray(array, jnp.float32) for array in arrays]
