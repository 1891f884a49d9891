"""Interactions on the device: correct rows, and an epoch that visits every pair once in an order that looks random."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from onebp_jax.data.device import to_device
from onebp_jax.engine import batches
from onebp_jax.engine.batches import batch_at, batches_at, shuffled, steps_per_epoch
from onebp_jax.ops import random
from onebp_jax.types import Purpose, step_key


def some_pairs(count, num_users=7, num_items=9, seed=0):
    """Distinct pairs in an order of their own."""
    chosen = np.random.default_rng(seed).permutation(num_users * num_items)[:count]
    return np.stack(np.divmod(chosen, num_items), axis=1).astype(np.int32)


# The layout.


@settings(max_examples=30, deadline=None, derandomize=True)
@given(count=st.integers(1, 63), seed=st.integers(0, 999))
def test_a_users_items_lie_together_sorted(count, seed):
    pairs = some_pairs(count, seed=seed)
    data = to_device(pairs, 7, 9)
    starts, items = np.asarray(data.row_starts), np.asarray(data.sorted_items)
    expected = [sorted(item for user, item in pairs.tolist() if user == row) for row in range(7)]
    assert [items[starts[row] : starts[row + 1]].tolist() for row in range(7)] == expected
    np.testing.assert_array_equal(np.stack([data.user_ids, data.item_ids], 1), pairs)
    assert starts.shape == (8,) and starts[0] == 0 and starts[-1] == count
    assert (data.num_users, data.num_items, data.num_pairs) == (7, 9, count)
    assert data.max_row == max(map(len, expected))
    assert all(leaf.dtype == jnp.int32 for leaf in jax.tree.leaves(data))


@pytest.mark.parametrize(
    "pairs, message",
    [
        (np.zeros((0, 2), int), r"expected pairs of shape \[P, 2\] with P > 0, got \(0, 2\)"),
        (np.zeros((3, 3), int), r"got \(3, 3\)"),
        (np.zeros(4, int), r"got \(4,\)"),
        ([[0, 1], [5, 0]], r"ids out of range: users 0\.\.5 of 5, items 0\.\.1 of 4"),
        ([[0, 1], [4, 4]], r"ids out of range: users 0\.\.4 of 5, items 1\.\.4 of 4"),
        ([[0, 1], [-1, 0]], r"ids out of range: users -1\.\.0 of 5"),
        ([[0, -1], [1, 0]], r"ids out of range: .* items -1\.\.0 of 4"),
    ],
)
def test_bad_pairs_are_refused(pairs, message):
    with pytest.raises(ValueError, match=message):
        to_device(pairs, 5, 4)


# The order.


@pytest.fixture
def by_numpy(monkeypatch):
    """`shuffled`, its own source run by NumPy instead of JAX: nothing is compiled, so that many sizes can be tried."""

    def while_loop(condition, body, value):
        while condition(value):
            value = body(value)
        return value

    def bits(key, shape):
        return np.asarray(jax.random.bits(key, shape))

    instead = SimpleNamespace(random=SimpleNamespace(bits=bits), lax=SimpleNamespace(while_loop=while_loop))

    def run(key, positions, size):
        with monkeypatch.context() as patch:
            patch.setattr(batches, "jax", instead)
            patch.setattr(batches, "jnp", np)
            patch.setattr(random, "jnp", np)
            return shuffled(key, positions, size)

    return run


@pytest.mark.parametrize("size", [1, 2, 37, 99_991])
def test_numpy_runs_the_order_as_jax_does(by_numpy, size):
    key, positions = jax.random.key(3), np.arange(size)
    order = shuffled(key, jnp.asarray(positions), size)
    assert order.dtype == jnp.int32
    np.testing.assert_array_equal(order, by_numpy(key, positions, size))


def test_the_order_of_any_size_has_every_pair_once(by_numpy):
    key = jax.random.key(0)
    for size in [*range(1, 301), 4096, 65_535, 65_536, 65_537, 1_000_003]:
        order = by_numpy(key, np.arange(size), size)
        np.testing.assert_array_equal(np.sort(order), np.arange(size), err_msg=f"size {size}")


def test_the_largest_size_does_not_overflow(by_numpy):
    size = 2**31 - 1
    positions = np.concatenate([np.arange(1000), np.arange(size - 1000, size)])
    order = by_numpy(jax.random.key(0), positions, size)
    assert order.min() >= 0 and len(set(order.tolist())) == len(positions)


@pytest.fixture(scope="module")
def epochs():
    """The orders of 600 epochs of 60 pairs, `[epoch, position]`."""
    orders = jax.jit(
        jax.vmap(lambda epoch: shuffled(step_key(jax.random.key(4), Purpose.SHUFFLE, epoch), jnp.arange(60), 60))
    )
    return np.asarray(orders(jnp.arange(600)))


def test_epochs_differ(epochs):
    assert len({tuple(order) for order in epochs.tolist()}) == 600
    # A fixed point has a chance of one in 60 at each place, and so have two epochs that agree there.
    for agreeing in (epochs == np.arange(60), epochs[1:] == epochs[:-1]):
        assert abs(agreeing.sum() - agreeing.size / 60) < 4 * (agreeing.size / 60) ** 0.5


def test_every_pair_comes_at_every_position_equally_often(epochs):
    for width in (1, 6):
        counts = np.zeros((60, 60 // width))
        np.add.at(counts, (epochs, np.arange(60) // width), 1)
        expected = 600 * width / 60
        # An order is a permutation, so that cells vary a little more than independent ones: by 60 / 59.
        statistic = ((counts - expected) ** 2).sum() / expected * 59 / 60
        chance = stats.chi2.sf(statistic, 59 * (60 // width - 1))
        assert 1e-4 < chance < 1 - 1e-4


def test_neighbours_in_the_file_are_neighbours_in_an_epoch_by_chance_only(epochs):
    steps = np.diff(epochs, axis=1)
    for distance in (1, 2, 3, 8, 16):
        for step in (distance, -distance):
            expected = 600 * (60 - distance) / 60
            assert abs((steps == step).sum() - expected) < 4 * expected**0.5


# The batches.

CASES = [
    (50, 16, False, 4),
    (50, 16, True, 3),
    (48, 16, False, 3),
    (7, 16, True, 1),
]


@pytest.mark.parametrize("count, batch_size, drop_last, steps", CASES)
def test_an_epoch_has_every_pair_once(count, batch_size, drop_last, steps):
    assert steps_per_epoch(count, batch_size, drop_last) == steps
    pairs = some_pairs(count)
    data = to_device(pairs, 7, 9)
    batches = jax.jit(jax.vmap(lambda step: batch_at(jax.random.key(1), step, data, batch_size, drop_last)))
    users, items = (np.asarray(column).reshape(2, steps * batch_size) for column in batches(jnp.arange(2 * steps)))
    used = min(count, steps * batch_size)
    assert used == count or drop_last
    seen = []
    for epoch in range(2):
        visited = list(zip(users[epoch, :used].tolist(), items[epoch, :used].tolist(), strict=True))
        assert len(set(visited)) == used and set(visited) <= set(map(tuple, pairs.tolist()))
        assert (users[epoch, used:] == 7).all() and (items[epoch, used:] == 9).all()
        seen.append(visited)
    assert seen[0] != seen[1]


def test_dropping_the_last_batch_leaves_whole_ones_and_the_only_one():
    assert [steps_per_epoch(48, 16, drop_last) for drop_last in (False, True)] == [3, 3]
    assert [steps_per_epoch(7, 16, drop_last) for drop_last in (False, True)] == [1, 1]


def test_a_batch_is_a_function_of_seed_and_step_alone():
    """The same plain, compiled and among others; another with another seed."""
    data = to_device(some_pairs(50), 7, 9)

    def make(seed, step):
        return jnp.stack(batch_at(jax.random.key(seed), step, data, 16))

    together = jax.jit(jax.vmap(make, (None, 0)))(1, jnp.arange(8))
    compiled = jax.jit(make)
    assert compiled(1, 5).dtype == jnp.int32
    for step in range(8):
        np.testing.assert_array_equal(compiled(1, step), together[step])
    with jax.debug_key_reuse(True):
        np.testing.assert_array_equal(make(1, jnp.int32(5)), together[5])
    assert (np.asarray(compiled(2, 5)) != together[5]).any()


def test_batches_that_are_made_together_are_those_made_alone():
    data, key = to_device(some_pairs(50), 7, 9), jax.random.key(2)
    together = batches_at(key, jnp.int32(3), 7, data, 8)
    for number in range(7):
        for one, row in zip(batch_at(key, jnp.int32(3 + number), data, 8), together, strict=True):
            np.testing.assert_array_equal(one, row[number])
