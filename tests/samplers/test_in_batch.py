"""The batch as its own negatives: worked numbers, what is negative_mask, and how often an item is taken to come."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.sampler_cases import FEW, FEW_TOUCHED, TWO_ITEMS, TWO_USERS, interactions, mean_loss, pairs

from onebp_jax.samplers import in_batch
from onebp_jax.samplers.frequency import frequency
from onebp_jax.samplers.membership import _marked, _searched

KEY = jax.random.key(0)


def test_the_worked_example():
    sampler = in_batch()
    negatives, _ = sampler.sample(KEY, sampler.init(FEW), pairs([0, 5], [0, 1]), FEW)
    np.testing.assert_allclose(np.exp(negatives.log_q), [0.2, 0.05], rtol=1e-6)
    logits = TWO_USERS @ TWO_ITEMS.T - negatives.log_q
    np.testing.assert_allclose(logits, [[2.109438, 2.995732], [2.109438, 3.995732]], rtol=1e-6)
    np.testing.assert_allclose(mean_loss(negatives), 0.686305, atol=1e-6)
    plain, _ = in_batch("none").sample(KEY, (), pairs([0, 5], [0, 1]), FEW)
    assert plain.log_q is None and plain.positive_log_q is None
    np.testing.assert_allclose(mean_loss(plain), 0.474077, atol=1e-6)
    # A constant in log q cancels, so one that is the same for all is none.
    shifted = negatives._replace(log_q=negatives.log_q + 3, positive_log_q=negatives.positive_log_q + 3)
    np.testing.assert_allclose(mean_loss(shifted), 0.686305, atol=1e-6)
    even = negatives._replace(log_q=jnp.full(2, -2.0), positive_log_q=jnp.full(2, -2.0))
    np.testing.assert_allclose(mean_loss(even), 0.474077, atol=1e-6)


@pytest.mark.parametrize("known", [False, True])
def test_hidden_are_own_and_equal_positives_padding_and_by_choice_what_is_known(known):
    users, items = [0, 1, 5, 7, 5, 6, 0, 7], [0, 0, 1, 16, 0, 2, 2, 16]
    sampler = in_batch("static", known)
    negatives, _ = sampler.sample(KEY, sampler.init(FEW), pairs(users, items), FEW)
    for row, user in enumerate(users):
        out = {items[row], 16} | (FEW_TOUCHED[user] if known and user < 7 else set())
        assert negatives.negative_mask[row].tolist() == [item in out for item in items]
    np.testing.assert_array_equal(negatives.ids, items)
    assert negatives.log_q[3] == 0 and np.isfinite(negatives.log_q).all()


def test_streaming_worked_example():
    sampler, state = in_batch("streaming", rate=0.1), in_batch("streaming", rate=0.1).init(FEW)
    found = []
    for step in range(1, 13):
        negatives, state = sampler.sample(KEY, state, pairs([0, 7], [0 if step in (5, 7, 12) else 2, 16]), FEW)
        if step in (5, 7, 12):
            found.append(float(jnp.exp(-negatives.log_q[0])))
    np.testing.assert_allclose(found, [90.5, 81.65, 73.985], rtol=1e-5)
    np.testing.assert_allclose(np.exp(negatives.log_q[0]), 0.013516, rtol=1e-4)


def test_streaming_against_loops_with_repeated_items_and_padding():
    random, sampler = np.random.default_rng(0), in_batch("streaming", rate=0.05)
    state, sample = sampler.init(FEW), jax.jit(sampler.sample)
    interval, seen = np.full(16, 100.0), np.zeros(16)
    for step in range(1, 101):
        items = np.where(random.random(6) < 0.2, 16, np.minimum(random.geometric(0.4, 6) - 1, 15))
        negatives, state = sample(KEY, state, pairs(np.where(items < 16, 0, 7), items), FEW)
        for item in set(items.tolist()) - {16}:
            interval[item] = 0.95 * interval[item] + 0.05 * (step - seen[item])
            seen[item] = step
        expected = [0 if item == 16 else -np.log(interval[item]) for item in items]
        np.testing.assert_allclose(negatives.log_q, expected, rtol=1e-4)
        np.testing.assert_array_equal(negatives.log_q, negatives.positive_log_q)
    np.testing.assert_allclose(state.interval, interval, rtol=1e-4)
    np.testing.assert_array_equal(state.seen, seen)
    assert int(state.step) == 100 and interval[0] < 3 and interval[15] == 100


@pytest.mark.parametrize("seed", range(3))
def test_marking_finds_what_searching_finds(seed):
    random = np.random.default_rng(seed)
    table = random.random((20, 17)) < np.linspace(0, 1, 20)[:, None]
    data = interactions([set(np.flatnonzero(row).tolist()) for row in table], 17)
    users, items = random.permutation(21).astype(np.int32), random.integers(0, 18, 40).astype(np.int32)
    expected = np.pad(table, ((0, 1), (0, 1)))[users][:, items]
    for find in (_marked, _searched):
        np.testing.assert_array_equal(find(jnp.asarray(users), jnp.asarray(items), data), expected)
    each = random.integers(0, 18, (21, 5)).astype(np.int32)
    found = _searched(jnp.asarray(users), jnp.asarray(each), data)
    np.testing.assert_array_equal(found, np.take_along_axis(np.pad(table, ((0, 1), (0, 1)))[users], each, axis=1))


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="correction must be one of static, streaming, none, got 'exact'"):
        in_batch("exact")
    with pytest.raises(ValueError, match="rate must be above 0 and at most 1, got 0"):
        frequency("streaming", 0)
