"""The two optimisers with one second moment per row: against NumPy loops, and the size of their state."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from onebp_jax.types import Signal
from onebp_jax.updaters import TRANSFORMS, cosine_decay, gradient, rowwise

ROWS, DIM, COUNT, RATE = 6, 4, 9, 0.05
every_way = pytest.mark.parametrize("make", [gradient, rowwise])


def row_adagrad(table, steps, l2, lazy):
    """The table after each of `steps` of (ids, gradients), row by row in float64."""
    total = np.zeros(ROWS)
    for ids, grads in steps:
        for row in set(ids) if lazy else range(ROWS):
            slope = grads[ids == row].sum(0) + l2 * table[row]
            total[row] += (slope**2).mean()
            table[row] -= RATE * slope / (np.sqrt(total[row]) + 1e-8)
        yield table


def row_adam(table, steps, l2, lazy):
    first, second = np.zeros((ROWS, DIM)), np.zeros(ROWS)
    for step, (ids, grads) in enumerate(steps, start=1):
        for row in set(ids) if lazy else range(ROWS):
            slope = grads[ids == row].sum(0) + l2 * table[row]
            first[row] = 0.9 * first[row] + 0.1 * slope
            second[row] = 0.999 * second[row] + 0.001 * (slope**2).mean()
            deviation = np.sqrt(second[row] / (1 - 0.999**step))
            table[row] -= RATE * first[row] / (1 - 0.9**step) / (deviation + 1e-8)
        yield table


@every_way
@pytest.mark.parametrize("by_hand", [row_adagrad, row_adam])
@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_it_agrees_with_the_oracle_over_several_steps(make, by_hand, l2):
    random = np.random.default_rng(0)
    # The last row is in no batch, and a row without a gradient keeps a moment of zero.
    steps = [(random.integers(0, ROWS - 1, COUNT), random.normal(size=(COUNT, DIM))) for _ in range(5)]
    steps = [(ids, grads.astype(np.float32).astype(np.float64)) for ids, grads in steps]
    table = jnp.asarray(random.normal(size=(ROWS, DIM)), jnp.float32)
    updater = make(TRANSFORMS[by_hand.__name__](RATE, l2))
    state, start = updater.init(table), table
    update = jax.jit(updater.update)
    reference = by_hand(np.asarray(table, np.float64), steps, l2, lazy=make is rowwise)
    for (ids, grads), expected in zip(steps, reference, strict=True):
        table, state = update(Signal(jnp.asarray(ids), jnp.asarray(grads, jnp.float32), None), state, table)
        assert np.abs(table - expected).max() < 1e-6 * np.abs(expected).max()
    assert (np.asarray(table[-1]) != start[-1]).all() == (make is gradient and l2 > 0)


@pytest.mark.parametrize(
    "name, numbers", [("row_adagrad", 1), ("row_adam", DIM + 1), ("adagrad", DIM), ("adam", 2 * DIM)]
)
def test_how_many_numbers_a_row_are_remembered(name, numbers):
    small, large = (
        sum(leaf.size for leaf in jax.tree.leaves(gradient(TRANSFORMS[name](RATE)).init(jnp.ones((rows, DIM)))))
        for rows in (ROWS, ROWS + 1)
    )
    assert large - small == numbers


@pytest.mark.parametrize(
    "name, theirs",
    [
        ("adamw", optax.adamw(RATE, weight_decay=0.1)),
        ("lion", optax.lion(RATE, weight_decay=0.1)),
        ("sgd", optax.chain(optax.add_decayed_weights(0.1), optax.sgd(RATE))),
        ("momentum", optax.chain(optax.add_decayed_weights(0.1), optax.sgd(RATE, momentum=0.9))),
        ("rmsprop", optax.chain(optax.add_decayed_weights(0.1), optax.rmsprop(RATE))),
        ("adagrad", optax.chain(optax.add_decayed_weights(0.1), optax.adagrad(RATE))),
        ("adam", optax.chain(optax.add_decayed_weights(0.1), optax.adam(RATE))),
    ],
)
def test_a_name_is_the_transformation_of_that_name(name, theirs):
    table, grads = (np.random.default_rng(seed).normal(size=(ROWS, DIM)).astype(np.float32) for seed in (0, 1))
    results = []
    for tx in (TRANSFORMS[name](RATE, 0.1), theirs):
        state = tx.init(table)
        for sign in (1, -1):
            updates, state = tx.update(sign * grads, state, table)
        results.append(updates)
    np.testing.assert_allclose(*results, rtol=1e-6)


@pytest.mark.parametrize("make", TRANSFORMS.values(), ids=TRANSFORMS)
def test_bad_coefficients_are_refused(make):
    with pytest.raises(ValueError, match="learning_rate must be a positive number, got nan"):
        make(float("nan"))
    with pytest.raises(ValueError, match="l2 must be zero or a positive number, got -1"):
        make(0.1, -1)


@every_way
def test_the_rate_falls_along_a_cosine_to_zero(make):
    updater = make(cosine_decay(optax.sgd(0.1), 4))
    table, moved = jnp.ones((3, 2)), []
    state = updater.init(table)
    for epoch in (0, 1, 2, 3.5, 4, 9, None):
        extra = {} if epoch is None else {"epoch": jnp.float32(epoch)}
        new, state = updater.update(Signal(jnp.array([0, 2]), jnp.ones((2, 2)), None), state, table, **extra)
        moved.append(float(table[0, 0] - new[0, 0]))
        table = new
    shares = [1, 0.853553, 0.5, 0.038060, 0, 0, 1]
    np.testing.assert_allclose(moved, 0.1 * np.array(shares), atol=1e-6)
