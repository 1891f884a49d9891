"""Rounding by chance into bfloat16: one of the two neighbours, right on average, and small steps that add up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onebp_jax.types import Signal
from onebp_jax.updaters import moving_average
from onebp_jax.updaters.rounding import to_storage

KEY = jax.random.key(3)
# Of both signs, from the smallest normal numbers to the largest.
SOME = np.array([1 / 3, -1 / 3, 0.1, 1.0039, -77.77, 1e-5, -3e30, 2e-38, 255.99, 1.001], np.float32)


def neighbours(numbers):
    """The nearest bfloat16 towards zero, the next away from zero, and the chance of that one."""
    bits = numbers.view(np.uint32)
    low, high = (((bits >> 16) + more << 16).view(np.float32) for more in (0, 1))
    return low, high, (bits & 0xFFFF) / 2**16


def share_away(rounded, numbers):
    """How often each number (a column) was rounded away from zero; it is checked that nothing but a neighbour came out."""
    low, high, _ = neighbours(numbers)
    rounded = np.asarray(rounded, np.float32)
    assert ((rounded == low) | (rounded == high)).all()
    return (rounded == high).mean(0)


@pytest.mark.parametrize("over", ["places", "keys"])
def test_the_chance_is_that_which_keeps_the_mean(over):
    draws = 20_000
    if over == "places":
        rounded = to_storage(jnp.broadcast_to(SOME, (draws, len(SOME))), jnp.bfloat16, KEY)
    else:
        keys = jax.random.split(KEY, draws)
        rounded = jax.vmap(lambda key: to_storage(jnp.asarray(SOME), jnp.bfloat16, key))(keys)
    assert rounded.dtype == jnp.bfloat16
    chance = neighbours(SOME)[2]
    assert 0 < chance.min() < 0.2 and 0.9 < chance.max() < 1
    # Five deviations of a share of so many draws.
    assert (np.abs(share_away(rounded, SOME) - chance) < 5 * (chance * (1 - chance) / draws) ** 0.5).all()


def test_other_keys_and_other_places_round_otherwise():
    rows = jnp.full((100, 7), 1 / 3)
    one, again, other = (np.asarray(to_storage(rows, jnp.bfloat16, key)) for key in (KEY, KEY, jax.random.key(4)))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any() and len({row.tobytes() for row in one}) > 50


def test_what_bfloat16_holds_stays_as_it_is():
    exact = np.concatenate([neighbours(SOME)[0], [0.0, -0.0, np.inf, -np.inf, 1.0]]).astype(np.float32)
    rounded = to_storage(jnp.broadcast_to(exact, (1000, len(exact))), jnp.bfloat16, KEY)
    np.testing.assert_array_equal(np.asarray(rounded, np.float32).view(np.uint32), [exact.view(np.uint32)] * 1000)


def test_no_nan_becomes_a_number():
    """All ones but the sign would carry over into it, and a NaN of low bits alone lose them."""
    bits = np.array([0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0xFF800001, 0x7FC00000], np.uint32)
    rounded = to_storage(jnp.broadcast_to(bits.view(np.float32), (100, len(bits))), jnp.bfloat16, KEY)
    assert np.isnan(np.asarray(rounded, np.float32)).all()


def test_without_a_key_it_is_the_nearest():
    low, high, chance = neighbours(SOME)
    assert (chance != 0.5).all()
    np.testing.assert_array_equal(
        np.asarray(to_storage(SOME, jnp.bfloat16), np.float32), np.where(chance < 0.5, low, high)
    )


@pytest.mark.parametrize("key", [None, KEY])
def test_float32_is_left_alone(key):
    rows = to_storage(jnp.asarray(SOME), jnp.float32, key)
    assert rows.dtype == jnp.float32
    np.testing.assert_array_equal(rows, SOME)


@pytest.mark.parametrize("with_key", [True, False])
def test_small_moves_of_an_average_add_up(with_key):
    """Each is an eighth of the space between two numbers, or less: rounded to the nearest, none of them would happen."""
    rows, dim, steps, beta = 64, 64, 300, 0.999
    updater = moving_average(beta)
    signal = Signal(jnp.arange(rows), None, jnp.ones((rows, dim)))
    start = jnp.full((rows, dim), 0.5, jnp.bfloat16)

    def move(carry, step):
        table, state = carry
        extra = {"key": jax.random.fold_in(KEY, step)} if with_key else {}
        return updater.update(signal, state, table, **extra), None

    (table, _), _ = jax.lax.scan(move, (start, updater.init(start)), jnp.arange(steps))
    assert table.dtype == jnp.bfloat16
    if not with_key:
        np.testing.assert_array_equal(table, start)
        return
    # One rounding has a deviation of half a space (2^-8 below 1) at most; five deviations of the mean over the table.
    bound = 5 * 2**-9 * (steps / (rows * dim)) ** 0.5
    expected = 1 - 0.5 * beta**steps
    assert abs(np.asarray(table, np.float64).mean() - expected) < bound < 0.1 * (expected - 0.5)
