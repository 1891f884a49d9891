"""Random words and the numbers made from them: the integer arithmetic is exact, and the distributions are right."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from onebp_jax.ops.random import distinct_numbers, gumbel, hash_words, random_words, scale_words

few = settings(max_examples=30, deadline=None, derandomize=True)
words_32_bit = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2**16 - 1, 2**16, 2**31, 2**32 - 1]))


@few
@given(st.lists(st.tuples(words_32_bit, st.integers(1, 2**31 - 1)), min_size=8, max_size=8))
def test_words_are_scaled_exactly(cases):
    words, bounds = (np.array(column) for column in zip(*cases, strict=True))
    scaled = scale_words(jnp.asarray(words, jnp.uint32), jnp.asarray(bounds, jnp.int32))
    assert scaled.dtype == jnp.int32
    assert scaled.tolist() == [(word * bound) >> 32 for word, bound in cases]


def test_random_words_are_as_many_as_asked_for_and_differ():
    for count in (0, 1, 2, 7):
        words = random_words(jax.random.key(3), count)
        assert words.shape == (count,) and words.dtype == jnp.uint32
    words = np.asarray(random_words(jax.random.key(3), 4001))
    # 4001 words of 32 bits meet with a chance of 0.2 %; each bit is set half of the time, within 5 deviations.
    assert len(set(words.tolist())) == 4001
    share = (words[:, None] >> np.arange(32, dtype=np.uint32) & 1).mean(0)
    assert np.abs(share - 0.5).max() < 5 * 0.5 / 4001**0.5


choose = jax.jit(distinct_numbers)


def fisher_yates(places, bound):
    """The first swaps of a shuffle of `0 .. bound-1`, with the array."""
    array = list(range(bound))
    for swap, place in enumerate(places):
        array[swap], array[place] = array[place], array[swap]
    return array[: len(places)]


@pytest.mark.parametrize("count", [3, 12])
@few
@given(data=st.data())
def test_distinct_numbers_are_those_of_a_shuffle(count, data):
    rows = data.draw(st.lists(st.tuples(*[words_32_bit] * count), min_size=4, max_size=4))
    bounds = data.draw(
        st.lists(st.one_of(st.integers(count, count + 3), st.integers(count, 2**31 - 1)), min_size=4, max_size=4)
    )
    numbers = choose(jnp.asarray(np.array(rows).T, jnp.uint32), jnp.asarray(bounds, jnp.int32))
    for column, words, bound in zip(np.asarray(numbers).T.tolist(), rows, bounds, strict=True):
        assert len(set(column)) == count and min(column) >= 0 and max(column) < bound
        if bound <= count + 3:
            places = [swap + (word * (bound - swap) >> 32) for swap, word in enumerate(words)]
            assert column == fisher_yates(places, bound)


@pytest.mark.parametrize("count, bound", [(2, 5), (4, 4)])
def test_every_ordered_choice_comes_out_once(count, bound):
    """All places that the words can choose, each once, give all ordered choices, each once."""
    places = itertools.product(*(range(bound - swap) for swap in range(count)))
    words = np.array([[-(-(place << 32) // (bound - swap)) for swap, place in enumerate(row)] for row in places])
    numbers = distinct_numbers(jnp.asarray(words.T, jnp.uint32), jnp.full(len(words), bound, jnp.int32))
    assert sorted(map(tuple, np.asarray(numbers).T.tolist())) == sorted(itertools.permutations(range(bound), count))


def test_ordered_pairs_are_uniform():
    draws = 20_000
    words = random_words(jax.random.key(8), 2 * draws).reshape(2, draws)
    first, second = np.asarray(distinct_numbers(words, jnp.full(draws, 5, jnp.int32)))
    counts = np.bincount(first * 5 + second, minlength=25).reshape(5, 5)
    assert (np.diag(counts) == 0).all()
    assert 1e-4 < stats.chisquare(counts[~np.eye(5, dtype=bool)]).pvalue < 1 - 1e-4


def test_gumbel_numbers_and_hashed_words():
    words = hash_words(jnp.arange(50_000, dtype=jnp.uint32))
    assert len(np.unique(words)) == 50_000
    assert stats.kstest(np.asarray(gumbel(words)), "gumbel_r").pvalue > 1e-4
    # Never infinite, and exact where the largest ones lie.
    ends = np.asarray(gumbel(jnp.array([0, 1, 2**32 - 1], jnp.uint32)), np.float64)
    exact = -np.log(-np.log1p(-(np.array([0.5, 1.5]) / 2**32)))
    np.testing.assert_allclose(ends[:2], exact, rtol=1e-6)
    assert np.isfinite(ends).all() and ends[2] < -2.7
