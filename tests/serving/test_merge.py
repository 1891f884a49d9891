"""Merged lists of a user's several vectors equal the list by the best score over these vectors."""

import jax.numpy as jnp
import numpy as np
import pytest

from onebp_jax.evaluation import plan, top_k
from onebp_jax.serving import merge

USERS, SEVERAL, ITEMS, DIM = 7, 3, 20, 2


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("hidden", [False, True])
def test_merged_lists_are_those_of_all_vectors_together(seed, hidden):
    """With small whole numbers, many items are in several lists and many scores tie."""
    random = np.random.default_rng(seed)
    user = random.integers(-2, 3, (USERS, SEVERAL, DIM)).astype(np.float32)
    item = random.integers(-2, 3, (ITEMS, DIM)).astype(np.float32)
    # Some users have fewer than 5 items left, one has none.
    share = np.linspace(0.5, 1, USERS)[:, None] if hidden else np.zeros((USERS, 1))
    seen = np.argwhere(random.random((USERS, ITEMS)) < share)
    expected = top_k(user, item, plan(USERS, ITEMS, seen), 5)
    rows, items = seen.T
    each = np.concatenate([np.stack([rows * SEVERAL + k, items], 1) for k in range(SEVERAL)])
    layout = plan(USERS * SEVERAL, ITEMS, each)
    lists = [values.reshape(USERS, SEVERAL, 5) for values in top_k(user.reshape(-1, DIM), item, layout, 5)]
    for one, two in zip(merge(*lists, 5), expected, strict=True):
        np.testing.assert_array_equal(one, two)
    for one, two in zip(merge(*lists, 2), expected, strict=True):
        np.testing.assert_array_equal(one, two[:, :2])


def test_each_item_once_at_its_best_score():
    scores, ids = jnp.array([[[3.0, 1.0], [4.0, 2.0]]]), jnp.array([[[7, 2], [7, 5]]])
    best, items = merge(scores, ids, 2)
    assert best.tolist() == [[4, 2]] and items.tolist() == [[7, 5]]


@pytest.mark.parametrize("n", [0, 3])
def test_more_than_the_lists_hold_is_refused(n):
    with pytest.raises(ValueError, match=f"n must be from 1 to the length of the lists, 2, got {n}"):
        merge(jnp.zeros((1, 2, 2)), jnp.zeros((1, 2, 2), jnp.int32), n)
