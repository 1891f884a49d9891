"""OneBP in front of graph encoders: the user table is a constant at layer 0, and is averaged from item rows of layer 0.

Three readings of the paper: `layer0` (OneBP's two updaters with a graph encoder), `output` (the same with
`stop_user_gradient`), and `prestep` (a step of OneBP on the embeddings comes before the encoder's own).
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import graphs, oracle
from support.graphs import DIM, NUM_ITEMS, NUM_USERS, PAIRS
from support.oracle import BATCH, WIDTH
from support.same import assert_same

from onebp_jax import losses
from onebp_jax.config import default_config
from onebp_jax.data import generate
from onebp_jax.encoders import embedding, lightgcn, ngcf, stop_user_gradient
from onebp_jax.engine.step import make_step
from onebp_jax.samplers import uniform
from onebp_jax.training import runner
from onebp_jax.types import Batch, Method, Tables, Updater
from onebp_jax.updaters import adam, chain, gradient, moving_average, rowwise

AVERAGE, DESCENT, SLOPE = moving_average(0.9), gradient(adam(0.05, 0.1)), gradient(optax.sgd(1.0))
RANDOM = np.random.default_rng(2)
NEGATIVES = RANDOM.integers(0, NUM_ITEMS, (2, BATCH, WIDTH))
# Repeated users and items, users 3 and 4 in no row, and two rows of padding.
USERS, ITEMS = np.append(RANDOM.integers(0, 3, BATCH - 2), [NUM_USERS] * 2), RANDOM.integers(0, NUM_ITEMS, BATCH)
ITEMS[-2:] = NUM_ITEMS
BATCHES = Batch(jnp.asarray(USERS, jnp.int32), jnp.asarray(ITEMS, jnp.int32))
START = [0.3 * table for table in graphs.tables()]


def parts(encoder, user, item, **more):
    """A method with given negatives and the tables `START`."""
    init = lambda key, data: Tables(*START, encoder.init(key, data).params)
    sampler = oracle.given_negatives(NEGATIVES)
    return Method(encoder._replace(init=init), sampler, losses.infonce(), user, item, **more)


def quick(step, state, data):
    """The step as machine code of the plainest kind, which is quicker to compile."""
    return jax.jit(step).lower(state, BATCHES, data).compile()


def after(method, steps=1, compiled=True):
    """The states before and after each of the steps."""
    init, step = make_step(method)
    state, data = init(jax.random.key(0), graphs.interactions())
    states = [state]
    if compiled:
        step = quick(step, state, data)
    for _ in range(steps):
        state, info = step(states[-1], BATCHES, data)
        assert np.isfinite(info.loss)
        states.append(state)
    return states


# Without layers.


@pytest.fixture(scope="module")
def plain():
    # Operation by operation: a compiler is free to round two programs differently.
    return after(parts(embedding(DIM), AVERAGE, DESCENT), 2, compiled=False)


@pytest.mark.parametrize("encoder", [lightgcn(DIM, 0), stop_user_gradient(lightgcn(DIM, 0)), ngcf(DIM, 0)])
def test_without_layers_layer0_and_output_are_the_plain_step_bit_for_bit(encoder, plain):
    for one, other in zip(after(parts(encoder, AVERAGE, DESCENT), 2, compiled=False), plain, strict=True):
        assert_same((one.user, one.item), (other.user, other.item))
    assert (plain[2].user[:3] != plain[1].user[:3]).any(axis=1).all()


# With layers.


def dense_gradients(encoder_cuts, layers=2):
    """Gradients with respect to the item table and the user table, through powers of the dense A_hat."""
    matrix = jnp.asarray(graphs.adjacency(PAIRS, NUM_USERS, NUM_ITEMS), jnp.float32)
    mean = sum(jnp.linalg.matrix_power(matrix, k) for k in range(layers + 1)) / (layers + 1)
    users, items, negatives = USERS[:-2], ITEMS[:-2], NEGATIVES[0, :-2]

    def loss(user, item):
        out = mean @ jnp.concatenate([user, item])
        of_user, of_item = out[:NUM_USERS][users], out[NUM_USERS:]
        if encoder_cuts:
            of_user = jax.lax.stop_gradient(of_user)
        scores = jnp.einsum("bd,bkd->bk", of_user, of_item[np.column_stack([items, negatives])])
        return (jax.nn.logsumexp(scores, 1) - scores[:, 0]).mean()

    return jax.jit(jax.grad(loss, argnums=(0, 1)))(*START)


@pytest.fixture(scope="module")
def expected():
    """Per reading what the gradients are: `layer0` and `output`."""
    return {"layer0": dense_gradients(False), "output": dense_gradients(True)}


READINGS = {"layer0": lightgcn(DIM, 2), "output": stop_user_gradient(lightgcn(DIM, 2))}


@pytest.mark.parametrize("reading", READINGS)
def test_items_follow_the_gradient_through_the_graph_and_users_the_new_items(reading, expected):
    before, state = after(parts(READINGS[reading], AVERAGE, SLOPE))
    item = np.asarray(before.item - expected[reading][1])
    np.testing.assert_allclose(state.item, item, rtol=0, atol=1e-6)
    rows = np.asarray(state.item)[np.minimum(ITEMS, NUM_ITEMS - 1)]
    user = oracle.average(np.asarray(before.user, np.float64), USERS, rows, 0.9, "expected")
    np.testing.assert_allclose(state.user, user, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(state.user[3:], before.user[3:])
    assert (np.asarray(state.user[:3]) != before.user[:3]).any(axis=1).all()
    # The two readings are told apart by far more than rounding.
    assert np.abs(expected["layer0"][1] - expected["output"][1]).max() > 1e-3


@pytest.mark.parametrize("reading", READINGS)
def test_detached_users_that_learn_by_gradients_still_learn_through_the_items(reading, expected):
    before, state = after(parts(READINGS[reading], SLOPE, SLOPE))
    for name, slope in zip(("user", "item"), expected[reading], strict=True):
        np.testing.assert_allclose(getattr(state, name), getattr(before, name) - slope, rtol=0, atol=1e-6)
    assert np.abs(expected["output"][0]).max() > 1e-3
    assert np.abs(expected["layer0"][0] - expected["output"][0]).max() > 1e-3


@pytest.mark.parametrize("encoder", [lightgcn(DIM, 2), ngcf(DIM, 2)])
def test_no_gradient_of_the_user_table_is_ever_traced(encoder):
    """The user table goes through a gate that notes its backward pass, and its updater is told no gradients."""
    noted, told = [], []

    @jax.custom_vjp
    def gate(table):
        return table

    gate.defvjp(lambda table: (table, None), lambda _, grads: (noted.append("user"), (grads,))[1])

    def update(signal, state, table, **extra):
        told.append(signal.grads)
        return AVERAGE.update(signal, state, table, **extra)

    gated = encoder._replace(
        encode=lambda tables, *rest: encoder.encode(tables._replace(user=gate(tables.user)), *rest)
    )
    for user, passes in ((Updater(AVERAGE.init, update, AVERAGE.reads), []), (DESCENT, ["user"])):
        noted.clear()
        init, step = make_step(parts(gated, user, DESCENT, tx=optax.sgd(0.1)))
        state, data = init(jax.random.key(0), graphs.interactions())
        jax.make_jaxpr(step)(state, BATCHES, data)
        assert noted == passes
    assert told == [None]


def sorted_scatters(jaxpr):
    """How many sums over edges a program makes, those of inner programs included."""
    total = 0
    for equation in jaxpr.eqns:
        total += "scatter" in equation.primitive.name and equation.params["indices_are_sorted"]
        for inner in equation.params.values():
            inner = getattr(inner, "jaxpr", inner)
            total += sorted_scatters(inner) if hasattr(inner, "eqns") else 0
    return total


def test_a_constant_user_table_saves_half_of_the_sums_backwards():
    """`A_hat` is bipartite: what a layer makes of the user table alone is a constant too."""

    def sums(user):
        init, step = make_step(parts(lightgcn(DIM, 4), user, DESCENT))
        state, data = init(jax.random.key(0), graphs.interactions())
        program = jax.make_jaxpr(step)(state, BATCHES, data)
        return sorted_scatters(program.jaxpr)

    assert sums(DESCENT) == 16 and sums(AVERAGE) == 12


# A step of OneBP before the encoder's own.


def test_prestep_is_a_step_of_onebp_on_the_embeddings_and_then_the_encoders_own():
    first = parts(embedding(DIM), AVERAGE, DESCENT)
    own = parts(lightgcn(DIM, 2), DESCENT, DESCENT)
    together = after(own._replace(pre_step=first), 2)
    (init_first, step_first), (init_own, step_own) = map(make_step, (first, own))
    key, data = jax.random.key(0), graphs.interactions()
    (one, data_first), (two, data_own) = init_first(key, data), init_own(key, data)
    step_first, step_own = quick(step_first, one, data_first), quick(step_own, two, data_own)
    for found in together[1:]:
        one, _ = step_first(one, BATCHES, data_first)
        two, _ = step_own(two._replace(user=one.user, item=one.item), BATCHES, data_own)
        one = one._replace(user=two.user, item=two.item)
        for name in ("user", "item"):
            np.testing.assert_allclose(getattr(found, name), getattr(two, name), rtol=0, atol=2e-6)
    assert int(together[2].step) == 2
    # Neither of the two steps alone is it.
    alone = after(own, 1)[1]
    assert np.abs(together[1].user - alone.user)[:3].max() > 1e-3 < np.abs(together[1].item - one.item).max()


# With the other pieces.

UPDATERS = {
    "average": AVERAGE,
    "adam": DESCENT,
    "rowwise": rowwise(adam(0.05, 1e-3)),
    "chain": chain(moving_average(0.9), gradient(adam(0.05))),
}


@pytest.mark.parametrize("user, item", [("rowwise", "adam"), ("chain", "rowwise"), ("adam", "average")])
def test_a_graph_encoder_goes_with_every_updater(user, item):
    encoder = ngcf(DIM, 1, form="official")
    before, *_, state = after(parts(encoder, UPDATERS[user], UPDATERS[item], tx=adam(0.05)), 2)
    for name, ids in (("user", np.arange(3)), ("item", np.unique(ITEMS[:-2]))):
        moved = np.asarray(getattr(state, name) != getattr(before, name))
        assert np.isfinite(getattr(state, name)).all() and moved[ids].any(axis=1).all()
    for one, other in zip(jax.tree.leaves(before.params), jax.tree.leaves(state.params), strict=True):
        assert np.isfinite(other).all() and (np.asarray(one) != other).any()


def test_rowwise_touches_every_row_and_is_then_the_dense_one():
    tx = adam(0.05, 1e-3)
    dense, rows = (after(parts(lightgcn(DIM, 2), *[make(tx)] * 2))[1] for make in (gradient, rowwise))
    for name in ("user", "item"):
        np.testing.assert_allclose(getattr(rows, name), getattr(dense, name), rtol=1e-5, atol=1e-6)


def test_a_run_trains_and_evaluates_vectors_of_the_graph():
    config = default_config()
    config.batch_size = 128
    dataset = generate(num_users=60, num_items=40, interactions_per_user=12, seed=1)
    method = Method(lightgcn(DIM, 2), uniform(2), losses.infonce(), AVERAGE, gradient(adam(0.02)))
    job, run = runner.prepare(config, method, dataset)
    run = job.advance(run, 4)
    run, metrics = runner.evaluate(job, run)
    assert run.step == 4 and runner.is_finite(run) and 0 < metrics["NDCG@20"] <= 1
    pairs = np.stack([job.data.user_ids, job.data.item_ids], 1)
    matrix = graphs.adjacency(pairs, 60, 40)
    layers = [np.concatenate([run.state.user, run.state.item]).astype(np.float64)]
    layers += [matrix @ layers[0], matrix @ matrix @ layers[0]]
    np.testing.assert_allclose(np.concatenate(job.vectors(run.state)), sum(layers) / 3, rtol=1e-5, atol=1e-6)
