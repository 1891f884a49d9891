"""Two-stage negatives: worked numbers, who becomes a candidate, which candidate is drawn, and rows that run out of them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from support.sampler_cases import POPULARITY, batch_of, fixed_view, interactions, worked_example

from onebp_jax.samplers import two_stage
from onebp_jax.samplers.two_stage import log_weight

DATA = worked_example()
ROWS = 20_000
# Cosines with item 0, the positive, in 8 dimensions; lengths differ.
COSINES = np.array([1, 0.8, 0.9, 0.3, 0, 0.6, -0.4, 0.7])


def vectors():
    rest = np.eye(8)[1]
    unit = COSINES[:, None] * np.eye(8)[0] + np.sqrt(1 - COSINES**2)[:, None] * rest
    return unit * np.arange(1, 9)[:, None]


VIEW = fixed_view(np.ones((32, 8)), vectors())


def test_the_worked_example():
    weight = log_weight(jnp.array([0.8, 0.3, 0.0, -0.4]), 8)
    np.testing.assert_allclose(jax.nn.softmax(weight), [0.910386, 0.089614, 0, 0], atol=1e-6)
    # In 1024 dimensions the weights themselves would overflow.
    wide = log_weight(jnp.array([1.0, 0.999, 0.5]), 1024)
    assert np.isfinite(wide).all() and wide[0] > 9000


def drawn(count, user=0, rows=ROWS, view=VIEW, candidates=300):
    sampler = two_stage(count, candidates)
    sample = jax.jit(lambda key, batch: sampler.sample(key, sampler.init(DATA), batch, DATA, view)[0])
    return sample(jax.random.key(5), batch_of([user] * rows, DATA))


def test_untouched_candidates_are_drawn_by_the_density_of_their_similarity_without_replacement():
    negatives = drawn(2)
    ids, negative_mask = np.asarray(negatives.ids), np.asarray(negatives.negative_mask)
    assert not negative_mask.any() and (ids[:, 0] != ids[:, 1]).all()
    x = COSINES
    weight = np.where(x > 0, np.maximum(1 - x**2, 1e-12) ** (1 - 7 / 2), 0)
    weight[[0, 2]] = 0
    share = weight / weight.sum()
    possible = np.flatnonzero(share)
    counts = np.bincount(ids[:, 0], minlength=8)
    assert possible.tolist() == [1, 3, 5, 7] and counts[possible].sum() == ROWS
    assert 1e-4 < stats.chisquare(counts[possible], ROWS * share[possible]).pvalue < 1 - 1e-4
    # The ordered pairs of draws without replacement.
    pairs = list(itertools.permutations(possible, 2))
    expected = np.array([share[one] * share[two] / (1 - share[one]) for one, two in pairs])
    found = np.array([(ids == pair).all(1).sum() for pair in pairs])
    assert found.sum() == ROWS and 1e-4 < stats.chisquare(found, ROWS * expected).pvalue < 1 - 1e-4


def test_when_the_similar_ones_run_out_dissimilar_ones_follow_all_alike_and_then_nothing():
    negatives = drawn(8, rows=4000)
    ids, negative_mask = np.asarray(negatives.ids), np.asarray(negatives.negative_mask)
    assert (np.sort(ids[:, :4]) == [1, 3, 5, 7]).all() and (np.sort(ids[:, 4:6]) == [4, 6]).all()
    assert (ids[:, 6:] == 8).all() and negative_mask[:, 6:].all() and not negative_mask[:, :6].any()
    assert stats.binomtest(int((ids[:, 4] == 4).sum()), 4000).pvalue > 1e-4


def test_without_any_similar_one_all_are_alike():
    view = fixed_view(np.ones((32, 8)), np.where(np.arange(8)[:, None] == 0, -1, 1) * np.ones((8, 8)))
    ids = np.asarray(drawn(1, view=view).ids)[:, 0]
    counts = np.bincount(ids, minlength=8)[[1, 3, 4, 5, 6, 7]]
    assert counts.sum() == ROWS and 1e-4 < stats.chisquare(counts).pvalue < 1 - 1e-4


@pytest.mark.parametrize("gamma", [1.0, 0.5])
def test_candidates_are_drawn_by_popularity_without_replacement(gamma):
    """Of two candidates and two negatives, both come out: their pairs have the chances of successive draws."""
    sampler, view = two_stage(2, 2, gamma), fixed_view(np.ones((32, 8)), np.ones((8, 8)))
    batch = batch_of([31], DATA)
    draw = lambda key: sampler.sample(key, sampler.init(DATA), batch, DATA, view)[0].ids[0]
    ids = np.sort(jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(1), ROWS)))
    share = np.array(POPULARITY) ** gamma
    share /= share.sum()
    pairs = list(itertools.combinations(range(8), 2))
    chance = lambda one, two: share[one] * share[two] / (1 - share[one])
    expected = np.array([chance(one, two) + chance(two, one) for one, two in pairs])
    found = np.array([(ids == pair).all(1).sum() for pair in pairs])
    assert found.sum() == ROWS and 1e-4 < stats.chisquare(found, ROWS * expected).pvalue < 1 - 1e-4


def test_items_without_users_are_no_candidates():
    data = interactions([{0, 1}, {1, 2}, set()], 9)
    sampler = two_stage(4, 6)
    view = fixed_view(np.ones((3, 8)), np.eye(9, 8))
    sample = jax.jit(lambda key: sampler.sample(key, sampler.init(data), batch_of([0, 1, 2, 3], data), data, view)[0])
    negatives = sample(jax.random.key(0))
    negative_mask = np.asarray(negatives.negative_mask)
    assert negative_mask.sum(1).tolist()[:3] == [3, 3, 1]
    assert [set(ids[~out]) for ids, out in zip(np.asarray(negatives.ids)[:3], negative_mask, strict=False)] == [
        {2},
        {0},
        {0, 1, 2},
    ]
    assert (np.asarray(negatives.ids)[3] == 9).all()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((0,), "num_negatives must be a positive whole number, got 0"),
        ((5, 4), "num_candidates must be at least num_negatives=5, got 4"),
        ((2, 4, -1.0), "gamma must be zero or a positive number, got -1.0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        two_stage(*arguments)
    with pytest.raises(ValueError, match="num_negatives=9, but there are only 8 items"):
        two_stage(9).check(DATA)
