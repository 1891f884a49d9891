"""Rows in closed form, against the equations solved row by row in float64."""

import jax.numpy as jnp
import numpy as np
import pytest

from onebp_jax.ops import least_squares


def slow(rows, partners, partner, penalties, alpha):
    """Row by row, in the coordinates of the table."""
    table, gram = np.zeros((len(penalties), partner.shape[1])), alpha * partner.T @ partner
    for row, penalty in enumerate(penalties):
        x = partner[partners[rows == row]]
        table[row] = np.linalg.solve(x.T @ x + gram + penalty * np.eye(partner.shape[1]), x.sum(0))
    return table


def random_case(num_rows, num_partners, dim, most):
    random = np.random.default_rng(0)
    counts = random.integers(0, most + 1, num_rows)
    counts[:3] = 0, most, 1
    pairs = [(row, other) for row, n in enumerate(counts) for other in random.choice(num_partners, n, replace=False)]
    rows, partners = random.permutation(pairs).T
    partner = random.normal(size=(num_partners, dim)) / np.sqrt(dim)
    return rows, partners, partner, random.uniform(0.5, 3, num_rows)


# Small blocks and strips: several blocks a bucket, several strips a row.
@pytest.mark.parametrize("block, strip", [(2**22, 1024), (2**9, 8)])
@pytest.mark.parametrize("dim, most", [(20, 15), (5, 60), (24, 60)])
def test_rows_solve_their_equations(dim, most, block, strip, monkeypatch):
    for name, value in (("BLOCK", block), ("STRIP", strip), ("SHORTEST", 8)):
        monkeypatch.setattr(least_squares, name, value)
    least_squares._solve_bucket.clear_cache()
    rows, partners, partner, penalties = random_case(50, 90, dim, most)
    parts = least_squares.buckets(rows, partners, 50, dim)
    assert sum(int((part.lengths > 0).sum()) for part in parts) == len(np.unique(rows))
    as_given = jnp.asarray(partner, jnp.float32), jnp.asarray(penalties, jnp.float32)
    found = least_squares.solve(parts, *as_given, 0.3)
    np.testing.assert_allclose(found, slow(rows, partners, partner, penalties, 0.3), atol=2e-5)
    np.testing.assert_array_equal(found[0], 0)
    least_squares._solve_bucket.clear_cache()


def test_partner_rows_of_a_lower_rank_are_no_trouble():
    rows, partners, partner, penalties = random_case(30, 40, 12, 10)
    partner[:, 6:] = 0
    found = least_squares.solve(
        least_squares.buckets(rows, partners, 30, 12), jnp.asarray(partner, jnp.float32), jnp.asarray(penalties), 0.3
    )
    np.testing.assert_allclose(found, slow(rows, partners, partner, penalties, 0.3), atol=2e-5)
    np.testing.assert_allclose(found[:, 6:], 0, atol=1e-6)
