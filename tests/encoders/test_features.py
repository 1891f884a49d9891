"""Feature towers: the arithmetic against loops, what has no effect, whose row counts, what an average is told."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import oracle
from support.same import assert_same

from onebp_jax import losses
from onebp_jax.data import Features
from onebp_jax.data.device import to_device
from onebp_jax.encoders import FeatureTower, features
from onebp_jax.encoders import features as features_function
from onebp_jax.engine.step import make_step
from onebp_jax.types import Batch, Method, Updater
from onebp_jax.updaters import adam, gradient, moving_average

DIM, USERS, ITEMS, V = 3, 4, 6, 5
RANDOM = np.random.default_rng(0)
TOKENS = np.array([[0, 2, 4], [1, 5, 5], [5, 5, 5], [3, 0, 5], [1, 5, 5], [2, 1, 3]], np.int32)
NUMBERS = RANDOM.normal(size=(ITEMS, 2)).astype(np.float32)
NUMBERS[4] = NUMBERS[1]  # items 1 and 4 have the same features, and so have no items else
SIDE = Features(NUMBERS, TOKENS, V, ("year: numbers", "genres: values"))
USER_SIDE = Features(NUMBERS[:USERS], np.zeros((USERS, 0), np.int32), 0, ("age: numbers",))
# Item 5 is new.
DATA = to_device(np.array([[0, 0], [0, 1], [1, 2], [2, 3], [3, 4]]), USERS, ITEMS, USER_SIDE, SIDE)
TOWER = FeatureTower(DIM, (4,))
BATCH = Batch(jnp.array([0, 1, 0, 3, USERS]), jnp.array([0, 2, 1, 4, ITEMS]))
NEGATIVES = np.array([[[2, 3], [1, 4], [3, 2], [0, 1], [0, 0]]])


def begun(encoder):
    """The data as the encoder prepared them, and its first tables."""
    data = DATA.replace(prepared=encoder.prepare(DATA))
    return data, encoder.init(jax.random.key(0), data)


def by_loops(params, side, hidden):
    """The tower, a row and a number at a time, in float64."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    found = []
    for row in range(len(side.numeric)):
        tokens = [token for token in side.tokens[row] if token < side.vocabulary]
        x = params["bias"].copy()
        for token in tokens:
            x += params["tokens"][token] / len(tokens)
        for number, value in enumerate(side.numeric[row]):
            x += value * params["numbers"]["kernel"][number]
        for layer in range(len(hidden)):
            weights = params[f"layer_{layer}"]
            y = weights["bias"].copy()
            for place, value in enumerate(x):
                y += max(value, 0) * weights["kernel"][place]
            x = y
        found.append(x)
    return np.stack(found)


def moved(params, seed=1):
    """Parameters without zeros, such as biases begin with."""
    leaves, tree = jax.tree.flatten(params)
    random = np.random.default_rng(seed)
    return jax.tree.unflatten(tree, [jnp.asarray(random.normal(size=leaf.shape), jnp.float32) for leaf in leaves])


@pytest.mark.parametrize("hidden", [(), (4,), (4, 2)])
def test_the_tower_is_that_of_the_loops(hidden):
    tower = FeatureTower(DIM, hidden)
    params = moved(tower.init(jax.random.key(0), SIDE)["params"])
    made = tower.apply({"params": params}, SIDE)
    np.testing.assert_allclose(made, by_loops(params, SIDE, hidden), rtol=1e-5, atol=1e-5)


def test_the_order_of_tokens_and_padding_have_no_effect():
    params = moved(TOWER.init(jax.random.key(0), SIDE)["params"])
    turned = SIDE.replace(tokens=np.concatenate([np.full((ITEMS, 2), V, np.int32), TOKENS[:, ::-1]], 1))

    def total(params, side):
        made = TOWER.apply({"params": params}, side)
        return (made * made).sum(), made

    (_, plain), grads = jax.value_and_grad(total, has_aux=True)(params, SIDE)
    (_, other), others = jax.value_and_grad(total, has_aux=True)(params, turned)
    np.testing.assert_allclose(other, plain, rtol=1e-6)
    jax.tree.map(lambda one, two: np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6), grads, others)
    # Item 2 has no token: only its numbers and the biases speak.
    assert np.isfinite(plain).all()


@pytest.mark.parametrize("side", [SIDE.replace(tokens=TOKENS[:, :0]), SIDE.replace(numeric=NUMBERS[:, :0])])
def test_features_of_one_kind_are_enough(side):
    params = TOWER.init(jax.random.key(0), side)["params"]
    assert len(params) == 3
    made = TOWER.apply({"params": params}, side)
    assert made.shape == (ITEMS, DIM) and np.isfinite(made).all() and (made[0] != made[5]).any()


def test_own_rows_are_added_to_what_the_tower_makes_but_for_new_items():
    encoder = features(DIM, TOWER, TOWER)
    data, tables = begun(encoder)
    user, item = encoder.vectors(tables, data)
    made = TOWER.apply({"params": tables.params["item"]}, SIDE)
    known = np.arange(ITEMS) != 5
    np.testing.assert_allclose(item, made + np.where(known[:, None], tables.item, 0), rtol=1e-6)
    np.testing.assert_array_equal(item[5], made[5])
    # Users have numbers alone, and everyone has interactions.
    np.testing.assert_allclose(user, TOWER.apply({"params": tables.params["user"]}, USER_SIDE) + tables.user, rtol=1e-6)


@pytest.mark.parametrize("ids, counts", [(True, "both"), (False, ""), ("user", "user"), ("item", "item")])
def test_whose_rows_count(ids, counts):
    encoder = features(DIM, TOWER, TOWER, ids=ids)
    data, tables = begun(encoder)
    some = jnp.arange(4)

    def total(tables):
        return sum((made**2).sum() for made in encoder.encode(tables, some, some, data))

    rows = tables._replace(item=tables.item[:4])
    grads = jax.grad(total)(rows)
    assert (np.asarray(grads.user) != 0).any() == (counts in ("both", "user"))
    assert (np.asarray(grads.item) != 0).any() == (counts in ("both", "item"))
    assert all((np.asarray(leaf) != 0).any() for leaf in jax.tree.leaves(grads.params["item"]["layer_0"]))
    item = encoder.vectors(tables, data)[1]
    assert (item[1] == item[4]).all() == (counts in ("", "user"))


def test_a_tower_without_a_module_is_the_plain_table():
    encoder = features(DIM, TOWER, ids=False)
    data, tables = begun(encoder)
    np.testing.assert_array_equal(encoder.vectors(tables, data)[0], tables.user)
    assert set(tables.params) == {"item"}


def test_chunks_hold_the_same_vectors(monkeypatch):
    encoder = features(DIM, TOWER)
    data, tables = begun(encoder)
    whole = encoder.vectors(tables, data)[1]
    monkeypatch.setitem(features_function.__globals__, "CHUNK", 4)
    np.testing.assert_allclose(encoder.vectors(tables, data)[1], whole, rtol=1e-5)


# In a step.


def recorder():
    """An updater that leaves its table alone and keeps what it is told."""
    init = lambda table: (jnp.zeros((5, DIM)), jnp.zeros((5, DIM)))
    update = lambda signal, state, table, **extra: (table, (signal.targets, extra["old_targets"]))
    return Updater(init, update, ("targets",))


def one_step(encoder, user, item):
    sampler = oracle.given_negatives(NEGATIVES)
    init, step = make_step(Method(encoder, sampler, losses.infonce(), user, item, optax.sgd(0.5)))
    before, data = init(jax.random.key(0), DATA)
    return before, jax.jit(step)(before, BATCH, data)[0], data


@pytest.mark.parametrize("normalize", [False, True])
def test_an_average_is_told_whole_vectors_after_the_update(normalize):
    """As long as they are, with or without `normalize`."""
    before, after, data = one_step(features(DIM, TOWER, normalize=normalize), recorder(), gradient(adam(0.1)))
    plain = features(DIM, TOWER)
    ids = np.asarray(BATCH.positive_ids)[:4]
    for state, told in ((after, after.user_opt[0]), (before, after.user_opt[1])):
        np.testing.assert_allclose(told[:4], plain.vectors(state.tables, data)[1][ids], rtol=1e-5, atol=1e-6)
    for leaf in ("tokens", "bias"):
        assert (np.asarray(after.params["item"][leaf]) != before.params["item"][leaf]).any()
    assert (np.asarray(after.user_opt[0])[:4] != np.asarray(after.user_opt[1])[:4]).any(axis=1).all()
    np.testing.assert_array_equal(after.user, before.user)


def test_one_step_of_onebp_moves_users_towards_the_new_vectors():
    before, after, data = one_step(features(DIM, TOWER), moving_average(0.9), gradient(adam(0.1)))
    item = np.asarray(features(DIM, TOWER).vectors(after.tables, data)[1], np.float64)
    expected = np.array(before.user, np.float64)
    for user, positive in ((1, 2), (3, 4)):
        expected[user] = 0.9 * expected[user] + 0.1 * item[positive]
    # User 0 touched two items: either order, on average.
    expected[0] = 0.81 * expected[0] + 0.1 * 0.95 * (item[0] + item[1])
    np.testing.assert_allclose(after.user, expected, rtol=1e-5, atol=1e-7)


def test_padding_has_no_effect_on_the_parameters():
    encoder, updaters = features(DIM, TOWER), (moving_average(0.9), gradient(adam(0.1)))
    init, step = make_step(
        Method(encoder, oracle.given_negatives(NEGATIVES), losses.infonce(), *updaters, optax.sgd(1))
    )
    state, data = init(jax.random.key(0), DATA)
    spoilt = DATA.item_features.replace(tokens=DATA.item_features.tokens.at[5].set(0))
    other = data.replace(item_features=spoilt)
    # The padded row reads the last item, 5, whatever its features are.
    assert not (NEGATIVES == 5).any()
    one, two = (jax.jit(step)(state, BATCH, read)[0] for read in (data, other))
    assert_same((one.user, one.item, one.params), (two.user, two.item, two.params))


class Stateful(nn.Module):
    @nn.compact
    def __call__(self, side):
        return nn.BatchNorm(use_running_average=False)(nn.Dense(DIM)(side.numeric))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: features(DIM), "features needs an item_tower or a user_tower"),
        (lambda: features(DIM, TOWER, ids="items"), "ids must be True, False, 'user' or 'item', got 'items'"),
        (lambda: features(0, TOWER), "dim must be a positive whole number, got 0"),
        (lambda: begun(features(DIM, FeatureTower(4))), r"makes vectors of shape \(1, 4\) .* expected \(1, 3\)"),
        (
            lambda: begun(features(DIM, Stateful())),
            "the item tower has the collections batch_stats, expected parameters only",
        ),
        (lambda: features(DIM, TOWER).prepare(DATA.replace(item_features=None)), "set item_features"),
        (
            lambda: features(DIM, TOWER).prepare(DATA.replace(item_features=USER_SIDE)),
            r"rows \[4\], expected .* 6 items",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
