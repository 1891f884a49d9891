"""Penalties on whole tables: worked numbers, loops, and that `gradient` follows their slope in rows of no batch."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from onebp_jax.types import Signal
from onebp_jax.updaters import covariance, dcrs, gradient

X = np.array([[0.5, 0.1], [-0.2, 0.4], [0.3, -0.6], [0.0, 0.2]])
SEVERAL = np.array([[[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]])


def test_ex_cml_cov():
    assert float(covariance(1.0, "signed")(jnp.asarray(X))) == pytest.approx(-0.1125, abs=1e-6)
    assert float(covariance(2.0)(jnp.asarray(X))) == pytest.approx(2 * 0.006328, abs=1e-6)


def test_ex_dpcml_diversity():
    assert float(dcrs(1.0, 0.05, 0.25)(jnp.asarray(SEVERAL))) == pytest.approx(0.544444, abs=1e-6)
    assert float(dcrs(3.0, 0.05, 0.25, "paper")(jnp.asarray(SEVERAL))) == pytest.approx(0.85, abs=1e-6)


@pytest.mark.parametrize("form", ["code", "paper"])
def test_diversity_is_the_mean_over_users(form):
    table = np.random.default_rng(0).normal(size=(5, 3, 2)) * 0.3
    total = 0.0
    outside = lambda value: max(0, 0.2 - value) + max(0, value - 0.5)
    for user in table:
        squares = [[((a - b) ** 2).sum() for b in user] for a in user]
        if form == "paper":
            total += outside(np.sum(squares) / (2 * 3 * 2)) / 5
        else:
            total += sum(outside(squares[a][b]) for a in range(3) for b in range(3) if a != b) / (5 * 9)
    assert float(dcrs(1.0, 0.2, 0.5, form)(jnp.asarray(table, jnp.float32))) == pytest.approx(total, rel=1e-5)


def test_one_vector_a_user_has_no_diversity_to_control():
    table = jnp.ones((4, 1, 2))
    value, slope = jax.value_and_grad(dcrs(1.0, 0.1, 0.2))(table)
    assert value == 0 and not np.asarray(slope).any()


def test_gradient_adds_the_slope_of_the_whole_table():
    table, grads = jnp.asarray(X, jnp.float32), jnp.ones((2, 2))
    signal = Signal(jnp.array([1, 4]), grads, None)
    updater = gradient(optax.sgd(1.0), covariance(3.0))
    new, _ = updater.update(signal, updater.init(table), table)
    slope = np.zeros((4, 2))
    for place in np.ndindex(4, 2):
        ends = []
        for shift in (1e-5, -1e-5):
            moved = X.copy()
            moved[place] += shift
            centred = moved - moved.mean(0)
            ends.append(3.0 * 2 * (centred[:, 0] @ centred[:, 1] / 4) ** 2)
        slope[place] = (ends[0] - ends[1]) / 2e-5
    slope[1] += 1
    np.testing.assert_allclose(new, X - slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: dcrs(-1.0, 0.1, 0.2), "weight must be zero or a positive number, got -1.0"),
        (lambda: dcrs(1.0, 0.3, 0.2), "thresholds must be 0 <= low <= high, got low=0.3, high=0.2"),
        (lambda: dcrs(1.0, 0.1, 0.2, "other"), "form must be one of code, paper, got 'other'"),
        (lambda: dcrs(1.0, 0.1, 0.2)(jnp.ones((3, 2))), r"dcrs needs several vectors per user, \[M, K, d\]"),
        (lambda: covariance(1.0, "norm"), "form must be one of squared, signed, got 'norm'"),
    ],
)
def test_wrong_arguments_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
