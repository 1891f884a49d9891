"""Shared negatives: the distribution drawn, its logarithm, and which negatives are negative_mask from which row.

The contract of every sampler is in `test_uniform.py`.
"""

import sys
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from onebp_jax.data.device import to_device
from onebp_jax.samplers import shared
from onebp_jax.samplers.shared import touched
from onebp_jax.types import Batch

# Users with no item, one, some and many; items 0, 7 and 11, the last, are in no pair. Every popularity is another one.
NUM_ITEMS = 12
TOUCHED = [set(), {5}, {1, 2, 3}, {2, 9}, {3, 4, 5, 6, 8}, {1, 2, 3, 4, 5, 6, 8, 9, 10}, {4, 5, 8, 9, 10}, {5, 9, 10}]
PAIRS = np.array([(user, item) for user, items in enumerate(TOUCHED) for item in items])
NUM_USERS = len(TOUCHED)
DATA = to_device(PAIRS, NUM_USERS, NUM_ITEMS)
# Every pair once, and padding.
BATCH = Batch(*(jnp.asarray([*PAIRS[:, tower], size], jnp.int32) for tower, size in ((0, NUM_USERS), (1, NUM_ITEMS))))
INSIDE = slice(len(PAIRS))


def chances(alpha):
    """The exact probability of every item."""
    popularity = np.array([sum(item in items for items in TOUCHED) for item in range(NUM_ITEMS)], np.float64)
    weight = np.where(popularity > 0, popularity**alpha, 0) if alpha else np.ones(NUM_ITEMS)
    return weight / weight.sum()


def draw(count, alpha=0.0, hide_touched=False, seed=0, batch=BATCH):
    sampler = shared(count, alpha, hide_touched)
    return sampler.sample(jax.random.key(seed), sampler.init(DATA), batch, DATA)[0]


@pytest.mark.parametrize("alpha", [0.0, 0.75, 1.0])
def test_items_are_drawn_with_their_probabilities(alpha):
    draws, expected = 40_000, chances(alpha)
    ids = np.asarray(draw(draws, alpha).ids)
    counts, possible = np.bincount(ids, minlength=NUM_ITEMS), expected > 0
    assert possible.sum() == (9 if alpha else NUM_ITEMS) and counts[~possible].sum() == 0
    chance = stats.chisquare(counts[possible], draws * expected[possible]).pvalue
    assert 1e-4 < chance < 1 - 1e-4
    # Another exponent would be told apart from this one.
    if alpha:
        other = chances(1.75 - alpha)[possible]
        assert stats.chisquare(counts[possible], draws * other).pvalue < 1e-4


@pytest.mark.parametrize("alpha", [0.75, 1.0, 2.0])
def test_log_q_is_the_logarithm_of_the_probability(alpha):
    negatives = draw(60, alpha)
    with np.errstate(divide="ignore"):
        expected = np.log(chances(alpha))
    assert set(negatives.ids.tolist()) >= {4, 5, 9, 10}
    np.testing.assert_allclose(negatives.log_q, expected[np.asarray(negatives.ids)], rtol=1e-6)
    np.testing.assert_allclose(negatives.positive_log_q[INSIDE], expected[PAIRS[:, 1]], rtol=1e-6)


def test_drawn_alike_nothing_is_to_correct():
    assert draw(60).log_q is None and draw(60).positive_log_q is None


@pytest.mark.parametrize("alpha", [0.75, 1.0])
def test_every_word_gives_the_item_of_its_share(alpha, monkeypatch):
    """The first and last word of every item, and the ends of all, where items without pairs lie."""
    sampler = shared(1, alpha)
    edges, _ = sampler.init(DATA)
    exact = [round(Fraction(sum(chances(alpha)[: item + 1].tolist())) * 2**32) for item in range(NUM_ITEMS)]
    assert max(abs(int(edge) - own) for edge, own in zip(edges, exact, strict=True)) <= 1
    # Of the words below 2^32 - 1, an item has those from the edge before it up to its own.
    inner = sorted({int(edge) for edge in edges} - {0, 2**32 - 1})
    words = [0, *(edge - 1 for edge in inner), *inner, 2**32 - 2, 2**32 - 1]
    drawable = [item for item in range(NUM_ITEMS) if chances(alpha)[item]]
    expected = [drawable[sum(edge <= word for edge in inner)] for word in words]
    module = sys.modules["onebp_jax.samplers.shared"]
    monkeypatch.setattr(module, "random_words", lambda key, count: jnp.asarray(words, jnp.uint32))
    ids = sampler.sample(jax.random.key(0), sampler.init(DATA), BATCH, DATA)[0].ids
    assert ids.tolist() == expected and set(expected) == set(drawable)


@pytest.mark.parametrize("alpha", [0.0, 0.75])
def test_hidden_are_a_rows_own_positive_and_by_choice_what_its_user_touched(alpha):
    for hide in (False, True):
        negatives = draw(60, alpha, hide)
        negative_mask, ids = np.asarray(negatives.negative_mask), negatives.ids.tolist()
        assert set(ids) >= {1, 5, 9}
        for row, (user, positive) in enumerate(PAIRS.tolist()):
            out = TOUCHED[user] if hide else {positive}
            assert negative_mask[row].tolist() == [item in out for item in ids]
        assert not negative_mask[-1].any()


def test_hiding_changes_no_draw():
    for one, two in zip(draw(60, 0.75)[:3], draw(60, 0.75, True)[:3], strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("seed", range(4))
def test_touched_is_membership(seed):
    """Of any user, and of padding, for any item: rows of every length, and a search that begins at either end."""
    random = np.random.default_rng(seed)
    table = random.random((20, 17)) < np.linspace(0, 1, 20)[:, None]
    data = to_device(random.permutation(np.argwhere(table)), 20, 17)
    found = np.asarray(touched(jnp.arange(21), jnp.arange(18), data))
    np.testing.assert_array_equal(found, np.pad(table, ((0, 1), (0, 1))))
    assert data.max_row == 17


@pytest.mark.parametrize("alpha", [0.0, 0.75])
def test_padding_changes_nothing_for_the_other_rows(alpha):
    alone = draw(60, alpha, True, batch=Batch(*(ids[INSIDE] for ids in BATCH)))
    padded = draw(60, alpha, True)
    for name in ("ids", "log_q"):
        jax.tree.map(np.testing.assert_array_equal, getattr(padded, name), getattr(alone, name))
    for name in ("positive_log_q", "negative_mask"):
        jax.tree.map(
            lambda x, y: np.testing.assert_array_equal(x[INSIDE], y), getattr(padded, name), getattr(alone, name)
        )


def test_the_number_of_a_batchs_rows_changes_no_draw():
    np.testing.assert_array_equal(draw(60).ids, draw(60, batch=Batch(*(ids[:3] for ids in BATCH))).ids)


@pytest.mark.parametrize("num_negatives", [0, -1, 1.5])
def test_a_bad_number_of_negatives_is_refused(num_negatives):
    with pytest.raises(ValueError, match=f"num_negatives must be a positive whole number, got {num_negatives}"):
        shared(num_negatives)


@pytest.mark.parametrize("alpha", [-0.5, float("nan"), float("inf")])
def test_a_bad_exponent_is_refused(alpha):
    with pytest.raises(ValueError, match=f"alpha must be zero or a positive number, got {alpha}"):
        shared(3, alpha)
