"""Two trees of arrays hold the same bits."""

import jax
import numpy as np


def assert_same(one, other):
    """Structure, types, shapes and every bit are equal. A key counts by its words."""
    one, other = (jax.tree.map(_on_host, tree) for tree in (one, other))
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        if a.tobytes() != b.tobytes():
            np.testing.assert_array_equal(a, b)  # says where
            raise AssertionError("equal values of other bits: 0 and -0, or NaN")


def _on_host(leaf):
    is_key = isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf)
