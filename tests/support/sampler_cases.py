"""Users of every kind for the tests of samplers, and models whose vectors are given."""

import jax.numpy as jnp
import numpy as np

from onebp_jax.data.device import to_device
from onebp_jax.losses import infonce
from onebp_jax.ops import geometry
from onebp_jax.types import Batch, ModelView

# Popularities of the worked example with a user who touched items 0 and 2 of 8.
POPULARITY = (30, 20, 15, 10, 10, 8, 5, 2)


def interactions(touched, num_items):
    """Interactions from one set of items a user."""
    pairs = [(user, item) for user, items in enumerate(touched) for item in sorted(items, reverse=True)]
    return to_device(np.array(pairs), len(touched), num_items)


def crowd(num_negatives):
    """Users of all kinds: no item, the first, the last, every other, all but `num_negatives`, all but one more."""
    num_items = 2 * num_negatives + 13
    shuffled = np.random.default_rng(5).permutation(num_items)
    everything = set(range(num_items))
    left = [set(shuffled[: num_negatives + more].tolist()) for more in (0, 1)]
    touched = [set(), {0}, {num_items - 1}, set(range(0, num_items, 2)), everything - left[0], everything - left[1]]
    return interactions(touched, num_items), touched


def worked_example():
    """User 0 touched items 0 and 2, user 31 none; all together give the items their `POPULARITY`."""
    touched, turn = [{0, 2}] + [set() for _ in range(31)], 0
    for item, count in enumerate(POPULARITY):
        for _ in range(count - (item in touched[0])):
            touched[1 + turn % 30].add(item)
            turn += 1
    data = interactions(touched, 8)
    assert tuple(np.bincount(np.asarray(data.sorted_items))) == POPULARITY
    return data


def batch_of(user_ids, data, positive_ids=0):
    """A batch of users, each with the same positive or his own."""
    user_ids = jnp.asarray(user_ids, jnp.int32)
    return Batch(user_ids, jnp.where(user_ids < data.num_users, jnp.asarray(positive_ids, jnp.int32), data.num_items))


def fixed_view(user, item, name="dot"):
    """A model with these vectors; an id out of range reads the last."""
    user, item = jnp.asarray(user, jnp.float32), jnp.asarray(item, jnp.float32)

    def encode(user_ids, item_ids):
        return user.at[user_ids].get(mode="clip"), item.at[item_ids].get(mode="clip")

    return ModelView(encode, lambda user, item: geometry.score(name, user, item))


# The worked example of in-batch negatives: items 0 and 1 have 4 and 1 of 20 pairs; user 5 touched both.
FEW_TOUCHED = [{0, 2}, {0, 3}, {0, 4}, set(range(5, 15)), {2}, {0, 1}, {2}]
FEW = interactions(FEW_TOUCHED, 16)
TWO_USERS, TWO_ITEMS = jnp.eye(2), jnp.array([[0.5, 0.5], [0.0, 1.0]])


def pairs(users, items):
    """A batch."""
    return Batch(jnp.asarray(users, jnp.int32), jnp.asarray(items, jnp.int32))


def mean_loss(negatives, user=TWO_USERS, item=TWO_ITEMS):
    """InfoNCE of vectors with the other vectors of their batch, and those that the negatives bring along."""
    every = item if negatives.vectors is None else jnp.concatenate([item, negatives.vectors])
    extra = {name: getattr(negatives, name) for name in ("log_q", "positive_log_q", "negative_mask")}
    return float(infonce()(user, item, every, **extra).mean())
