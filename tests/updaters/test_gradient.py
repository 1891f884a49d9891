"""Dense gradient updates: repeated ids are summed, every row passes through the optimiser, decay is coupled."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import oracle

from onebp_jax.types import Signal
from onebp_jax.updaters import adam, gradient

ROWS, DIM = 6, 3


def signal_of(ids, grads):
    return Signal(jnp.asarray(ids, jnp.int32), jnp.asarray(grads, jnp.float32), None)


def random_table(seed, rows=ROWS):
    return np.random.default_rng(seed).normal(size=(rows, DIM)).astype(np.float32)


def test_repeated_ids_are_summed_and_padding_is_dropped():
    table, grads = random_table(1), random_table(2, 5)
    updater = gradient(optax.sgd(1.0))
    new, _ = updater.update(signal_of([2, 0, 2, ROWS, 2], grads), updater.init(table), jnp.asarray(table))
    expected = table.copy()
    expected[2] -= grads[0] + grads[2] + grads[4]
    expected[0] -= grads[1]
    np.testing.assert_allclose(new, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(np.delete(new, [0, 2], 0), np.delete(table, [0, 2], 0))


def dense(ids, grads):
    """The gradient of the whole table in float64."""
    total = np.zeros((ROWS, DIM))
    for row, grad in zip(ids, grads, strict=True):
        total[row] += grad
    return total


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_adam_agrees_with_the_oracle_over_several_steps(l2):
    table, reference, by_hand = jnp.asarray(random_table(1)), random_table(1).astype(np.float64), oracle.Adam(0.01, l2)
    updater = gradient(adam(0.01, l2))
    state = updater.init(table)
    for seed, ids in enumerate(([0, 1, 1, 4], [4, 4, 4, 2], [0, 0, 1, 2], [3, 4, 0, 0])):
        grads = random_table(10 + seed, 4)
        table, state = updater.update(signal_of(ids, grads), state, table)
        reference = by_hand(reference, dense(ids, grads))
        assert np.abs(table - reference).max() < 1e-6 * np.abs(reference).max()


def test_decay_is_coupled_and_dense():
    """A row in no batch moves by the whole rate at the first step: Adam rescales its only gradient, the decay."""
    table = jnp.full((ROWS, DIM), 0.5)
    updater = gradient(adam(0.01, 0.1))
    new, _ = updater.update(signal_of([0], np.ones((1, DIM))), updater.init(table), table)
    np.testing.assert_allclose(new, np.full((ROWS, DIM), 0.49), rtol=0, atol=1e-6)


def test_old_momentum_moves_a_row_that_is_absent():
    table = jnp.asarray(random_table(1))
    updater = gradient(adam(0.01))
    once, state = updater.update(signal_of([0], np.ones((1, DIM))), updater.init(table), table)
    twice, _ = updater.update(signal_of([1], np.ones((1, DIM))), state, once)
    assert (np.asarray(twice[0]) < np.asarray(once[0])).all()
    np.testing.assert_array_equal(twice[2:], table[2:])


def test_the_optimiser_is_any_optax_transformation_and_gets_extra_arguments():
    def update(updates, state, params, *, scale=1.0, **extra):
        del params, extra
        return -scale * updates, state

    updater = gradient(optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update))
    table, signal = jnp.zeros((ROWS, DIM)), signal_of([1], np.ones((1, DIM)))
    for extra, expected in (({}, -1.0), ({"scale": 3.0}, -3.0)):
        new, _ = updater.update(signal, updater.init(table), table, **extra)
        np.testing.assert_array_equal(new[1], np.full(DIM, expected, np.float32))


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_bad_learning_rate_is_refused(rate):
    with pytest.raises(ValueError, match=f"learning_rate must be a positive number, got {rate}"):
        adam(rate)


@pytest.mark.parametrize("l2", [-0.1, float("nan"), float("inf")])
def test_a_bad_decay_is_refused(l2):
    with pytest.raises(ValueError, match=f"l2 must be zero or a positive number, got {l2}"):
        adam(0.1, l2)
