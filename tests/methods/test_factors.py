"""Factorisations without gradients: spectral tables by a dense SVD, iALS by its equations and beside the package implicit."""

import math

import numpy as np
import pytest

from onebp_jax.config import default_config
from onebp_jax.data import generate
from onebp_jax.errors import UserError
from onebp_jax.methods.factors import ials, spectral
from onebp_jax.training.train import train

SHAPES = [(30, 12, 150), (9, 21, 60)]


def random_history(num_users, num_items, count):
    x = np.zeros(num_users * num_items)
    x[np.random.default_rng(0).choice(len(x), count, replace=False)] = 1
    return x.reshape(num_users, num_items)


@pytest.mark.parametrize("dim", [1, 4, 9])
@pytest.mark.parametrize("power, response", [(0.5, 0.0), (0.3, 0.25), (0.0, 1.0)])
@pytest.mark.parametrize("num_users, num_items, count", SHAPES)
def test_scores_are_those_of_the_filter_by_a_dense_svd(num_users, num_items, count, power, response, dim):
    x = random_history(num_users, num_items, count)
    of_users, of_items = x.sum(1, keepdims=True), x.sum(0)
    _, values, vectors = np.linalg.svd(x / np.sqrt(np.maximum(of_users * of_items, 1)))
    low_pass = vectors[:dim].T * values[:dim] ** (2 * response) @ vectors[:dim]
    weights = np.maximum(of_items, 1) ** power
    user, item = spectral(dim, power, response).tables(np.argwhere(x), num_users, num_items)
    assert user.dtype == item.dtype == np.float32 and user.shape[1] == item.shape[1] == dim
    np.testing.assert_allclose(user @ item.T, x / weights @ low_pass * weights, atol=1e-4)


def test_a_user_is_a_weighted_sum_of_item_rows():
    x = random_history(30, 12, 150)
    user, item = spectral(5, item_power=0.4).tables(np.argwhere(x), 30, 12)
    np.testing.assert_allclose(user, x * x.sum(0) ** -0.8 @ item, atol=1e-5)


def test_users_and_items_without_pairs_have_rows_of_zeros():
    x = random_history(30, 12, 150)
    x[7], x[:, 3] = 0, 0
    user, item = spectral(6, 0.4, 0.5).tables(np.argwhere(x), 30, 12)
    np.testing.assert_array_equal(user[7], 0)
    np.testing.assert_array_equal(item[3], 0)
    assert np.isfinite(user).all() and np.isfinite(item).all()
    assert (user.any(1).sum(), item.any(1).sum()) == (29, 11)


def first_users(num_users, dim, seed=0):
    random = np.random.default_rng(seed).standard_normal((num_users, dim), dtype=np.float32)
    return 0.1 / np.sqrt(dim) * random.astype(np.float64)


def slow_side(x, partner, l2, weight, power):
    """All rows of `x`, one after another: weighted least squares with one equation per partner."""
    rows = np.zeros((len(x), partner.shape[1]))
    for place, own in enumerate(x):
        penalty = l2 * (own.sum() + weight * len(partner)) ** power
        # Of each touched partner the square of `score - 1`, of each partner `weight` times that of the score.
        matrix = (partner.T * (own + weight)) @ partner + penalty * np.eye(partner.shape[1])
        rows[place] = np.linalg.solve(matrix, partner.T @ own)
    return rows


@pytest.mark.parametrize("dim", [3, 24])
@pytest.mark.parametrize("l2, weight, power", [(0.01, 0.1, 1.0), (0.2, 0.5, 0.0)])
def test_ials_alternates_between_items_and_users(l2, weight, power, dim):
    x = random_history(30, 20, 150)
    x[7], x[:, 3] = 0, 0
    user = first_users(30, dim, seed=4)
    for iterations in (1, 2, 5):
        item = slow_side(x.T, user, l2, weight, power)
        user = slow_side(x, item, l2, weight, power)
        if iterations == 2:
            found = ials(dim, l2, weight, power, 2, seed=4).tables(np.argwhere(x), 30, 20)
            for table, expected in zip(found, (user, item), strict=True):
                assert table.dtype == np.float32
                np.testing.assert_allclose(table, expected, atol=1e-4 * abs(expected).max())
            np.testing.assert_array_equal(found[0][7], 0)
            np.testing.assert_array_equal(found[1][3], 0)


def test_ials_falls_in_its_objective():
    x = random_history(30, 20, 150)
    of_users, of_items = (0.05 * (x.sum(axis) + 0.2 * x.shape[axis]) for axis in (1, 0))
    objectives = []
    for iterations in (1, 2, 4, 8, 16):
        user, item = ials(6, 0.05, 0.2, 1.0, iterations).tables(np.argwhere(x), 30, 20)
        scores = user.astype(np.float64) @ item.T
        penalty = (of_users * np.square(user).sum(1)).sum() + (of_items * np.square(item).sum(1)).sum()
        objectives.append((x * (scores - 1) ** 2).sum() + 0.2 * np.square(scores).sum() + penalty)
    assert objectives == sorted(objectives, reverse=True) and objectives[-1] < 0.9 * objectives[0]


def test_without_frequencies_ials_is_the_als_of_implicit():
    als = pytest.importorskip("implicit.cpu.als", reason="the extra bench is not installed").AlternatingLeastSquares
    sparse = pytest.importorskip("scipy.sparse")
    x, dim, l2, weight = random_history(40, 25, 260), 6, 0.3, 0.2
    peer = als(
        dim,
        regularization=l2 * (1 + weight) / weight,
        alpha=(1 + weight) / weight,
        iterations=3,
        use_cg=False,
        dtype=np.float64,
        num_threads=1,
    )
    # Its "users" are solved first: the items here. Its rows are larger by the square root of 1 + weight.
    peer.user_factors, peer.item_factors = np.zeros((25, dim)), np.sqrt(1 + weight) * first_users(40, dim)
    peer.fit(sparse.csr_matrix(x.T), show_progress=False)
    user, item = ials(dim, l2, weight, 0.0, 3).tables(np.argwhere(x), 40, 25)
    for table, theirs in ((user, peer.item_factors), (item, peer.user_factors)):
        np.testing.assert_allclose(table, theirs / np.sqrt(1 + weight), atol=1e-4 * abs(table).max())


def test_the_seed_decides_the_first_users_of_ials():
    pairs = np.argwhere(random_history(30, 20, 150))
    one, same, other = (ials(4, iterations=2, seed=seed).tables(pairs, 30, 20)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert abs(one - other).max() > 1e-3


@pytest.mark.parametrize(
    "method, given, message",
    [
        (spectral, {"item_power": -0.5}, "item_power must be zero or a positive number, got -0.5"),
        (spectral, {"response": math.nan}, "response must be zero or a positive number, got nan"),
        (spectral, {"iterations": 0}, "iterations must be a positive whole number, got 0"),
        (ials, {"dim": 0}, "dim must be a positive whole number, got 0"),
        (ials, {"ials_l2": 0.0}, "ials_l2 must be a positive number, got 0.0"),
        (ials, {"unobserved_weight": math.inf}, "unobserved_weight must be a positive number, got inf"),
        (ials, {"l2_power": -1.0}, "l2_power must be zero or a positive number, got -1.0"),
        (ials, {"iterations": 2.5}, "iterations must be a positive whole number, got 2.5"),
    ],
)
def test_bad_arguments_are_refused(method, given, message):
    with pytest.raises(ValueError, match=message):
        method(**{"dim": 4} | given)


def test_more_dimensions_than_the_data_have_are_refused_before_anything_is_written(tmp_path):
    config = default_config()
    config.update(method="spectral", dim=91)
    with pytest.raises(UserError, match="^dim=91: expected at most 90, because 120 users and 90 items have no more"):
        train(config, generate(num_users=120, num_items=90, interactions_per_user=15, seed=1), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["spectral", "ials"])
def test_they_run_like_any_other_method_and_beat_popularity(name, tmp_path):
    dataset = generate(num_users=120, num_items=90, interactions_per_user=15, seed=1)
    found = {}
    for method in (name, "popularity"):
        config = default_config()
        config.update(method=method, dim=8)
        found[method] = train(config, dataset, tmp_path / method)
    assert found[name]["dim"] == 8 and found[name]["epochs_done"] == 0
    assert found[name]["metrics"]["NDCG@20"] > 1.3 * found["popularity"]["metrics"]["NDCG@20"]
