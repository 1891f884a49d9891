"""LightGCN: the worked numbers, a dense product, no layer, linearity, nodes without a pair."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import graphs
from support.graphs import DIM, NUM_ITEMS, NUM_USERS, PAIRS

from onebp_jax.data.device import to_device
from onebp_jax.encoders import embedding, lightgcn
from onebp_jax.types import Tables


@pytest.fixture(scope="module")
def three():
    """`vectors(user, item) -> [M + N, d]` of three layers."""
    encoder = lightgcn(DIM, 3)
    data = graphs.interactions(encoder)
    return jax.jit(lambda user, item: jnp.concatenate(encoder.vectors(Tables(user, item), data)))


def test_worked_numbers():
    encoder = lightgcn(2, 2)
    data = to_device(np.array([[0, 0], [0, 1], [1, 1]]), 2, 2)
    data = data.replace(prepared=encoder.prepare(data))
    start = Tables(jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([[1.0, 1.0], [-1.0, 1.0]]))
    user, item = jax.jit(encoder.vectors)(start, data)
    np.testing.assert_allclose(user, [[0.652369, 0.520220], [-0.117851, 0.735702]], atol=6e-7)
    np.testing.assert_allclose(item, [[0.617851, 0.617851], [-0.298816, 0.936887]], atol=6e-7)


def test_the_mean_of_powers_of_the_dense_matrix(three):
    start, matrix = graphs.tables(), graphs.adjacency(PAIRS, NUM_USERS, NUM_ITEMS)
    layer = np.concatenate(start).astype(np.float64)
    expected = np.zeros_like(layer)
    for _ in range(4):
        expected += layer / 4
        layer = matrix @ layer
    np.testing.assert_allclose(three(*start), expected, rtol=1e-5, atol=1e-6)


def test_nodes_without_a_pair_keep_a_share_of_their_own_row(three):
    user, item = graphs.tables()
    found = three(user, item)
    np.testing.assert_array_equal(found[2:4], user[2:4] / 4)
    np.testing.assert_array_equal(found[NUM_USERS + 5], item[5] / 4)


def test_vectors_are_linear_in_the_tables(three):
    one, other = graphs.tables(0), graphs.tables(1)
    mixed = [2 * a - 3 * b for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(three(*mixed), 2 * three(*one) - 3 * three(*other), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("normalize", [False, True])
def test_no_layer_is_the_embedding_bit_for_bit(normalize):
    data = graphs.interactions()
    plain, encoder = embedding(DIM, normalize), lightgcn(DIM, 0, normalize)
    tables = encoder.init(jax.random.key(3), data)
    for one, other in zip(tables[:2], plain.init(jax.random.key(3), data)[:2], strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(encoder.vectors(tables, data), plain.vectors(tables, data), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("layers", [-1, 1.5])
def test_a_bad_number_of_layers_is_refused(layers):
    with pytest.raises(ValueError, match=f"num_layers must be a whole number, zero or more, got {layers}"):
        lightgcn(2, layers)
    with pytest.raises(ValueError, match="dim must be"):
        lightgcn(0)
