"""The leading singular vectors, against the dense SVD of NumPy."""

import numpy as np
import pytest

from onebp_jax.errors import UserError
from onebp_jax.ops import spectral


def random_pairs(num_users, num_items, count, seed=0):
    cells = np.random.default_rng(seed).choice(num_users * num_items, count, replace=False)
    return np.stack(np.divmod(cells, num_items), 1).astype(np.int32)


def normalised(pairs, num_users, num_items):
    """`R~`, cell by cell."""
    users, items = np.bincount(pairs[:, 0], minlength=num_users), np.bincount(pairs[:, 1], minlength=num_items)
    dense = np.zeros((num_users, num_items))
    for user, item in pairs:
        dense[user, item] = 1 / np.sqrt(users[user] * items[item])
    return dense


@pytest.mark.parametrize("num_users, num_items", [(40, 25), (25, 40)])
def test_a_block_as_wide_as_the_matrix_finds_it_exactly(num_users, num_items):
    pairs = random_pairs(num_users, num_items, 300)
    _, values, vectors = np.linalg.svd(normalised(pairs, num_users, num_items))
    for rank in (1, 7, 25):
        found, columns = spectral.leading_singular_vectors(pairs, num_users, num_items, rank, iterations=1)
        assert found.dtype == columns.dtype == np.float32 and columns.shape == (num_items, rank)
        np.testing.assert_allclose(found, values[:rank] ** 2, atol=1e-5)
        # Up to their signs.
        np.testing.assert_allclose(abs((columns * vectors[:rank].T).sum(0)), 1, atol=1e-4)


def test_more_iterations_come_nearer(monkeypatch):
    monkeypatch.setattr(spectral, "OVERSAMPLING", 2)
    pairs = random_pairs(150, 120, 2500)
    _, values, vectors = np.linalg.svd(normalised(pairs, 150, 120))
    shares = []
    for iterations in (1, 4, 60):
        found, columns = spectral.leading_singular_vectors(pairs, 150, 120, 5, iterations)
        # The share of the true space that the found one covers; of unit columns, so at most 1.
        shares.append(np.square(vectors[:5] @ columns).sum() / 5)
        np.testing.assert_allclose(columns.T @ columns, np.eye(5), atol=1e-5)
        assert (found <= values[:5] ** 2 + 1e-5).all()
    assert shares[0] < shares[1] - 0.05 and shares[2] > 0.999


def test_users_and_items_without_pairs_change_nothing_and_have_zeros():
    pairs = random_pairs(20, 15, 120)
    found, columns = spectral.leading_singular_vectors(pairs, 20, 15, 4, 30)
    more, apart = spectral.leading_singular_vectors(2 * pairs, 41, 31, 4, 30)
    np.testing.assert_allclose(found, more, atol=1e-5)
    np.testing.assert_array_equal(apart[1::2], 0)
    np.testing.assert_array_equal(apart[30], 0)
    np.testing.assert_allclose(abs((columns * apart[:30:2]).sum(0)), 1, atol=1e-4)


def test_what_the_matrix_does_not_have_is_zero():
    # Four users, two groups: rank 2.
    pairs = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 2], [2, 3], [3, 2], [3, 3]])
    found, columns = spectral.leading_singular_vectors(pairs, 4, 4, 4)
    np.testing.assert_allclose(found, [1, 1, 0, 0], atol=1e-6)
    np.testing.assert_array_equal(columns[:, 2:], 0)
    # In two columns every group has one direction.
    np.testing.assert_allclose(columns @ columns.T, np.kron(np.eye(2), np.full((2, 2), 0.5)), atol=1e-6)


def test_the_seed_decides():
    pairs = random_pairs(200, 180, 3000)
    one, same, other = (spectral.leading_singular_vectors(pairs, 200, 180, 4, 2, seed=seed) for seed in (0, 0, 1))
    for a, b in zip(one, same, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (one[1] != other[1]).any()


def test_a_rank_that_no_such_matrix_has_is_refused():
    with pytest.raises(UserError, match="^rank=13: expected at most 12, because 12 users and 40 items have no more"):
        spectral.leading_singular_vectors(random_pairs(12, 40, 90), 12, 40, 13)
    with pytest.raises(ValueError, match="iterations must be a positive whole number, got 0"):
        spectral.leading_singular_vectors(random_pairs(12, 40, 90), 12, 40, 3, 0)
