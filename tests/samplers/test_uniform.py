"""Uniform negatives: the distribution drawn, and that every untouched item has a number."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from support.sampler_cases import batch_of, crowd, interactions

from onebp_jax.samplers import uniform
from onebp_jax.samplers.uniform import untouched_items

few = settings(max_examples=30, deadline=None, derandomize=True)


CROWD, _ = crowd(5)


@pytest.mark.parametrize("num_negatives", [1, 3])
def test_an_empty_batch(num_negatives):
    sampler = uniform(num_negatives)
    negatives, _ = sampler.sample(jax.random.key(0), (), batch_of(np.zeros(0), CROWD), CROWD)
    assert negatives.ids.shape == (0, num_negatives)


# The distribution.


def chi_square(counts, shrink=1.0):
    """How likely so uneven counts are if all cells have the same chance; `shrink` scales their variance."""
    expected = counts.sum() / len(counts)
    return stats.chi2.sf(((counts - expected) ** 2).sum() / expected / shrink, len(counts) - 1)


# Up to 8 negatives the shuffle is unrolled, from 9 on it is a loop.
@pytest.mark.parametrize("num_negatives", [1, 5, 9, 50])
def test_draws_are_distinct_untouched_and_uniform(num_negatives):
    data, touched = crowd(num_negatives)
    rows = 3000
    batch = batch_of(np.repeat(np.arange(data.num_users + 1), rows), data)
    sampler = uniform(num_negatives)
    sampler.check(data)
    ids = np.asarray(jax.jit(sampler.sample)(jax.random.key(20), (), batch, data)[0].ids)
    assert ids.shape == (len(batch.user_ids), num_negatives)
    *drawn, padded = ids.reshape(-1, rows, num_negatives)
    assert (padded == data.num_items).all()
    chances = []
    for user, own in enumerate(drawn):
        untouched = sorted(set(range(data.num_items)) - touched[user])
        assert np.isin(own, untouched).all(), f"user {user} was given a touched item"
        ordered = np.sort(own, axis=1)
        assert (ordered[:, 1:] > ordered[:, :-1]).all(), f"user {user} was given an item twice in one row"
        if len(untouched) == num_negatives:
            np.testing.assert_array_equal(ordered, [untouched] * rows)
        # Distinct draws vary less than independent ones, by this factor; a column alone is independent.
        if len(untouched) > num_negatives:
            shrink = (len(untouched) - num_negatives) / (len(untouched) - 1)
            chances.append(chi_square(np.bincount(own.ravel(), minlength=data.num_items)[untouched], shrink))
        if len(untouched) > 1:
            columns = [np.bincount(column, minlength=data.num_items)[untouched] for column in own.T]
            chances += [chi_square(counts) for counts in columns]
    # Neither too uneven nor too even, for as many tests as there are.
    assert len(chances) >= 5 * num_negatives
    assert min(chances) > 1e-3 / len(chances) and max(chances) < 1 - 1e-3 / len(chances)


def test_rows_of_one_user_differ_from_row_to_row_and_from_step_to_step():
    batch = batch_of([0] * 64, CROWD)
    sample = jax.jit(uniform(5).sample)
    rows = [np.asarray(sample(jax.random.key(seed), (), batch, CROWD)[0].ids) for seed in (0, 1)]
    # Two rows of 5 ordered draws out of 23 are equal once in four million.
    assert len({tuple(row) for row in np.concatenate(rows)}) == 128


# Where too few items are left.


def test_users_with_too_few_untouched_items_are_counted():
    data = interactions([{0}, {0, 1, 2, 4}, {1, 2}], 6)
    uniform(2).check(data)
    with pytest.raises(ValueError, match=r"num_negatives=3, .*one only 2 of 6: .* at most 2"):
        uniform(3).check(data)
    with pytest.raises(ValueError, match="one only 0 of 3: drop such users"):
        uniform(1).check(interactions([{0, 1, 2}], 3))


@pytest.mark.parametrize("num_negatives", [0, -1, 1.5])
def test_a_bad_number_of_negatives_is_refused(num_negatives):
    with pytest.raises(ValueError, match=f"num_negatives must be a positive whole number, got {num_negatives}"):
        uniform(num_negatives)


# Numbers become items.


items_of = jax.jit(untouched_items)


@few
@given(touched=st.lists(st.sets(st.integers(0, 11), max_size=11), min_size=4, max_size=4).filter(any))
def test_every_untouched_item_has_its_number(touched):
    data = interactions(touched, 12)
    # Filled up to one shape for all, with what no user may read.
    rest = 48 - data.num_pairs
    data = data.replace(sorted_items=jnp.pad(data.sorted_items, (0, rest)), max_row=12, user_ids=None, item_ids=None)
    rows = [sorted(set(range(12)) - own) for own in touched]
    numbers = jnp.array([[min(number, len(row) - 1) for row in rows] for number in range(12)])
    items = np.asarray(items_of(numbers, jnp.arange(4), data))
    assert [items[: len(row), user].tolist() for user, row in enumerate(rows)] == rows
