"""Recommenders without training: against slow loops, by their equations, on a small example, and within their memory."""

import math
from functools import partial

import numpy as np
import pytest

from onebp_jax import methods
from onebp_jax.config import default_config
from onebp_jax.data import generate
from onebp_jax.methods import baselines, factors
from onebp_jax.training.train import train

# Three users, four items; the last item has no user.
SMALL = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [1, 2], [2, 2]])


def random_pairs(num_users, num_items, count, seed=0):
    cells = np.random.default_rng(seed).choice(num_users * num_items, count, replace=False)
    return np.stack(np.divmod(cells, num_items), 1)


def history(pairs, num_users, num_items):
    x = np.zeros((num_users, num_items))
    for user, item in pairs:
        x[user, item] = 1
    return x


def slow_knn(x, neighbours, shrink, similarity):
    """The scores, user by user and item by item."""
    num_users, num_items = x.shape
    near = np.zeros((num_items, num_items))
    for j in range(num_items):
        found = []
        for i in range(num_items):
            common, own, other = (x[:, i] * x[:, j]).sum(), x[:, i].sum(), x[:, j].sum()
            divisor = (math.sqrt(own * other) if similarity == "cosine" else own + other - common) + shrink
            if i != j and common:
                found.append((-common / divisor, i))
        for value, i in sorted(found)[:neighbours]:
            near[i, j] = -value
    return np.array([[sum(near[i, j] for i in np.flatnonzero(row)) for j in range(num_items)] for row in x])


def slow_ease(x, l2):
    """Every item's weights by its own ridge regression on the other items."""
    num_items = x.shape[1]
    weights = np.zeros((num_items, num_items))
    for j in range(num_items):
        others = [i for i in range(num_items) if i != j]
        a = x[:, others]
        weights[others, j] = np.linalg.solve(a.T @ a + l2 * np.eye(len(others)), a.T @ x[:, j])
    return weights


def slow_bspm(x, dim, weight, sharpening):
    """The process step by step, for the rows of `x`: both filters, then one step of sharpening."""
    roots = [np.maximum(x.sum(axis), 1) ** -0.5 for axis in (1, 0)]
    normal = roots[0][:, None] * x * roots[1]
    graph = normal.T @ normal
    vectors = np.linalg.svd(normal)[2][:dim].T
    low = x @ np.diag(roots[1]) @ vectors @ vectors.T @ np.diag(1 / roots[1])
    merged = x + 1.0 * (x @ graph - x) + weight * low
    return merged - sharpening * merged @ graph


# More users than items and the other way round; one that does not fit one block of users.
SHAPES = [(30, 12, 150), (9, 21, 60)]


@pytest.mark.parametrize("block", [512, 4])
@pytest.mark.parametrize("similarity", baselines.SIMILARITIES)
@pytest.mark.parametrize("num_users, num_items, count", SHAPES)
def test_item_knn_agrees_with_loops(num_users, num_items, count, similarity, block, monkeypatch):
    monkeypatch.setattr(baselines, "BLOCK", block)
    pairs = random_pairs(num_users, num_items, count)
    for neighbours, shrink in ((3, 0.0), (5, 10.0), (100, 2.0)):
        user, item = baselines.item_knn(neighbours, shrink, similarity).tables(pairs, num_users, num_items)
        assert user.dtype == item.dtype == np.float32
        assert user.shape[1] == item.shape[1] == min(num_users, num_items)
        expected = slow_knn(history(pairs, num_users, num_items), neighbours, shrink, similarity)
        np.testing.assert_allclose(user @ item.T, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("block", [512, 4])
@pytest.mark.parametrize("num_users, num_items, count", SHAPES)
def test_ease_is_a_ridge_regression_of_each_item_on_the_others(num_users, num_items, count, block, monkeypatch):
    monkeypatch.setattr(baselines, "BLOCK", block)
    pairs = random_pairs(num_users, num_items, count)
    x = history(pairs, num_users, num_items)
    for l2 in (0.5, 20.0):
        user, item = baselines.ease(l2).tables(pairs, num_users, num_items)
        np.testing.assert_allclose(user @ item.T, x @ slow_ease(x, l2), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("num_users, num_items, count", SHAPES)
@pytest.mark.parametrize("sharpening", [0.0, 0.7])
def test_bspm_is_the_process_that_it_describes(num_users, num_items, count, sharpening):
    pairs = random_pairs(num_users, num_items, count)
    user, item = baselines.bspm(4, 0.3, sharpening).tables(pairs, num_users, num_items)
    expected = slow_bspm(history(pairs, num_users, num_items), 4, 0.3, sharpening)
    np.testing.assert_allclose(user @ item.T, expected, rtol=1e-3, atol=1e-4)
    if not sharpening:  # GF-CF, whose low-pass part is `spectral`
        plain = baselines.bspm(4, 0.0).tables(pairs, num_users, num_items)
        low = factors.spectral(4).tables(pairs, num_users, num_items)
        np.testing.assert_allclose(expected - plain[0] @ plain[1].T, 0.3 * low[0] @ low[1].T, rtol=1e-3, atol=1e-4)


def test_the_diagonal_of_ease_is_zero_and_its_matrix_the_closed_form():
    pairs = random_pairs(30, 12, 150)
    user, item = baselines.ease(3.0).tables(pairs, 30, 12)
    x = history(pairs, 30, 12)
    np.testing.assert_array_equal(user, x)
    assert (item.diagonal() == 0).all()
    inverse = np.linalg.inv(x.T @ x + 3.0 * np.eye(12))
    np.testing.assert_allclose(item.T, np.eye(12) - inverse / inverse.diagonal(), rtol=1e-5, atol=1e-6)


def test_the_small_example_by_hand():
    # Users of items: 2, 2, 2, 0; in common: 2 for (0, 1), 1 for (0, 2) and (1, 2).
    near = np.array([[0, 1, 1 / 2, 0], [1, 0, 1 / 2, 0], [1 / 2, 1 / 2, 0, 0], [0, 0, 0, 0]])
    user, item = baselines.item_knn(shrink=0.0).tables(SMALL, 3, 4)
    np.testing.assert_allclose(user @ item.T, history(SMALL, 3, 4) @ near, rtol=1e-6)
    # Of equally near ones the lower id is kept: item 2 keeps item 0.
    user, item = baselines.item_knn(1, shrink=0.0).tables(SMALL, 3, 4)
    np.testing.assert_allclose((user @ item.T)[:, 2], [1 / 2, 1 / 2, 0], rtol=1e-6)
    # Two items, three users, a ridge of 1: b_01 = 2 / (2 + 1), b_10 = 2 / (3 + 1).
    user, item = baselines.ease(1.0).tables(np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0]]), 3, 2)
    np.testing.assert_allclose(item.T, [[0, 2 / 4], [2 / 3, 0]], rtol=1e-6)


def test_popularity_scores_items_by_their_users_and_alike_for_everyone():
    pairs = np.array([[0, 2], [1, 2], [2, 2], [0, 0], [2, 0], [1, 4]])
    user, item = baselines.popularity().tables(pairs, 3, 6)
    np.testing.assert_array_equal(user @ item.T, [[2, 0, 3, 0, 1, 0]] * 3)


@pytest.mark.parametrize(
    "make, needed",
    # Matrices of 12 x 12, tables of 12 x (30 + 12) numbers.
    [
        (baselines.item_knn, 4 * 144 + 4 * 12 * 42),
        (baselines.ease, 28 * 144 + 4 * 12 * 42),
        (partial(baselines.bspm, 4), 20 * 144 + 4 * 12 * 42),
    ],
)
def test_more_memory_than_allowed_is_refused_with_the_size(make, needed):
    pairs = random_pairs(30, 12, 150)
    make(max_bytes=needed).tables(pairs, 30, 12)
    with pytest.raises(ValueError, match=rf"\({needed} bytes\) as dense matrices, above max_bytes={needed - 1}:"):
        make(max_bytes=needed - 1).tables(pairs, 30, 12)
    # Nothing of that size is made: the million items of this one would be four terabytes.
    with pytest.raises(ValueError, match="30 users and 1000000 items need"):
        make().tables(pairs, 30, 10**6)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: baselines.item_knn(0), "num_neighbours must be a positive whole number, got 0"),
        (lambda: baselines.item_knn(2.5), "num_neighbours must be a positive whole number, got 2.5"),
        (lambda: baselines.item_knn(shrink=-1.0), "shrink must be zero or a positive number, got -1.0"),
        (lambda: baselines.item_knn(shrink=math.nan), "shrink must be zero or a positive number, got nan"),
        (lambda: baselines.item_knn(similarity="dice"), "similarity must be one of cosine, jaccard, got 'dice'"),
        (lambda: baselines.ease(0.0), "ease_l2 must be a positive number, got 0.0"),
        (lambda: baselines.bspm(2, -1.0), "lowpass_weight must be zero or a positive number, got -1.0"),
        (lambda: baselines.bspm(2, sharpening=-1.0), "sharpening must be zero or a positive number, got -1.0"),
        (lambda: baselines.ease(max_bytes=0), "max_bytes must be a positive whole number, got 0"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", ["itemknn", "ease", "bspm"])
def test_they_run_like_any_other_method_and_beat_popularity(name, tmp_path):
    dataset = generate(num_users=120, num_items=90, interactions_per_user=15, seed=1)
    results = {}
    for method in (name, "popularity"):
        config = default_config()
        config.method = method
        assert methods.NAMED[method]
        results[method] = train(config, dataset, tmp_path / method)
    assert results[name]["selection"] == "none: nothing was trained"
    assert results[name]["metrics"]["NDCG@20"] > 1.3 * results["popularity"]["metrics"]["NDCG@20"]
