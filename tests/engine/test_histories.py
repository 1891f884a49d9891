"""Batches of whole histories, and users that are made of them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onebp_jax import encoders, losses, samplers, updaters
from onebp_jax.data.device import on_host, one_history_a_user, upload
from onebp_jax.engine.batches import batch_at, pack_histories, steps_per_epoch
from onebp_jax.engine.step import make_step
from onebp_jax.types import Batch, Method, Signal

USERS, ITEMS, DIM = 23, 17, 5


@functools.cache
def interactions(seed=0, users=USERS, untouched=1):
    """Histories of very different lengths; user 3 has none, and one item is touched by nobody."""
    random = np.random.default_rng(seed)
    pairs = [
        (user, item)
        for user in range(users)
        for item in random.permutation(ITEMS)[: 1 + random.integers(ITEMS // (2 + user % 4))]
        if user != 3 and item != untouched
    ]
    return on_host(np.array(pairs), users, ITEMS)


def histories(data):
    return [data.sorted_items[a:b].tolist() for a, b in zip(data.row_starts[:-1], data.row_starts[1:], strict=True)]


# The batches.


@settings(max_examples=5, deadline=None, derandomize=True)
@given(size=st.integers(1, 40), seed=st.integers(0, 99), epoch=st.integers(0, 3))
def test_an_epoch_visits_each_user_with_a_history_once(size, seed, epoch):
    data = one_history_a_user(interactions(seed), size)
    steps = steps_per_epoch(data.num_pairs, size, drop_last=True)
    assert steps == steps_per_epoch(data.num_pairs, size, drop_last=False)
    device, seen = upload(data), []

    @jax.jit
    def made(step):
        batch = batch_at(jax.random.key(seed), step, device, size)
        return batch, pack_histories(batch.user_ids, device)

    for step in range(epoch * steps, (epoch + 1) * steps):
        batch, (slots, items) = made(jnp.int32(step))
        users = np.asarray(batch.user_ids)
        found = [np.asarray(items)[np.asarray(slots) == slot].tolist() for slot in range(size)]
        assert found == [histories(data)[user] if user < USERS else [] for user in users]
        assert (np.asarray(items)[np.asarray(slots) == size] == ITEMS).all()
        first = [histories(data)[user][0] if user < USERS else ITEMS for user in users]
        assert np.asarray(batch.positive_ids).tolist() == first
        seen += users[users < USERS].tolist()
    assert sorted(seen) == [user for user, items in enumerate(histories(data)) if items]


def test_epochs_and_seeds_have_orders_of_their_own():
    data = upload(one_history_a_user(interactions(users=200), 8))
    first = lambda seed, step: batch_at(jax.random.key(seed), jnp.int32(step), data, 8).user_ids.tolist()
    assert len({tuple(first(seed, step)) for seed in range(2) for step in (0, 25, 50)}) == 6


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_histories_fit_in_parts_of_a_batch_with_little_padding(parts):
    random = np.random.default_rng(0)
    lengths = np.minimum(1 + random.zipf(1.6, 3000), 300)
    users = np.repeat(np.arange(3000), lengths)
    items = np.concatenate([random.permutation(400)[:length] for length in lengths])
    data = one_history_a_user(on_host(np.stack([users, items], 1), 3000, 400), 64)
    room = pack_histories(jnp.full(64 // parts, 3000), upload(data))[0].shape[0]
    # The mean of a part, and at most the longest history more for each of the strata of a device.
    assert lengths.sum() / data.num_pairs * 64 / parts <= room
    assert room * parts <= lengths.sum() / data.num_pairs * 64 + 300 * parts


# The step.


def method_of(loss, sampler, transform, **options):
    return Method(
        encoders.aggregate(DIM, **options),
        sampler,
        loss,
        updaters.chain(),
        updaters.gradient(transform),
        epoch_unit="history",
    )


def expected_loss(table, data, users, kind, damping=0.0, through=True, leave_one_out=False, temperature=0.5):
    """The mean loss over the pairs of some users against the whole catalogue, by dense matrices."""
    matrix = np.array([[float(item in histories(data)[user]) for item in range(ITEMS)] for user in users])
    item = table / jnp.linalg.norm(table, axis=1, keepdims=True)
    weight = np.maximum(np.bincount(data.sorted_items, minlength=ITEMS), 1.0) ** -damping
    unit = lambda v: v / jnp.maximum(jnp.linalg.norm(v, axis=-1, keepdims=True), 1e-12)
    messages = weight[:, None] * (item if through else jax.lax.stop_gradient(item))
    total = jnp.einsum("ui,id->ud", matrix, messages)
    negative = unit(total) @ item.T
    seen = unit(total[:, None] - messages) if leave_one_out else unit(total)[:, None]
    positive = jnp.sum(seen * item, -1)
    if kind == "ccl":
        of_negatives = 5.0 * jnp.sum((1 - matrix) * jax.nn.relu(negative - 0.4), 1) / (1 - matrix).sum(1)
        terms = 1 - positive + of_negatives[:, None]
    else:
        # The negatives are all items: no correction.
        of_negatives = jnp.log(jnp.sum((1 - matrix) * jnp.exp(negative / temperature), 1))
        terms = jax.nn.softplus(of_negatives[:, None] - positive / temperature)
    return jnp.sum(matrix * terms) / matrix.sum()


CASES = {
    "plain": ("infonce", {}),
    "damped": ("infonce", {"damping": 0.4}),
    "stopped": ("infonce", {"through": False}),
    "leave_one_out": ("infonce", {"leave_one_out": True, "damping": 0.2}),
    "ccl": ("ccl", {}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_step_is_the_gradient_of_the_loss_over_whole_histories(case):
    kind, options = CASES[case]
    loss = losses.ccl() if kind == "ccl" else losses.catalogue_softmax(0.5)
    data = interactions()
    init, step = make_step(method_of(loss, samplers.full_catalogue(), optax.sgd(1.0), **options))
    state, device = init(jax.random.key(1), data)
    assert state.user.shape == (USERS, 0)
    users = [0, 5, 2, 11, 16]
    # User 3 has no history, and 23 is padding.
    batch = Batch(jnp.array([*users, 3, USERS]), jnp.full(7, ITEMS))
    table = jnp.asarray(state.item)
    expected = functools.partial(expected_loss, data=data, users=users, kind=kind, **options)
    loss, grad = jax.jit(jax.value_and_grad(expected))(table)
    state, info = jax.jit(step)(state, batch, device)
    assert int(info.examples) == sum(len(histories(data)[user]) for user in users)
    np.testing.assert_allclose(info.loss, loss, rtol=1e-5)
    np.testing.assert_allclose(table - state.item, grad, atol=1e-5)


def test_sampled_negatives_estimate_the_loss_over_the_whole_catalogue():
    data, users = interactions(untouched=None), jnp.array([0, 5, 2, 11])  # popularity draws no untouched item
    loss = losses.catalogue_softmax(0.5)
    found = {}
    for name, sampler in {
        "all": samplers.full_catalogue(),
        "uniform": samplers.shared(20_000, hide_touched=True),
        "popular": samplers.shared(20_000, alpha=0.5, hide_touched=True),
    }.items():
        init, step = make_step(method_of(loss, sampler, optax.sgd(1.0)))
        state, device = init(jax.random.key(1), data)
        found[name] = float(jax.jit(step)(state, Batch(users, jnp.full(4, ITEMS)), device)[1].loss)
    assert found["uniform"] == pytest.approx(found["all"], rel=0.01)
    assert found["popular"] == pytest.approx(found["all"], rel=0.01)
    assert found["all"] > 1


# Users.


def test_ranked_users_are_those_of_the_step():
    data = interactions()
    encoder = encoders.aggregate(DIM, damping=0.3)
    data = upload(data.replace(prepared=encoder.prepare(data)))
    tables = encoder.init(jax.random.key(0), data)
    user, item = encoder.vectors(tables, data)
    ids = jnp.array([4, 9, 3])
    slots, items = pack_histories(ids, data)
    assert encoder.aggregate is not None
    of_batch, paired = encoder.aggregate(item[items.clip(max=ITEMS - 1)], items, slots, 3, data)
    assert paired is None
    np.testing.assert_allclose(of_batch, user[ids], atol=1e-6)
    assert not np.asarray(user[3]).any()
    np.testing.assert_allclose(np.linalg.norm(user[jnp.array([4, 9])], axis=1), 1, atol=1e-6)


def test_an_average_with_renormalised_weights_is_the_aggregate():
    """Eq. 6 with `beta_n = 1 - w_n / (w_1 + .. + w_n)` keeps the weighted mean of all items so far, event by event."""
    random = np.random.default_rng(0)
    items, weight = random.normal(size=(12, DIM)).astype(np.float32), random.uniform(0.1, 1, 12)
    row = jnp.ones((1, DIM))  # the first event has beta 0, so that this is forgotten
    for n in range(12):
        beta = float(np.clip(1 - weight[n] / weight[: n + 1].sum(), 0, 1))
        updater = updaters.moving_average(beta)
        signal = Signal(jnp.array([0]), None, jnp.asarray(items[n : n + 1]))
        row = updater.update(signal, updater.init(row), row)[0]
        mean = weight[: n + 1] @ items[: n + 1] / weight[: n + 1].sum()
        np.testing.assert_allclose(row[0], mean, atol=1e-5)


# What does not fit.


@pytest.mark.parametrize(
    "change, message",
    [
        ({"epoch_unit": "pair"}, "go together"),
        ({"encoder": encoders.embedding(DIM)}, "go together"),
        ({"loss": losses.bpr()}, "this loss compares pairs: use infonce or ccl"),
        ({"user_updater": updaters.moving_average(0.9)}, "nothing updates a user"),
        ({"item_updater": updaters.moving_average(0.9)}, "nothing updates a user"),
        ({"sampler": samplers.uniform(4)}, "negatives that it shares"),
        ({"sampler": samplers.dynamic(4)}, "no scores for a sampler|negatives that it shares"),
    ],
)
def test_parts_that_know_no_histories_are_refused(change, message):
    method = method_of(losses.infonce(), samplers.shared(4), optax.sgd(1.0))._replace(**change)
    with pytest.raises(ValueError, match=message):
        init, step = make_step(method)
        state, data = init(jax.random.key(0), interactions())
        step(state, Batch(jnp.array([0, 1]), jnp.array([0, 0])), data)
