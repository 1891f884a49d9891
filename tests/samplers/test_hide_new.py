"""New items as negatives: hidden from every row, and nothing else is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onebp_jax.data.device import one_pair_a_user, to_device
from onebp_jax.samplers import hide_new, shared, uniform
from onebp_jax.types import Batch, Negatives

# Items 1 and 5 are new; user 0 touched two items.
DATA = to_device(np.array([[0, 0], [0, 2], [1, 3], [2, 4]]), 3, 6)
NEW = np.array([False, True, False, False, False, True])
BATCH = Batch(jnp.array([0, 1, 2, 3]), jnp.array([2, 3, 4, 6]))


@pytest.mark.parametrize("inner", [uniform(4), shared(5), shared(5, hide_touched=True)])
def test_new_items_are_hidden_and_the_draw_stays(inner):
    sampler, key = hide_new(inner), jax.random.key(3)
    plain, _ = inner.sample(key, inner.init(DATA), BATCH, DATA)
    negatives, _ = sampler.sample(key, sampler.init(DATA), BATCH, DATA)
    np.testing.assert_array_equal(negatives.ids, plain.ids)
    assert NEW[np.asarray(negatives.ids)[:3] if negatives.ids.ndim == 2 else negatives.ids].any()
    for row in range(3):
        ids = np.asarray(negatives.ids)[row] if negatives.ids.ndim == 2 else np.asarray(negatives.ids)
        before = np.zeros(len(ids), bool) if plain.hidden is None else np.asarray(plain.hidden)[row]
        np.testing.assert_array_equal(negatives.hidden[row], NEW[ids] | before)


def test_negatives_that_are_vectors_stay():
    vectors = jnp.ones((2, 3))
    inner = uniform(1)._replace(
        init=lambda data, view: (), sample=lambda *_: (Negatives(jnp.array([1, 4]), vectors=vectors), ())
    )
    sampler = hide_new(inner)
    negatives, _ = sampler.sample(jax.random.key(0), sampler.init(DATA), BATCH, DATA)
    np.testing.assert_array_equal(negatives.hidden, [[True, False, False, False]] * 4)


def test_an_epoch_of_users_knows_the_same_items():
    """There the pairs are one a user; item 2 is still one that user 0 touched."""
    sampler = hide_new(uniform(1))
    np.testing.assert_array_equal(sampler.init(one_pair_a_user(DATA))[0], NEW)
