"""Every variant of a training step against the oracle over several steps, and the worked examples, each with its id."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import oracle
from support.oracle import BATCH, DIM, NUM_ITEMS, NUM_USERS, WIDTH

from onebp_jax import losses
from onebp_jax.data.device import to_device
from onebp_jax.encoders import embedding
from onebp_jax.engine.step import make_step
from onebp_jax.samplers import shared
from onebp_jax.types import Batch, Method, Purpose, Tables, step_key
from onebp_jax.updaters import adam, gradient, moving_average

RATE, DECAY, BETA = 0.01, 0.1, 0.9
VARIANTS = [
    (method, rule, loss)
    for loss in ("infonce", "bpr")
    for method, rules in (("onebp", oracle.RULES), ("user_only", oracle.RULES), ("twobp", ("expected",)))
    for rule in rules
]
# Compiling costs a second each, so that not all of them are; each updater alone is compiled in its own tests.
COMPILED = [variant for variant in VARIANTS if variant[1:] in (("expected", "infonce"), ("sequential", "bpr"))]


def library(user, item, batches, loss, user_updater, item_updater, compiled=False):
    """What the library makes of what `oracle.run` is given: tables, losses and counts after each batch."""
    stack = np.stack([negatives for _, _, negatives in batches])
    encoder = embedding(user.shape[1])._replace(init=lambda key, data: Tables(jnp.asarray(user), jnp.asarray(item)))
    init, step = make_step(Method(encoder, oracle.given_negatives(stack), loss, user_updater, item_updater))
    state, data = init(jax.random.key(0), to_device(np.array([[0, 0]]), len(user), len(item)))
    step, history = jax.jit(step) if compiled else step, []
    for users, positives, _ in batches:
        state, info = step(state, Batch(jnp.asarray(users, jnp.int32), jnp.asarray(positives, jnp.int32)), data)
        history.append((state.user, state.item, info.loss, info.examples))
    return [np.stack(column) for column in zip(*history, strict=True)]


def updaters(method, rule):
    """The updaters of the user tower and of the item tower."""
    average, steps = moving_average(BETA, rule), gradient(adam(RATE, DECAY))
    return {"onebp": (average, steps), "twobp": (steps, steps), "user_only": (steps, average)}[method]


def problem(dtype):
    """Two tables and six batches: crowded ones, one partly padded, one all padding, one of a single row."""
    random = np.random.default_rng(7)
    user, item = (random.normal(size=(rows, DIM)).astype(dtype) for rows in (NUM_USERS, NUM_ITEMS))
    present = np.ones((6, BATCH), bool)
    present[1, [3, 8, 12, 13, 14, 15]] = False
    present[2] = False
    present[4, 1:] = False
    batches = []
    for rows in present:
        users = np.where(rows, random.integers(0, NUM_USERS, BATCH), NUM_USERS)
        positives = np.where(rows, random.integers(0, NUM_ITEMS // 2, BATCH), NUM_ITEMS)
        drawn = np.stack([random.permutation(NUM_ITEMS)[:WIDTH] for _ in rows])
        batches.append((users, positives, np.where(rows[:, None], drawn, NUM_ITEMS)))
    return user, item, batches


def relative(actual, expected):
    """Largest difference in parts of the largest value."""
    return np.abs(actual - expected).max() / np.abs(expected).max()


def compare(method, rule, loss, dtype, tolerance, compiled=False):
    user, item, batches = problem(dtype)
    expected = oracle.run(
        method, user, item, batches, oracle.Adam(RATE, DECAY), oracle.Adam(RATE, DECAY), BETA, rule, kind=loss
    )
    parts = getattr(losses, loss)(), *updaters(method, rule)
    users, items, means, examples = library(user, item, batches, *parts, compiled)
    assert users.dtype == items.dtype == means.dtype == dtype
    assert examples.tolist() == [16, 10, 0, 16, 1, 16]
    for step, (user, item, mean) in enumerate(expected):
        assert relative(users[step], user) < tolerance, f"user table after step {step}"
        assert relative(items[step], item) < tolerance, f"item table after step {step}"
        assert abs(means[step] - mean) <= tolerance * max(1, mean), f"loss of step {step}"
    return users, items


@pytest.mark.parametrize(
    "method, rule, loss, compiled",
    [(*variant, False) for variant in VARIANTS] + [(*variant, True) for variant in COMPILED],
)
def test_a_step_agrees_with_the_oracle(method, rule, loss, compiled):
    users, items = compare(method, rule, loss, np.float32, 1e-6, compiled)
    # Step 2 sees padding alone: a table that averages keeps its bits, under dense Adam with decay every row moves on.
    averaged = {"onebp": users, "user_only": items}.get(method)
    moving = [table for table in (users, items) if table is not averaged]
    if averaged is not None:
        np.testing.assert_array_equal(averaged[2], averaged[1])
    for table in moving:
        assert (table[2] != table[1]).any(axis=1).all()


@pytest.mark.parametrize(
    "method, rule, loss",
    [
        variant if variant[2] == "infonce" or variant[0] == "twobp" else pytest.param(*variant, marks=pytest.mark.study)
        for variant in VARIANTS
    ],
)
def test_in_float64_the_agreement_is_to_rounding(method, rule, loss):
    with jax.enable_x64(True):
        compare(method, rule, loss, np.float64, 1e-12)


# Shared negatives, with the sampler that draws them.


@pytest.mark.parametrize("loss, alpha, hide", [("infonce", 0.75, True), ("infonce", 0.0, False), ("bpr", 0.75, True)])
@pytest.mark.parametrize("method", ["onebp", "twobp", "user_only"])
def test_a_step_with_shared_negatives_agrees_with_the_oracle(method, loss, alpha, hide):
    """Item 8 is in no pair; a batch is partly padded; with `hide`, some rows see hardly any of the negatives."""
    user, item, _ = problem(np.float32)
    touched = [{0, 1, 2, 3, 4, 5, 6, 7}, {1}, {1, 2, 5}, {2, 3}, {0, 7}]
    pairs = np.array([(row, one) for row, own in enumerate(touched) for one in sorted(own)])
    data = to_device(pairs, NUM_USERS, NUM_ITEMS)
    sampler, key = shared(5, alpha, hide), jax.random.key(4)
    encoder = embedding(DIM)._replace(init=lambda key, data: Tables(jnp.asarray(user), jnp.asarray(item)))
    init, step = make_step(Method(encoder, sampler, getattr(losses, loss)(0.7), *updaters(method, "expected")))
    state, data = init(key, data)
    popularity = np.bincount(pairs[:, 1], minlength=NUM_ITEMS)
    log_q = np.log(np.maximum(popularity, 1e-9) ** alpha / (popularity**alpha).sum()) if loss == "infonce" else None
    batches, history = [], []
    for number in range(4):
        users, positives = np.random.default_rng(number).permutation(pairs)[:BATCH].T.copy()
        users[:number], positives[:number] = NUM_USERS, NUM_ITEMS
        batch = Batch(jnp.asarray(users, jnp.int32), jnp.asarray(positives, jnp.int32))
        drawn, _ = sampler.sample(step_key(key, Purpose.NEGATIVES, number), state.sampler, batch, data)
        out = [touched[u] if hide and u < NUM_USERS else {i} for u, i in zip(users, positives, strict=True)]
        batches.append((users, positives, [[i for i in drawn.ids.tolist() if i not in own] for own in out]))
        state, info = step(state, batch, data)
        history.append((state.user, state.item, info.loss))
    assert min(len(row) for *_, rows in batches for row in rows) < 3
    steps = [oracle.Adam(RATE, DECAY), oracle.Adam(RATE, DECAY)]
    expected = oracle.run(method, user, item, batches, *steps, BETA, kind=loss, temperature=0.7, log_q=log_q)
    for found, own in zip(history, expected, strict=True):
        for one, two in zip(found, own, strict=True):
            assert relative(one, two) < 1e-6


# The worked examples: small cases calculated by hand and by an independent program, with six digits.
FIXTURE_USER = np.array([[0.1, 0.2], [-0.3, 0.4]], np.float32)
FIXTURE_ITEM = np.array([[0.5, -0.1], [0.2, 0.3], [-0.4, 0.6], [0.0, -0.2]], np.float32)
FIXTURE = (np.array([0, 1, 0]), np.array([0, 1, 1]), np.array([[2, 3], [3, 0], [2, 3]]))
ADAM_USER = [[0.11, 0.19], [-0.29, 0.41]]
ADAM_ITEM = [[0.51, -0.09], [0.19, 0.31], [-0.39, 0.59], [0.01, -0.21]]


def close(actual, expected):
    """Equal to the six digits that a worked example gives."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)


def fixture(method, rule, batches=(FIXTURE,), item=FIXTURE_ITEM, sgd=False):
    """The tables after the last batch, once by the library and once by the oracle."""
    parts = updaters(method, rule)
    steps = [oracle.Adam(RATE, DECAY), oracle.Adam(RATE, DECAY)]
    if sgd:
        parts = (parts[0], gradient(optax.sgd(0.1)))
        steps = [None, lambda table, slope: table - 0.1 * slope]
    users, items, *_ = library(FIXTURE_USER, item, batches, losses.infonce(), *parts)
    reference = oracle.run(method, FIXTURE_USER, item, batches, *steps, BETA, rule)[-1]
    return (users[-1], items[-1]), reference[:2]


def test_ex_infonce():
    mean, user_gradient, item_gradient = oracle.gradients(FIXTURE_USER, FIXTURE_ITEM, FIXTURE)
    expected_user = [[-0.247545, 0.055232], [0.007523, -0.093927]]
    expected_item = [[-0.051571, -0.005111], [0.040451, -0.126558], [0.023291, 0.046582], [-0.012171, 0.085086]]
    for actual, expected in ((mean, 1.042402), (user_gradient, expected_user), (item_gradient, expected_item)):
        close(actual, expected)

    # Plain descent of rate 1 on both towers: the tables move by the gradients themselves.
    descent = gradient(optax.sgd(1.0))
    users, items, means, _ = library(FIXTURE_USER, FIXTURE_ITEM, [FIXTURE], losses.infonce(), descent, descent)
    close(means, [1.042402])
    close(FIXTURE_USER - users[0], expected_user)
    close(FIXTURE_ITEM - items[0], expected_item)

    users, positives, negatives = FIXTURE
    rows = losses.infonce()(FIXTURE_USER[users], FIXTURE_ITEM[positives], FIXTURE_ITEM[negatives])
    close(rows, [1.093152, 0.973865, 1.060190])


@pytest.mark.parametrize(
    "rule, first",
    [
        ("sequential", [0.146060, 0.184312]),
        ("expected", [0.147606, 0.182251]),
        ("mean", [0.125056, 0.190658]),
        ("last", [0.109595, 0.211266]),
    ],
)
def test_ex_onebp_sgd(rule, first):
    for users, items in fixture("onebp", rule, sgd=True):
        close(items, [[0.505157, -0.099489], [0.195955, 0.312656], [-0.402329, 0.595342], [0.001217, -0.208509]])
        close(users, [first, [-0.250405, 0.391266]])
        # What an average of the item vectors from *before* their update would give to `last`.
        assert np.abs(users - [[0.11, 0.21], [-0.25, 0.39]]).max() > 3e-4


@pytest.mark.parametrize("rule, first", [("sequential", [0.1459, 0.1849]), ("last", [0.109, 0.211])])
def test_ex_onebp_adam(rule, first):
    for users, items in fixture("onebp", rule):
        close(items, ADAM_ITEM)
        close(users, [first, [-0.251, 0.391]])


def test_ex_onebp_2step():
    """Item 2 is absent from the second batch and still moves: the decay goes through the moments."""
    alone = (np.array([1, 2, 2]), np.array([1, 4, 4]), np.array([[3, 0], [4, 4], [4, 4]]))
    for users, items in fixture("onebp", "sequential", (FIXTURE, alone)):
        close(users, [[0.1459, 0.1849], [-0.207822, 0.383855]])
        close(items, [[0.517864, -0.096439], [0.180780, 0.319548], [-0.380522, 0.580533], [0.018363, -0.219852]])
        # What decay after the moments (`adamw`) would give.
        assert np.abs(items[2] - [-0.415891, 0.582110]).max() > 0.03


def test_ex_adam_untouched():
    """A row that is in no batch still decays and moves."""
    for _, items in fixture("onebp", "expected", item=np.concatenate([FIXTURE_ITEM, np.float32([[0.3, -0.3]])])):
        close(items, [*ADAM_ITEM, [0.29, -0.29]])


def test_ex_twobp_adam():
    for users, items in fixture("twobp", "expected"):
        close(users, ADAM_USER)
        close(items, ADAM_ITEM)


@pytest.mark.parametrize("rule, second", [("sequential", [0.1469, 0.2989]), ("last", [0.191, 0.289])])
def test_ex_useronly_adam(rule, second):
    for users, items in fixture("user_only", rule):
        close(users, ADAM_USER)
        close(items, [[0.461, -0.071], second, [-0.4, 0.6], [0.0, -0.2]])


@pytest.mark.parametrize("rule, moved", [("sequential", 2.625), ("expected", 1.875), ("mean", 1.5), ("last", 2.5)])
def test_ex_ema_3dup(rule, moved):
    close(oracle.average(np.ones((1, 1)), [0, 0, 0], np.array([[0.0], [2.0], [4.0]]), 0.5, rule), [[moved]])


@pytest.mark.parametrize(
    "kind, scores, expected", [("infonce", [1, 0.5, -0.5, 0], 0.787339), ("bpr", [1, 0.5], 0.474077)]
)
def test_ex_loss_scalar(kind, scores, expected):
    close(oracle.row_loss(scores, kind)[0], expected)
    user, positive, negatives = jnp.ones((1, 1)), jnp.full((1, 1), scores[0]), jnp.array(scores[1:])[None, :, None]
    close(getattr(losses, kind)()(user, positive, negatives), [expected])
