"""BUIR's encoder: worked numbers, copies that begin equal and get no gradient, scores from online vectors."""

import jax
import jax.numpy as jnp
import numpy as np

from onebp_jax.data.device import to_device
from onebp_jax.encoders import buir
from onebp_jax.losses import buir as buir_loss
from onebp_jax.types import Tables

DATA = to_device(np.array([[0, 2], [1, 0], [4, 3], [4, 6]]), 5, 7)
PARAMS = {"W": jnp.array([[1.0, 1.0], [0.0, 1.0]]), "b": jnp.array([0.0, 0.5])}
EXAMPLE = Tables(jnp.array([[[1.0, 0.0], [1.0, 1.0]]]), jnp.array([[[1.0, 1.0], [0.0, 1.0]]]), PARAMS)


def test_ex_buir():
    user, item = buir(2).encode(EXAMPLE, None, None, DATA, None)
    np.testing.assert_allclose(user, [[[1.0, 0.5], [1.0, 1.0]]])
    np.testing.assert_allclose(item, [[[0.0, 1.0], [2.0, 1.5]]])
    np.testing.assert_allclose(buir_loss()(user, item, None), [1.125674], atol=1e-6)
    user, item = buir(2).vectors(EXAMPLE, DATA)
    np.testing.assert_allclose(user @ item.T, [[3.5]])


def test_the_copies_begin_equal_and_the_bias_is_standard_normal():
    tables = buir(64).init(jax.random.key(0), DATA)
    for table in tables[:2]:
        np.testing.assert_array_equal(table[:, 0], table[:, 1])
    # Within 5 deviations of what 64 numbers show.
    assert abs(float(jnp.std(tables.params["b"])) - 1) < 0.45
    assert abs(float(jnp.std(tables.params["W"])) * 8 - 1) < 0.06


def test_no_gradient_reaches_the_copies():
    total = lambda tables: buir_loss()(*buir(2).encode(tables, None, None, DATA, None), None).sum()
    user, item, params, _ = jax.grad(total)(EXAMPLE)
    for slopes in (user, item):
        assert not np.asarray(slopes)[:, 1].any() and np.asarray(slopes)[:, 0].any()
    assert all(np.asarray(slopes).any() for slopes in jax.tree.leaves(params))
