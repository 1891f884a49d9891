"""Metrics: worked numbers, cases by hand, and a second implementation in slow Python loops."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onebp_jax.evaluation import metrics

NUM_ITEMS = 16
LENGTHS = (1, 5, 10, 20)  # the last is longer than the catalogue


def slow_accuracy(lists, wanted, ks):
    """The seven metrics of `lists` (item ids, best first) against `wanted` (a set of items a user), one loop a sum."""
    result = {}
    for k in ks:
        users = []
        for items, relevant in zip(lists, wanted, strict=True):
            if not relevant:
                continue
            hits = [1 if rank <= len(items) and items[rank - 1] in relevant else 0 for rank in range(1, k + 1)]
            found, n = sum(hits), len(relevant)
            precision, recall = found / k, found / n
            gain = sum(hit / math.log2(rank + 1) for rank, hit in enumerate(hits, 1))
            best_gain = sum(1 / math.log2(rank + 1) for rank in range(1, min(n, k) + 1))
            ranks_of_hits = [rank for rank, hit in enumerate(hits, 1) if hit]
            users.append(
                {
                    "P": precision,
                    "R": recall,
                    "F1": 2 * precision * recall / (precision + recall) if found else 0.0,
                    "NDCG": gain / best_gain,
                    "HR": 1.0 if found else 0.0,
                    "MRR": 1 / ranks_of_hits[0] if found else 0.0,
                    "MAP": sum(sum(hits[:rank]) / rank for rank in ranks_of_hits) / min(n, k),
                }
            )
        for name in users[0]:
            result[f"{name}@{k}"] = sum(user[name] for user in users) / len(users)
    return result


def slow_beyond_accuracy(lists, popularity, ks):
    """Coverage, Gini, average popularity and novelty; Gini as half the mean absolute difference over the mean."""
    num_items = len(popularity)
    result = {}
    for k in ks:
        shown = [item for items in lists for item in items[:k] if item < num_items]
        counts = [shown.count(item) for item in range(num_items)]
        differences = sum(abs(one - other) for one in counts for other in counts)
        total = sum(popularity) + num_items
        result[f"Coverage@{k}"] = sum(count > 0 for count in counts) / num_items
        result[f"Gini@{k}"] = differences / (2 * num_items * sum(counts))
        result[f"AvgPop@{k}"] = sum(popularity[item] for item in shown) / len(shown)
        result[f"Novelty@{k}"] = sum(-math.log2((popularity[item] + 1) / total) for item in shown) / len(shown)
    return result


def as_pairs(wanted):
    """`int[T, 2]` of (row, item), in an order of its own: nothing may rely on sorted pairs."""
    pairs = [(row, item) for row, items in enumerate(wanted) for item in items]
    return np.array(pairs[::-1], np.int32).reshape(-1, 2)


def measured(lists, wanted, ks, num_items=NUM_ITEMS):
    return metrics.accuracy(*metrics.hits_of(np.array(lists), as_pairs(wanted), num_items), ks)


def close(found, expected, tolerance=1e-12):
    assert found.keys() == expected.keys()
    for name in expected:
        assert found[name] == pytest.approx(expected[name], rel=0, abs=tolerance), name


@st.composite
def users(draw):
    """One user: a list of distinct items filled up with `NUM_ITEMS`, and the items to find (perhaps none)."""
    order = draw(st.permutations(range(NUM_ITEMS)))
    length = draw(st.integers(0, NUM_ITEMS))
    wanted = draw(st.sets(st.integers(0, NUM_ITEMS - 1), max_size=NUM_ITEMS))
    return order[:length] + [NUM_ITEMS] * (max(LENGTHS) - length), wanted


some_users = st.lists(users(), min_size=1, max_size=6).filter(lambda rows: any(wanted for _, wanted in rows))


@settings(deadline=None, max_examples=150, derandomize=True)
@given(rows=some_users)
def test_accuracy_equals_slow_loops(rows):
    lists, wanted = zip(*rows, strict=True)
    close(measured(lists, wanted, LENGTHS), slow_accuracy(lists, wanted, LENGTHS))


@settings(deadline=None, max_examples=100, derandomize=True)
@given(
    rows=some_users.filter(lambda rows: any(items[0] < NUM_ITEMS for items, _ in rows)),
    popularity=st.lists(st.integers(0, 50), min_size=NUM_ITEMS, max_size=NUM_ITEMS),
)
def test_beyond_accuracy_equals_slow_loops(rows, popularity):
    lists = [items for items, _ in rows]
    found = metrics.beyond_accuracy(np.array(lists), np.array(popularity), LENGTHS)
    close(found, slow_beyond_accuracy(lists, popularity, LENGTHS), 1e-11)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(rows=some_users)
def test_values_are_shares_and_f1_is_the_harmonic_mean_of_each_user(rows):
    lists, wanted = zip(*[row for row in rows if row[1]], strict=True)
    for items, relevant in zip(lists, wanted, strict=True):
        values = measured([items], [relevant], LENGTHS)
        assert all(0 <= value <= 1 for value in values.values())
        for k in LENGTHS:
            precision, recall = values[f"P@{k}"], values[f"R@{k}"]
            harmonic = 2 * precision * recall / (precision + recall) if precision else 0.0
            assert values[f"F1@{k}"] == pytest.approx(harmonic, rel=0, abs=1e-12)


# The worked numbers: P, R, F1, NDCG of two users, and their mean; the third user has nothing to find.
WORKED_LISTS = [[1, 2, 3, 4, 5, 6], [1, 4, 2, 5, 0, 6], [0, 2, 3, 4, 5, 6]]
WORKED_WANTED = [{1, 4, 5}, {1}, set()]
WORKED = {
    2: ([0.5, 0.333333, 0.4, 0.613147], [0.5, 1.0, 0.666667, 1.0], [0.5, 0.666667, 0.533333, 0.806574]),
    3: ([0.333333, 0.333333, 0.333333, 0.469279], [0.333333, 1.0, 0.5, 1.0], [0.333333, 0.666667, 0.416667, 0.734639]),
}


@pytest.mark.parametrize("k", WORKED)
def test_worked_numbers(k):
    for rows, expected in zip(([0], [1], [0, 1, 2]), WORKED[k], strict=True):
        found = measured([WORKED_LISTS[row] for row in rows], [WORKED_WANTED[row] for row in rows], (k,), num_items=6)
        assert [found[f"{name}@{k}"] for name in ("P", "R", "F1", "NDCG")] == pytest.approx(expected, rel=0, abs=5.1e-7)


def test_f1_is_not_the_harmonic_mean_of_the_averages():
    found = measured([[0, 1], [2, 3]], [{0}, {2, 3, 4, 5, 6, 7, 8, 9}], (2,))
    assert (found["P@2"], found["R@2"]) == (0.75, 0.625)
    assert found["F1@2"] == pytest.approx((2 / 3 + 0.4) / 2, abs=1e-12)  # of the averages it would be 0.6818


def test_reciprocal_rank_by_hand():
    lists, wanted = [[5, 6, 7, 8], [1, 2, 3, 4]], [{7, 8}, {1}]
    assert [measured(lists, wanted, (k,))[f"MRR@{k}"] for k in (1, 2, 3, 4)] == [
        0.5,
        0.5,
        (1 / 3 + 1) / 2,
        (1 / 3 + 1) / 2,
    ]
    assert measured([[5, 6]], [{9}], (2,))["MRR@2"] == 0


def test_average_precision_by_hand():
    found = measured([[0, 5, 1, 6]], [{0, 1, 2}], (1, 2, 3, 4))
    assert [found[f"MAP@{k}"] for k in (1, 2, 3, 4)] == pytest.approx(
        [1, 1 / 2, (1 + 2 / 3) / 3, (1 + 2 / 3) / 3], abs=1e-12
    )


def test_hit_rate_by_hand():
    found = measured([[0, 5, 1], [6, 7, 2], [6, 7, 8]], [{0, 1}, {2}, {3}], (1, 2, 3))
    assert [found[f"HR@{k}"] for k in (1, 2, 3)] == pytest.approx([1 / 3, 1 / 3, 2 / 3], abs=1e-12)


def test_beyond_accuracy_by_hand():
    found = metrics.beyond_accuracy(np.array([[0, 1], [0, 2]]), np.array([1, 3, 0, 0]), (1, 2))
    expected = {"Coverage@1": 1 / 4, "Gini@1": 3 / 4, "AvgPop@1": 1, "Novelty@1": 2}
    expected |= {"Coverage@2": 3 / 4, "Gini@2": 6 / 16, "AvgPop@2": 5 / 4, "Novelty@2": 2}
    close(found, expected)


@pytest.mark.parametrize("num_items", [1, 2, 7])
def test_gini_of_the_two_extremes(num_items):
    popularity = np.zeros(num_items, int)
    all_alike = np.arange(num_items).repeat(3)[:, None]
    one_takes_all = np.full((5, 1), num_items - 1)
    assert metrics.beyond_accuracy(all_alike, popularity, (1,))["Gini@1"] == pytest.approx(0, abs=1e-12)
    worst = metrics.beyond_accuracy(one_takes_all, popularity, (1,))["Gini@1"]
    assert worst == pytest.approx((num_items - 1) / num_items, abs=1e-12)


def test_missing_places_are_misses_and_no_item():
    short, filled = [[3, 1]], [[3, 1] + [NUM_ITEMS] * 18]
    assert measured(short, [{1, 9}], LENGTHS) == measured(filled, [{1, 9}], LENGTHS)
    popularity = np.arange(NUM_ITEMS)
    found = [metrics.beyond_accuracy(np.array(lists), popularity, LENGTHS) for lists in (short, filled)]
    assert found[0] == found[1]


def test_k_beyond_the_catalogue():
    everything = [list(range(NUM_ITEMS))]
    found = measured(everything, [set(range(NUM_ITEMS))], (NUM_ITEMS, 100))
    assert all(found[f"{name}@{NUM_ITEMS}"] == pytest.approx(1, abs=1e-12) for name in metrics.ACCURACY)
    assert found["P@100"] == NUM_ITEMS / 100
    assert found["R@100"] == 1
    assert found["NDCG@100"] == pytest.approx(1, abs=1e-12)


def test_hits_are_found_in_their_own_row_only():
    # "No item" in row 0 must not be taken for item 0 of row 1, nor the other way round.
    hits, relevant = metrics.hits_of(np.array([[2, 3], [0, 2], [3, 3]]), np.array([[1, 0], [2, 1], [2, 0]]), 3)
    assert hits.tolist() == [[False, False], [True, False], [False, False]]
    assert relevant.tolist() == [0, 1, 2]


def test_hits_without_test_pairs():
    hits, relevant = metrics.hits_of(np.array([[0, 1]]), np.zeros((0, 2), np.int32), 3)
    assert not hits.any()
    assert relevant.tolist() == [0]


def test_no_user_with_test_items_is_an_error():
    with pytest.raises(ValueError, match="no user has a test item"):
        measured([[0, 1]], [set()], (1,))


def test_lists_without_any_item_give_no_number_and_no_warning():
    found = metrics.beyond_accuracy(np.full((3, 2), 4), np.arange(4), (2,))
    assert (found["Coverage@2"], found["Gini@2"]) == (0, 0)
    assert math.isnan(found["AvgPop@2"])
    assert math.isnan(found["Novelty@2"])
