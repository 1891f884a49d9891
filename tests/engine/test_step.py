"""One training step: who waits for whom, what each updater is told, one backward pass, the same bits in any blocks."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import oracle
from support.oracle import BATCH, DIM, NUM_ITEMS, NUM_USERS, WIDTH
from support.same import assert_same

from onebp_jax import losses
from onebp_jax.config import default_config
from onebp_jax.data.device import to_device
from onebp_jax.encoders import embedding
from onebp_jax.engine.batches import batch_at
from onebp_jax.engine.step import make_step
from onebp_jax.methods.build import build_method
from onebp_jax.samplers import uniform
from onebp_jax.training.runner import make_scan
from onebp_jax.types import Batch, Method, Updater
from onebp_jax.updaters import adam, chain, gradient, moving_average

AVERAGE, DESCENT = moving_average(0.9), gradient(adam(0.01, 0.1))


@pytest.fixture(scope="module")
def data():
    """Every user touched 5 items of 9."""
    pairs = [(user, (2 * number + user) % NUM_ITEMS) for number in range(5) for user in range(NUM_USERS)]
    return to_device(np.array(pairs), NUM_USERS, NUM_ITEMS)


@pytest.fixture(scope="module")
def batch(data):
    """Repeated users and items, and two rows of padding."""
    users, items = np.array(data.user_ids[:BATCH]), np.array(data.item_ids[:BATCH])
    users[-2:], items[-2:] = NUM_USERS, NUM_ITEMS
    return Batch(jnp.asarray(users), jnp.asarray(items))


NEGATIVES = np.random.default_rng(1).integers(0, NUM_ITEMS, (1, BATCH, WIDTH))


def parts(user, item, encoder=None):
    """A method of two updaters, with given negatives."""
    return Method(encoder or embedding(DIM), oracle.given_negatives(NEGATIVES), losses.infonce(), user, item)


def one_step(user, item, data, batch):
    """The states before and after one step, and its info."""
    init, step = make_step(parts(user, item))
    before, data = init(jax.random.key(0), data)
    return before, *step(before, batch, data)


# Who waits for whom.


@pytest.mark.parametrize("other", [AVERAGE, chain(AVERAGE, DESCENT), Updater(DESCENT.init, DESCENT.update)])
def test_two_updaters_that_wait_for_each_other_are_refused(other):
    for user, item in ((AVERAGE, other), (other, AVERAGE)):
        with pytest.raises(ValueError, match="both updaters read targets, so each tower would have to wait"):
            make_step(parts(user, item))


def test_an_updater_that_reads_what_no_signal_has_is_refused():
    with pytest.raises(ValueError, match="the item updater reads 'gradients', expected grads, targets or both"):
        make_step(parts(AVERAGE, DESCENT._replace(reads=("gradients",))))


def recorder(reads, rows):
    """An updater that leaves its table alone and keeps the signal's fields that it reads."""
    shapes = {"ids": (rows,), "grads": (rows, DIM), "targets": (BATCH, DIM)}

    def init(table):
        return {name: jnp.zeros(shapes[name], jnp.int32 if name == "ids" else table.dtype) for name in ("ids", *reads)}

    def update(signal, state, table, **extra):
        del extra
        for name in signal._fields[1:]:
            assert (getattr(signal, name) is not None) == (name in reads)
        return table, {name: getattr(signal, name) for name in state}

    return Updater(init, update, reads)


@pytest.mark.parametrize("tower", ["user", "item"])
@pytest.mark.parametrize("reads", [("targets",), ("grads", "targets")])
def test_targets_are_the_partners_rows_after_their_update(tower, reads, data, batch):
    rows = BATCH * (1 + WIDTH) if tower == "item" and "grads" in reads else BATCH
    towers = {"user": DESCENT, "item": DESCENT, tower: recorder(reads, rows)}
    before, after, _ = one_step(towers["user"], towers["item"], data, batch)
    interacted = {"user": np.asarray(batch.user_ids), "item": np.asarray(batch.positive_ids)}
    partner = {"user": "item", "item": "user"}[tower]
    told = getattr(after, f"{tower}_opt")
    inside = interacted["user"] < NUM_USERS
    np.testing.assert_array_equal(told["ids"][:BATCH], interacted[tower])
    old, new = (np.asarray(getattr(state, partner)) for state in (before, after))
    ids = interacted[partner][inside]
    np.testing.assert_array_equal(told["targets"][inside], new[ids])
    assert (new[ids] != old[ids]).any(axis=1).all()
    np.testing.assert_array_equal(getattr(after, tower), getattr(before, tower))


@pytest.mark.parametrize("tower", ["user", "item"])
def test_gradients_are_those_of_the_oracle_one_row_an_occurrence(tower, data, batch):
    rows = {"user": BATCH, "item": BATCH * (1 + WIDTH)}
    towers = {name: recorder(("grads",), count) for name, count in rows.items()}
    before, after, info = one_step(towers["user"], towers["item"], data, batch)
    plain = tuple(np.asarray(ids) for ids in (*batch, NEGATIVES[0]))
    tables = (np.asarray(table, np.float64) for table in (before.user, before.item))
    mean, *dense = oracle.gradients(*tables, plain)
    told = getattr(after, f"{tower}_opt")
    summed = np.zeros((len(getattr(before, tower)) + 1, DIM))
    np.add.at(summed, np.asarray(told["ids"]), np.asarray(told["grads"]))
    # Gradients are scaled by 1 / rows and by small vectors: compare in parts of the largest.
    expected = dense[tower == "item"]
    assert np.abs(summed[:-1] - expected).max() < 1e-6 * np.abs(expected).max()
    padded = np.asarray(batch.user_ids) == NUM_USERS
    assert (np.asarray(told["grads"])[:BATCH][padded] == 0).all()
    assert info.loss == pytest.approx(mean, rel=1e-6) and int(info.examples) == BATCH - 2


# One backward pass.


def test_a_tower_that_reads_no_gradient_has_no_backward_pass(data, batch):
    """Both towers' vectors go through a gate that notes when its backward pass is traced."""
    noted = []

    def gate(tower):
        @jax.custom_vjp
        def through(values):
            return values

        def backward(_, cotangent):
            noted.append(tower)
            return (cotangent,)

        through.defvjp(lambda values: (values, None), backward)
        return through

    user_gate, item_gate = gate("user"), gate("item")
    encoder = embedding(DIM)._replace(encode=lambda tables, *rest: (user_gate(tables.user), item_gate(tables.item)))
    for user, item, expected in (
        (AVERAGE, DESCENT, {"item"}),
        (DESCENT, DESCENT, {"user", "item"}),
        (DESCENT, AVERAGE, {"user"}),
        (chain(AVERAGE, DESCENT), DESCENT, {"user", "item"}),
    ):
        noted.clear()
        init, step = make_step(parts(user, item, encoder))
        start, prepared = init(jax.random.key(0), data)
        jax.make_jaxpr(step)(start, batch, prepared)
        assert set(noted) == expected


def program(user, item, data, batch):
    init, step = make_step(parts(user, item))
    state, data = init(jax.random.key(0), data)
    return step, state, batch, data


def test_the_program_of_onebp_has_no_user_gradient(data, batch):
    """The products of the program: scores [b, 1+k], and per tower that learns one that makes its gradients."""

    def products(user, item):
        step, *arguments = program(user, item, data, batch)
        text = str(jax.make_jaxpr(step)(*arguments))
        shapes = re.findall(r"f32\[([\d,]+)\] = dot_general", text)
        return sorted(sorted(map(int, shape.split(","))) for shape in shapes)

    # Axes in order of size. The positive and the negatives each have scores, and gradients for both towers.
    assert DIM == WIDTH == 3 and BATCH == 16
    scores, user_gradients, item_gradients = [[16], [3, 16]], [[3, 16], [3, 16]], [[3, 16], [3, 3, 16]]
    assert products(AVERAGE, DESCENT) == sorted(scores + item_gradients)
    assert products(DESCENT, AVERAGE) == sorted(scores + user_gradients)
    assert products(DESCENT, DESCENT) == sorted(scores + user_gradients + item_gradients)


def test_onebp_costs_less_than_two_backward_passes():
    """In a step large enough that its products are the most of its arithmetic."""
    dim, count, width = 16, 64, 5
    data = to_device(np.array([[0, 0]]), 101, 201)
    batch = Batch(*[jnp.zeros(count, jnp.int32)] * 2)
    sampler = oracle.given_negatives(np.zeros((1, count, width)))

    def pulled(signal, state, table, **extra):
        table, state = AVERAGE.update(signal, state, table, **extra)
        return table.at[signal.ids].add(-0.01 * signal.grads, mode="drop"), state

    def flops(user, item):
        init, step = make_step(Method(embedding(dim), sampler, losses.infonce(), user, item))
        state, prepared = init(jax.random.key(0), data)
        compiled = jax.jit(step).lower(state, batch, prepared).compile()
        return compiled.cost_analysis()["flops"]

    onebp, twobp = flops(AVERAGE, DESCENT), flops(DESCENT, DESCENT)
    both = flops(Updater(AVERAGE.init, pulled, reads=("grads", "targets")), DESCENT)
    # The product that makes the user gradients is the least that the others do more.
    product = 2 * count * (1 + width) * dim
    assert onebp + product <= both and onebp + product <= twobp


# Composition.


def test_the_named_methods_are_compositions():
    """The same program, operation by operation and number by number."""
    config = default_config()
    config.update({"dim": 5, "beta": 0.8, "learning_rate": 0.02, "l2": 0.3, "temperature": 0.7, "num_negatives": 2})
    config.duplicates = "mean"
    average, descent = moving_average(0.8, "mean"), gradient(adam(0.02, 0.3))
    by_hand = {"onebp": (average, descent), "twobp": (descent, descent), "user_only": (descent, average)}
    data = to_device(np.array([[0, 1], [1, 2], [2, 0]]), 3, 6)
    texts = set()
    for name, updaters in by_hand.items():
        config.method = name
        programs = []
        for method in (build_method(config), Method(embedding(5), uniform(2), losses.infonce(0.7), *updaters)):
            init, step = make_step(method)
            batch = Batch(jnp.array([0, 1, 2]), jnp.array([1, 2, 0]))
            state, prepared = init(jax.random.key(0), data)
            programs.append(str(jax.make_jaxpr(step)(state, batch, prepared)))
        assert programs[0] == programs[1]
        texts.add(programs[0])
    assert len(texts) == 3


EVERY_KIND = {
    "onebp": (AVERAGE, DESCENT),
    "twobp": (DESCENT, DESCENT),
    "user_only": (DESCENT, AVERAGE),
    "chain": (chain(AVERAGE, DESCENT), gradient(optax.sgd(0.1))),
}


@pytest.mark.parametrize("user, item", EVERY_KIND.values(), ids=EVERY_KIND)
def test_the_state_keeps_its_structure_shapes_and_types(user, item, data, batch):
    """Without it a scan would not compile and a second call would compile again."""
    step, state, batch, data = program(user, item, data, batch)
    new, info = jax.eval_shape(step, state, batch, data)

    def kinds(tree):
        return [(leaf.shape, leaf.dtype, leaf.weak_type) for leaf in jax.tree.leaves(tree)]

    assert jax.tree.structure(new) == jax.tree.structure(state)
    assert kinds(new) == kinds(jax.eval_shape(lambda state: state, state))
    assert info.loss.shape == info.examples.shape == ()


def test_a_chain_of_average_and_gradient_trains_a_user_tower(data, batch):
    """First the average, then the gradient step, from one signal."""
    descent = gradient(optax.sgd(0.1))
    _, alone, _ = one_step(AVERAGE, descent, data, batch)
    before, both, info = one_step(chain(AVERAGE, descent), descent, data, batch)
    _, pulled, _ = one_step(descent, descent, data, batch)
    np.testing.assert_array_equal(both.item, alone.item)
    np.testing.assert_allclose(both.user, alone.user + (pulled.user - before.user), rtol=0, atol=1e-6)
    assert (np.asarray(both.user) != alone.user).any() and np.isfinite(info.loss)


def test_data_that_a_sampler_cannot_serve_are_refused_before_anything_is_compiled():
    init, _ = make_step(Method(embedding(2), uniform(3), losses.infonce(), AVERAGE, DESCENT))
    with pytest.raises(ValueError, match="num_negatives=3"):
        init(jax.random.key(0), to_device(np.array([[0, 0], [0, 1]]), 1, 4))


# Reproducible, in blocks of any length.


ROWS = 10  # rows of a batch: 25 pairs are two whole batches and half a one


@pytest.fixture(scope="module")
def whole(data):
    """OneBP as it is used, with its own sampler: `start(seed)`, `single(state)`, and the step itself."""
    init, step = make_step(Method(embedding(DIM), uniform(WIDTH), losses.infonce(), AVERAGE, DESCENT))

    def single(state):
        return step(state, batch_at(state.key, state.step, data, ROWS), data)

    return lambda seed: init(jax.random.key(seed), data)[0], jax.jit(single), step


def numbers(state, info):
    """All arrays of a state and an info, but for the key."""
    return [np.asarray(leaf) for leaf in jax.tree.leaves((state._replace(key=()), info))]


def test_blocks_of_any_length_give_the_same_bits(whole, data):
    """The blocks cross the padded end of an epoch."""
    start, single, step = whole
    scan = make_scan(lambda spread: step, ROWS, drop_last=False)
    together, infos = scan(start(5), data, length=6)
    assert infos.examples.tolist() == [10, 10, 5] * 2

    halves, first = scan(start(5), data, length=3)
    halves, second = scan(halves, data, length=3)
    both = jax.tree.map(lambda *parts: np.concatenate(parts), first, second)
    assert_same(numbers(halves, both), numbers(together, infos))

    state, alone = start(5), []
    for _ in range(6):
        state, info = single(state)
        alone.append(info)
    assert_same(numbers(state, jax.tree.map(lambda *parts: np.stack(parts), *alone)), numbers(together, infos))
    assert jax.random.key_data(state.key).tolist() == jax.random.key_data(together.key).tolist()


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(whole):
    """Alone or among others, and no key is used twice."""
    start, single, _ = whole
    with jax.debug_key_reuse(True):
        lanes = numbers(*jax.jit(jax.vmap(lambda seed: single(start(seed))))(jnp.array([1, 1, 2])))
    assert_same([lane[0] for lane in lanes], [lane[1] for lane in lanes])
    user, loss = lanes[0], lanes[-2]
    assert (user[0] != user[2]).any(axis=1).all() and loss[0] != loss[2]
    alone = numbers(*single(start(1)))
    assert_same(alone, numbers(*single(start(1))))
    for one, among in zip(alone, lanes, strict=True):
        np.testing.assert_allclose(one, among[0], rtol=1e-5, atol=1e-6)
