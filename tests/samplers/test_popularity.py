"""Popularity negatives: the exact share of every untouched item, whole weights, and who cannot be served."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from support.sampler_cases import POPULARITY, batch_of, crowd, interactions, worked_example

from onebp_jax.samplers import popularity
from onebp_jax.samplers.popularity import _items_at, _places, whole_weights

DATA = worked_example()
DRAWS = 20_000
USERS = [0, 31, 32]
BATCH = batch_of(np.repeat(USERS, DRAWS), DATA)


def draw(gamma, smoothing=0):
    sampler = popularity(3, gamma, smoothing)
    sampler.check(DATA)
    return np.asarray(jax.jit(sampler.sample)(jax.random.key(3), sampler.init(DATA), BATCH, DATA)[0].ids)


def chance(counts, weight):
    """How likely counts are that uneven or more, for these weights."""
    return stats.chisquare(counts, counts.sum() * weight / weight.sum()).pvalue


@pytest.mark.parametrize("gamma", [1.0, 0.75])
def test_items_are_drawn_by_popularity_among_the_untouched(gamma):
    one, nothing, padded = draw(gamma).reshape(3, -1)
    assert (padded == 8).all()
    weight = np.array(POPULARITY, np.float64) ** gamma
    other = np.array(POPULARITY, np.float64) ** (1.75 - gamma)
    for ids, items in ((one, [1, 3, 4, 5, 6, 7]), (nothing, list(range(8)))):
        counts = np.bincount(ids, minlength=8)
        assert counts[items].sum() == len(ids)
        assert 1e-4 < chance(counts[items], weight[items]) < 1 - 1e-4
        # Another exponent would be told apart.
        assert chance(counts[items], other[items]) < 1e-6
        if gamma == 1 and len(items) == 6:
            assert chance(counts[items], np.array([20, 10, 10, 8, 5, 2]) / 55) > 1e-4


def test_places_of_a_row_are_independent():
    one = draw(1.0)[:DRAWS]
    table = np.bincount(one[:, 0] * 8 + one[:, 1], minlength=64).reshape(8, 8)[
        np.ix_([1, 3, 4, 5, 6, 7], [1, 3, 4, 5, 6, 7])
    ]
    assert stats.chi2_contingency(table).pvalue > 1e-4
    # With replacement.
    assert np.trace(table) > 0


@pytest.mark.parametrize("seed", range(3))
def test_every_number_of_untouched_weight_belongs_to_an_item_as_often_as_its_weight(seed):
    """No chance in it: all numbers of every user, each once."""
    random = np.random.default_rng(seed)
    table = random.random((6, 9)) < np.array([0, 0.2, 0.5, 0.8, 0.9, 0.5])[:, None]
    table[2:4, 5] = True, False
    touched = [set(np.flatnonzero(row).tolist()) for row in table]
    data = interactions(touched, 9)
    line = popularity(1).init(data)
    counts, numbers = table.sum(0), jnp.arange(60, dtype=jnp.int32)[:, None] * jnp.ones(6, jnp.int32)
    items = np.asarray(_items_at(_places(numbers, line, jnp.arange(6, dtype=jnp.int32), data), line.ends))
    for user in range(6):
        left = np.where(table[user], 0, counts)
        assert int(line.left[user]) == left.sum() <= 60
        np.testing.assert_array_equal(np.bincount(items[: left.sum(), user], minlength=9), left)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.75, 2.0, 40.0])
def test_whole_weights_are_proportional_and_fit(gamma):
    counts = np.random.default_rng(0).zipf(1.5, 5000).clip(0, 100_000) - 1
    weight = whole_weights(counts, gamma)
    assert 2**30 < weight.sum() < 2**31 and ((weight == 0) == (counts == 0)).all()
    exact = np.where(counts > 0, (counts / counts.max()) ** gamma, 0)
    exact *= weight.sum() / exact.sum()
    assert (np.abs(weight - exact) <= 1 + 1e-5 * exact).all()
    np.testing.assert_array_equal(whole_weights(counts, 1.0), counts)


def test_smoothing_lets_items_without_users_be_drawn():
    data = interactions([{0, 1}, {1}], 4)
    batch = batch_of([0] * 300, data)
    sampler = popularity(2, smoothing=1)
    ids = sampler.sample(jax.random.key(0), sampler.init(data), batch, data)[0].ids
    assert set(np.unique(ids)) == {2, 3}
    with pytest.raises(ValueError, match="1 of 2 users touched every item that has training users.*smoothing=1"):
        popularity(2).check(data)
    popularity(2, smoothing=1).check(data)


def test_users_who_touched_nearly_everything_are_served():
    data, touched = crowd(5)
    batch = batch_of(np.repeat(np.arange(6), 50), data)
    sampler = popularity(5)
    sampler.check(data)
    ids = np.asarray(sampler.sample(jax.random.key(0), sampler.init(data), batch, data)[0].ids).reshape(6, -1)
    counts = np.bincount(np.asarray(data.sorted_items), minlength=data.num_items)
    for user, own in enumerate(ids):
        assert not touched[user] & set(own.tolist()) and (counts[own] > 0).all()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((0,), "num_negatives must be a positive whole number, got 0"),
        ((2, -1.0), "gamma must be zero or a positive number, got -1.0"),
        ((2, float("nan")), "gamma must be zero or a positive number, got nan"),
        ((2, 1.0, -1), "smoothing must be a whole number, zero or more, got -1"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        popularity(*arguments)
