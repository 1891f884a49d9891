"""Spectral tables: their scores by a dense SVD, users as sums of item rows, and what they refuse."""

import math

import numpy as np
import pytest

from onebp_jax.config import default_config
from onebp_jax.data import generate
from onebp_jax.errors import UserError
from onebp_jax.methods.factors import spectral
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


@pytest.mark.parametrize(
    "given, message",
    [
        ({"item_power": -0.5}, "item_power must be zero or a positive number, got -0.5"),
        ({"response": math.nan}, "response must be zero or a positive number, got nan"),
        ({"iterations": 0}, "iterations must be a positive whole number, got 0"),
    ],
)
def test_bad_arguments_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        spectral(4, **given)


def test_more_dimensions_than_the_data_have_are_refused_before_anything_is_written(tmp_path):
    config = default_config()
    config.update(method="spectral", dim=91)
    with pytest.raises(UserError, match="^dim=91: expected at most 90, because 120 users and 90 items have no more"):
        train(config, generate(num_users=120, num_items=90, interactions_per_user=15, seed=1), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_it_runs_like_any_other_method_and_beats_popularity(tmp_path):
    dataset = generate(num_users=120, num_items=90, interactions_per_user=15, seed=1)
    found = {}
    for method in ("spectral", "popularity"):
        config = default_config()
        config.update(method=method, dim=8)
        found[method] = train(config, dataset, tmp_path / method)
    assert found["spectral"]["dim"] == 8 and found["spectral"]["epochs_done"] == 0
    assert found["spectral"]["metrics"]["NDCG@20"] > 1.3 * found["popularity"]["metrics"]["NDCG@20"]
