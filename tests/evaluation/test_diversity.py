"""What lists are like: worked numbers, and plain loops as an oracle."""

import numpy as np
import pytest

from onebp_jax.evaluation import diversity as measures
from onebp_jax.evaluation.bootstrap import intervals


def test_diversity_of_worked_lists():
    features = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]])
    lists = np.array([[0, 1, 2], [0, 0, 4], [3, 2, 4], [4, 4, 4], [1, 4, 4]])
    # Item 4 is none. Cosines of the first list: 1 / sqrt 2, 0, 0. The second has an item twice. Item 3 has no features.
    found = measures.diversity(lists, features)
    np.testing.assert_allclose(found[[0, 2]], [1 - (1 / np.sqrt(2)) / 3, 1])
    assert np.isnan(found[3:]).all()


def test_diversity_is_the_mean_over_pairs(monkeypatch):
    random = np.random.default_rng(0)
    features = random.random((30, 7)) * (random.random((30, 7)) < 0.5)
    lists = np.array([random.permutation(31)[:6] for _ in range(20)])
    unit = features / np.maximum(1e-300, np.linalg.norm(features, axis=1, keepdims=True))

    def plain(items):
        items = [item for item in items if item < 30]
        pairs = [(a, b) for at, a in enumerate(items) for b in items[:at]]
        return np.mean([1 - unit[a] @ unit[b] for a, b in pairs])

    expected = [plain(items) for items in lists.tolist()]
    np.testing.assert_allclose(measures.diversity(lists, features), expected)
    monkeypatch.setattr(measures, "_BLOCK", 7)
    np.testing.assert_allclose(measures.diversity(lists, features), expected)


def test_groups_by_popularity():
    # 100 pairs: 20 are the first item's, the two last ones have 20 together with the next.
    assert measures.popularity_groups(np.array([10, 20, 30, 20, 12, 8, 0])).tolist() == [2, 1, 0, 1, 1, 2, 2]
    assert measures.popularity_groups(np.array([1, 1, 1, 1, 1])).tolist() == [0, 1, 1, 1, 2]
    assert measures.popularity_groups(np.array([9, 1])).tolist() == [0, 2]


def test_shares_of_rows():
    genres = measures.by_genre(np.array([[True, True], [True, False], [False, False]]))
    np.testing.assert_allclose(genres, [[0.5, 0.5], [1, 0], [0, 0]])
    pairs = measures.listed_pairs(np.array([[0, 1], [2, 3], [3, 3]]), 3)
    assert pairs.tolist() == [[0, 0], [0, 1], [1, 2]]
    np.testing.assert_allclose(measures.shares(pairs, genres, 3), [[0.75, 0.25], [np.nan] * 2, [np.nan] * 2])


def test_calibration_of_worked_shares():
    wanted = np.array([[0.7, 0.3], [0.7, 0.3], [1, 0], [np.nan, np.nan]])
    given = np.array([[1, 0], [0.7, 0.3], [0, 1], [0.5, 0.5]])
    # Steck's q is .99 of the list and .01 of the history.
    first = 0.7 * np.log(0.7 / (0.99 + 0.007)) + 0.3 * np.log(0.3 / 0.003)
    np.testing.assert_allclose(measures.calibration(wanted, given), [first, 0, np.log(100), np.nan], atol=1e-12)


def test_divergence_is_between_0_and_1():
    a, b = np.array([[1.0, 0], [0.5, 0.5], [1, 0]]), np.array([[0.0, 1], [0.5, 0.5], [0.5, 0.5]])
    third = (np.log2(1 / 0.75) + 0.5 * np.log2(0.5 / 0.75) + 0.5 * np.log2(0.5 / 0.25)) / 2
    np.testing.assert_allclose(measures.divergence(a, b), [1, 0, third], atol=1e-12)
    np.testing.assert_allclose(measures.divergence(b, a), measures.divergence(a, b))


def test_intervals_are_those_of_the_normal_law_for_many_users():
    random = np.random.default_rng(1)
    values = random.normal(0.1, 1.0, (2000, 2)) * [1, 5]
    low, high = intervals(values)
    error = values.std(axis=0) / np.sqrt(len(values))
    np.testing.assert_allclose(low, values.mean(axis=0) - 1.96 * error, atol=0.08 * error.max())
    np.testing.assert_allclose(high, values.mean(axis=0) + 1.96 * error, atol=0.08 * error.max())


def test_intervals_of_two_users_are_all_that_two_users_can_say():
    low, high = intervals(np.array([[0.0, 3.0], [1.0, 3.0]]))
    assert (low.tolist(), high.tolist()) == ([0, 3], [1, 3])
    assert intervals(np.array([[0.0], [1.0]]), level=0.4)[0] == pytest.approx(0.5)


def test_intervals_do_not_depend_on_the_blocks(monkeypatch):
    values = np.random.default_rng(0).random((50, 3))
    whole = intervals(values)
    again = intervals(values)
    np.testing.assert_array_equal(whole, again)
    monkeypatch.setattr("onebp_jax.evaluation.bootstrap._BLOCK", 50 * 7)
    np.testing.assert_allclose(intervals(values), whole)
