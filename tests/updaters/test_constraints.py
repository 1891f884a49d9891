"""Rows kept in the ball or on the sphere, and the slow copies of `with_target`."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from onebp_jax.types import Signal
from onebp_jax.updaters import adam, ball, constrained, gradient, moving_average, rowwise, sphere, with_target

ROWS, DIM = 6, 3


def values(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def signal_of(*shape):
    return Signal(jnp.array([2, 0, 2, ROWS, 5]), jnp.asarray(values(2, 5, *shape)), None)


def lengths(table):
    return np.linalg.norm(np.asarray(table, np.float64), axis=-1)


@pytest.mark.parametrize("shape", [(DIM,), (2, DIM)])
def test_after_a_step_all_rows_are_inside(shape):
    table = jnp.asarray(values(1, ROWS, *shape)) * 0.5
    sgd = gradient(optax.sgd(1.0))
    free, _ = sgd.update(signal_of(*shape), sgd.init(table), table)
    for project, radius in ((ball(), 1.0), (sphere(0.5), 0.5)):
        updater = constrained(sgd, project)
        new, _ = updater.update(signal_of(*shape), updater.init(table), table)
        assert lengths(free).min() < 1 < lengths(free).max()
        expected = np.asarray(free) * (radius / lengths(free))[..., None]
        if radius == 1.0:
            expected = np.where(lengths(free)[..., None] > 1, expected, free)
        np.testing.assert_allclose(new, expected, rtol=1e-6)
        assert lengths(new).max() <= radius * (1 + 3e-7)


def test_the_ball_keeps_the_bits_of_what_is_inside():
    rows = jnp.asarray(values(1, 50, DIM)) * 0.6
    new = np.asarray(ball()(rows))
    inside = lengths(rows) < 1
    assert 5 < inside.sum() < 45
    np.testing.assert_array_equal(new[inside], np.asarray(rows)[inside])
    np.testing.assert_allclose(lengths(new[~inside]), 1, rtol=1e-6)


def test_a_row_of_zeros_stays_one():
    for project in (ball(), sphere()):
        np.testing.assert_array_equal(project(jnp.zeros((2, DIM))), np.zeros((2, DIM)))


def test_touched_rows_are_enough_where_all_begin_inside():
    table = ball()(jnp.asarray(values(1, ROWS, DIM)))
    every, some = (constrained(rowwise(adam(0.5)), ball(), rows) for rows in ("all", "touched"))
    one, two = (updater.update(signal_of(DIM), updater.init(table), table)[0] for updater in (every, some))
    np.testing.assert_allclose(one, two, rtol=1e-6)
    # A row outside that is not touched stays outside with the one, and not with the other.
    outside = table.at[3].set(5.0)
    one, two = (updater.update(signal_of(DIM), updater.init(outside), outside)[0] for updater in (every, some))
    assert lengths(one)[3] < 1.001 and lengths(two)[3] > 8


def test_bad_constraints_are_refused():
    with pytest.raises(ValueError, match="rows must be one of all, touched, got 'some'"):
        constrained(moving_average(0.9), ball(), "some")
    for project in (ball, sphere):
        with pytest.raises(ValueError, match="radius must be a positive number, got 0"):
            project(0)


# The slow copy.


def test_ex_buir_target():
    table = jnp.array([[[1.0, 0.0], [1.0, 1.0]]])
    still = with_target(gradient(optax.sgd(0.0)), 0.995)
    new, _ = still.update(Signal(jnp.array([0]), jnp.ones((1, 2, 2)), None), still.init(table), table)
    np.testing.assert_allclose(new, [[[1.0, 0.0], [1.0, 0.995]]], rtol=1e-6)


@pytest.mark.parametrize("rho", [0.0, 0.75, 1.0])
def test_the_online_vectors_are_the_inner_updaters_and_all_copies_follow(rho):
    table, inner = jnp.asarray(values(1, ROWS, 2, DIM)), gradient(adam(0.1, 0.01))
    updater = with_target(inner, rho)
    state, own = updater.init(table), inner.init(table[:, 0])
    online, slow = table[:, 0], np.asarray(table[:, 1])
    for _ in range(2):
        signal = signal_of(2, DIM)
        table, state = updater.update(signal, state, table)
        online, own = inner.update(signal._replace(grads=signal.grads[:, 0]), own, online)
        slow = rho * slow + (1 - rho) * np.asarray(online)
        np.testing.assert_array_equal(table[:, 0], online)
        np.testing.assert_allclose(table[:, 1], slow, rtol=1e-6, atol=1e-7)
    assert updater.reads == ("grads",)


def test_a_bad_rho_is_refused():
    with pytest.raises(ValueError, match="rho must be between 0 and 1, got 1.5"):
        with_target(moving_average(0.9), 1.5)
