"""New items as negatives: never drawn from the end of the catalogue, negative_mask elsewhere, and nothing else changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onebp_jax.data.device import one_pair_a_user, to_device
from onebp_jax.samplers import exclude_cold_items, shared, uniform
from onebp_jax.types import Batch, Negatives

# Items 1 and all from 5 on are new; user 0 touched two items.
PAIRS = np.array([[0, 0], [0, 2], [1, 3], [2, 4]])
DATA = to_device(PAIRS, 3, 1000)
SEEN = to_device(PAIRS, 3, 5)
NEW = np.array([False, True, False, False, False])
BATCH = Batch(jnp.array([0, 1, 2, 3]), jnp.array([2, 3, 4, 1000]))


@pytest.mark.parametrize("inner", [uniform(2), shared(5), shared(5, hide_touched=True), shared(5, alpha=0.5)])
def test_draws_are_those_of_a_catalogue_that_ends_with_the_last_seen_item(inner):
    sampler, key = exclude_cold_items(inner), jax.random.key(3)
    plain, _ = inner.sample(key, inner.init(SEEN), BATCH, SEEN)
    negatives, _ = sampler.sample(key, sampler.init(DATA), BATCH, DATA)
    ids = np.asarray(negatives.ids)
    if ids.ndim == 2:
        assert (ids[3] == 1000).all(), "negatives of a padded row"
        ids = ids[:3]
    np.testing.assert_array_equal(ids, np.asarray(plain.ids)[: len(ids)])
    for row in range(3):
        of_row = ids[row] if ids.ndim == 2 else ids
        before = np.zeros(len(of_row), bool) if plain.negative_mask is None else np.asarray(plain.negative_mask)[row]
        np.testing.assert_array_equal(negatives.negative_mask[row], NEW[of_row] | before)


def test_a_new_item_among_the_seen_is_drawn_and_hidden():
    sampler = exclude_cold_items(uniform(3))
    ids, negative_mask = [], []
    for seed in range(20):
        negatives, _ = sampler.sample(jax.random.key(seed), sampler.init(DATA), BATCH, DATA)
        ids.append(negatives.ids[:3])
        negative_mask.append(negatives.negative_mask[:3])
    assert (np.array(ids) == 1).any()
    np.testing.assert_array_equal(negative_mask, np.array(ids) == 1)


def test_a_catalogue_without_enough_seen_items_is_refused():
    with pytest.raises(ValueError, match="one only 3 of 5"):
        exclude_cold_items(uniform(4)).check(DATA)


def test_negatives_that_are_vectors_stay():
    vectors = jnp.ones((2, 3))
    inner = uniform(1)._replace(
        init=lambda data, view: (), sample=lambda *_: (Negatives(jnp.array([1, 4]), vectors=vectors), ())
    )
    sampler = exclude_cold_items(inner)
    negatives, _ = sampler.sample(jax.random.key(0), sampler.init(DATA), BATCH, DATA)
    np.testing.assert_array_equal(negatives.negative_mask, [[True, False, False, False]] * 4)


def test_an_epoch_of_users_knows_the_same_items():
    """There the pairs are one a user; item 2 is still one that user 0 touched."""
    sampler = exclude_cold_items(uniform(1))
    np.testing.assert_array_equal(sampler.init(one_pair_a_user(DATA))[0], NEW)
