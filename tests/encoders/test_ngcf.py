"""NGCF: the worked numbers, every form against loops over nodes, unit rows, dropout, first weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import graphs
from support.graphs import DIM, NUM_ITEMS, NUM_USERS, PAIRS

from onebp_jax import losses
from onebp_jax.data.device import to_device
from onebp_jax.encoders import embedding, ngcf
from onebp_jax.encoders.ngcf import Layers, drop
from onebp_jax.engine.step import make_step
from onebp_jax.samplers import uniform
from onebp_jax.types import Method, Tables
from onebp_jax.updaters import adam, gradient

START = Tables(jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([[1.0, 1.0], [-1.0, 1.0]]))
WEIGHTS = jnp.array([[[1.0, 0.5], [0.0, 1.0]]]), jnp.array([[[0.5, 0.0], [0.5, 1.0]]])


def worked(encoder, params):
    data = to_device(np.array([[0, 0], [0, 1], [1, 1]]), 2, 2)
    data = data.replace(prepared=encoder.prepare(data))
    return np.concatenate(jax.jit(encoder.vectors)(START._replace(params=params), data))


def unit(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def test_worked_numbers_of_the_paper_form():
    found = worked(ngcf(2, 1), Layers(*WEIGHTS))
    layer = [[1.310660, 1.810660], [-0.070711, 2.060660], [2.060660, 1.853553], [-0.079289, 2.164214]]
    blocks = [[0.586361, 0.810050], [-0.034294, 0.999412], [0.743481, 0.668757], [-0.036612, 0.999330]]
    np.testing.assert_allclose(found[:, :2], np.concatenate(START[:2]))
    np.testing.assert_allclose(found[:, 2:], blocks, atol=6e-7)
    np.testing.assert_allclose(found[:, 2:], unit(np.array(layer)), atol=6e-7)


def test_worked_numbers_of_the_official_form():
    """Directions of the layer before its rows are made 1 long."""
    found = worked(ngcf(2, 1, "official", "gcmc"), Layers(*WEIGHTS, jnp.zeros((1, 2)), jnp.zeros((1, 2))))
    layer = np.array([[0, 1], [0.3, 1.5], [1.5, 0.5], [0.5, 1.25]])
    np.testing.assert_allclose(found[:, 2:], unit(layer), atol=6e-7)


def by_loops(form, adjacency, tables, params, slope):
    """`[M + N, d (1 + K)]`, node by node, in float64."""
    kind = adjacency if form == "official" else "symmetric"
    matrix = graphs.adjacency(PAIRS, NUM_USERS, NUM_ITEMS, kind)
    leaky = lambda values: np.where(values > 0, values, slope * values)
    feed = np.concatenate(tables).astype(np.float64)
    blocks = [feed]
    for number in range(len(params.of_sums)):
        w1, w2, b1, b2 = (np.zeros(DIM) if some is None else np.float64(some[number]) for some in params)
        new = np.zeros_like(feed)
        for node, own in enumerate(feed):
            near = sum(matrix[node, other] * feed[other] for other in range(len(feed)))
            if form == "official":
                new[node] = leaky(near @ w1 + b1) + leaky((own * near) @ w2 + b2)
            else:
                new[node] = leaky((own + near) @ w1 + b1 + (near * own) @ w2 + b2)
        blocks.append(unit(new))
        feed = unit(new) if form == "recbole" else new
    return np.concatenate(blocks, 1)


FORMS = [("paper", None), ("recbole", None), ("official", None), ("official", "ngcf"), ("official", "gcmc")]


@pytest.mark.parametrize("form, adjacency", FORMS)
def test_two_layers_against_loops(form, adjacency):
    encoder = ngcf(DIM, 2, form, adjacency, slope=0.3)
    random, bias = np.random.default_rng(5), form != "paper"
    shapes = [(2, DIM, DIM)] * 2 + [(2, DIM)] * 2 * bias
    params = Layers(*(jnp.asarray(random.normal(size=shape), jnp.float32) for shape in shapes))
    tables = graphs.tables()
    found = np.concatenate(jax.jit(encoder.vectors)(Tables(*tables, params), graphs.interactions(encoder)))
    # Without an adjacency it is the default of the authors' parser.
    np.testing.assert_allclose(found, by_loops(form, adjacency or "norm", tables, params, 0.3), rtol=1e-5, atol=1e-5)
    for block in np.split(found, 3, axis=1)[1:]:
        np.testing.assert_allclose(np.linalg.norm(block, axis=1), 1, rtol=1e-6)


def test_dropout_is_for_steps_with_a_key_only():
    encoder = ngcf(DIM, 2, dropout=0.5)
    data = graphs.interactions(encoder)
    ids = jnp.arange(NUM_USERS), jnp.arange(NUM_ITEMS)

    @jax.jit
    def run(tables, keys):
        encode = lambda key: jnp.concatenate(encoder.encode(tables, *ids, data, key))
        return encode(None), jnp.concatenate(encoder.vectors(tables, data)), *map(encode, keys)

    weights = (jax.random.normal(key, (2, DIM, DIM)) for key in jax.random.split(jax.random.key(0)))
    tables = Tables(*graphs.tables(), Layers(*weights))
    without, vectors, one, other = map(np.asarray, run(tables, jax.random.split(jax.random.key(1))))
    np.testing.assert_array_equal(without, vectors)
    np.testing.assert_array_equal(one[:, :DIM], without[:, :DIM])
    assert (without != 0).all()
    dropped = [[block == 0 for block in np.split(found, 3, axis=1)[1:]] for found in (one, other)]
    (first, second), again = dropped
    # Each step, each layer and each tower drops entries of its own.
    for mask, different in ((first, second), (first, again[0]), (first[:NUM_USERS], first[NUM_USERS : 2 * NUM_USERS])):
        assert mask.any() and different.any() and (mask != different).any()
    text = str(jax.make_jaxpr(lambda key: ngcf(DIM, 2, dropout=0.0).encode(tables, *ids, data, key))(jax.random.key(1)))
    assert "random" not in text and "threefry" not in text


def test_dropout_keeps_the_mean():
    rates, values = (0.1, 0.5, 0.0), jnp.full((4001, 25), 2.0)
    with jax.debug_key_reuse(True):
        keys = jax.random.split(jax.random.key(0), 3)
        every = jax.jit(lambda keys: [drop(keys[i], values, rate) for i, rate in enumerate(rates)])(keys)
    for rate, found in zip(rates, every, strict=True):
        found = np.asarray(found, np.float64)
        kept = found != 0
        # What is kept is scaled alike, and the mean over all masks is exact; here within 5 deviations of it.
        np.testing.assert_allclose(found[kept], 2 / (1 - rate), rtol=2e-5)
        deviation = np.sqrt(rate * (1 - rate) / kept.size) + 1e-9
        assert abs(kept.mean() - (1 - rate)) < 5 * deviation
        assert abs(found.mean() - 2) < 5 * 2 * deviation / (1 - rate)
        # No row and no column is favoured.
        for axis in (0, 1):
            share = kept.mean(axis)
            assert abs(share - (1 - rate)).max() < 6 * np.sqrt(rate * (1 - rate) / kept.shape[axis]) + 1e-9
    assert (every[2] == values).all()


def test_first_weights():
    data, dim = graphs.interactions(), 64
    expected = {"paper": None, "official": (2 / (1 + dim)) ** 0.5, "recbole": 0}
    keys = jax.random.split(jax.random.key(0), 3)
    with jax.debug_key_reuse(True):
        init = lambda keys: [ngcf(dim, 2, form).init(keys[i], data).params for i, form in enumerate(expected)]
        found = jax.jit(init)(keys)
    for params, spread in zip(found, expected.values(), strict=True):
        weights = np.stack(params[:2])
        assert weights.shape == (2, 2, dim, dim)
        assert weights.std() == pytest.approx((1 / dim) ** 0.5, rel=0.04)
        # No two of the four matrices are alike.
        assert len(np.unique(weights[:, :, 0, 0])) == 4
        if spread is None:
            assert params[2:] == (None, None)
        else:
            biases = np.stack(params[2:])
            assert biases.shape == (2, 2, dim) and biases.std() == pytest.approx(spread, rel=0.2)


def test_no_layer_is_the_embedding():
    data, encoder, key = graphs.interactions(), ngcf(DIM, 0), jax.random.key(3)
    tables = encoder.init(key, data)
    assert tables.params == ()
    for one, other in zip(encoder.vectors(tables, data), embedding(DIM).init(key, data)[:2], strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_without_a_transformation_are_refused():
    descent = gradient(adam(0.01))
    init, _ = make_step(Method(ngcf(DIM, 1), uniform(1), losses.bpr(), descent, descent))
    with pytest.raises(ValueError, match="give it a tx"):
        init(jax.random.key(0), graphs.interactions())


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"form": "other"}, "form must be one of paper, official, recbole, got 'other'"),
        ({"adjacency": "norm"}, "adjacency='norm' is for form='official'"),
        ({"form": "official", "adjacency": "other"}, "adjacency must be one of norm, ngcf, gcmc, got 'other'"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
        ({"dropout": -0.1}, "dropout must be at least 0 and below 1, got -0.1"),
        ({"slope": float("nan")}, "slope must be a finite number, got nan"),
        ({"num_layers": -1}, "num_layers must be"),
    ],
)
def test_wrong_arguments_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        ngcf(2, **wrong)
