"""No negatives, and all items: what is negative_mask is what a user touched, found another way."""

import jax
import jax.numpy as jnp
import numpy as np

from onebp_jax.data.device import to_device
from onebp_jax.samplers import full_catalogue, none
from onebp_jax.samplers.shared import touched
from onebp_jax.types import Batch

# No item, the first, the last, many; the last user's row ends the sorted pairs.
TOUCHED = [set(), {0}, {7}, {1, 2, 3, 5, 6}, {0, 7}]
PAIRS = np.array([(user, item) for user, items in enumerate(TOUCHED) for item in items])
DATA = to_device(PAIRS, len(TOUCHED), 8)
USERS = jnp.array([4, 3, 0, 5, 1, 2, 3])
BATCH = Batch(USERS, jnp.zeros_like(USERS))


def test_none_draws_none():
    negatives, state = none().sample(jax.random.key(0), (), BATCH, DATA)
    assert negatives.ids.shape == (7, 0) and negatives.ids.dtype == jnp.int32
    assert negatives.negative_mask is None and negatives.log_q is None and state == ()


def test_the_whole_catalogue_with_each_users_own_hidden():
    negatives, _ = full_catalogue().sample(jax.random.key(0), (), BATCH, DATA)
    np.testing.assert_array_equal(negatives.ids, np.arange(8))
    for row, user in enumerate(USERS.tolist()):
        # Padding has touched nothing.
        own = TOUCHED[user] if user < len(TOUCHED) else set()
        assert set(np.flatnonzero(negatives.negative_mask[row]).tolist()) == own
    np.testing.assert_array_equal(negatives.negative_mask, touched(USERS, negatives.ids, DATA))
