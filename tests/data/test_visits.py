"""The synthetic set with a time axis: users come back, and their tastes move."""

import numpy as np
import pytest

from onebp_jax.data import check, generate, load
from onebp_jax.errors import UserError

SIZES = {"num_users": 400, "num_items": 600, "num_types": 12, "minority_types": 2, "interactions_per_user": 40}
DAY = 86_400


def in_order(dataset):
    """Users, items and times of all pairs, by user and time."""
    pairs, times = (
        np.concatenate(both) for both in ((dataset.train, dataset.test), (dataset.train_times, dataset.test_times))
    )
    order = np.lexsort((times, pairs[:, 0]))
    return *pairs[order].T, times[order]


def majority(dataset, users, items, part):
    """The type that each user has most in a part of the pairs."""
    counts = np.zeros((400, 12))
    np.add.at(counts, (users[part], dataset.truth["item_type"][items[part]]), 1)
    return counts.argmax(1)


def test_it_is_a_valid_set_split_by_time():
    dataset = generate(**SIZES, days=90, drift=0.3)
    check(dataset)
    assert dataset.split == "per-user latest 20 %, seed 0"
    users, items, times = in_order(dataset)
    assert len(np.unique(users * 600 + items)) == len(users) and np.bincount(users).min() >= 5
    assert times.min() >= 0 and times.max() < 91 * DAY
    latest = np.zeros(400)
    np.maximum.at(latest, dataset.train[:, 0], dataset.train_times)
    assert (dataset.test_times >= latest[dataset.test[:, 0]]).all()


def test_users_come_back_after_a_pause():
    users, _, times = in_order(generate(**SIZES, days=90, visits=6))
    pauses = (np.diff(times) > DAY / 2) & (np.diff(users) == 0)
    assert 3 < 1 + np.bincount(users[1:][pauses], minlength=400).mean() < 7


@pytest.mark.parametrize(("drift", "share"), [(0.0, (0.95, 1.0)), (1.0, (0.0, 0.5))])
def test_tastes_move_with_drift_only(drift, share):
    dataset = generate(**SIZES, days=90, drift=drift, visits=2)
    users, items, times = in_order(dataset)
    began = times < times[np.searchsorted(users, users)] + DAY
    several = np.unique(users[~began])
    same = majority(dataset, users, items, began)[several] == majority(dataset, users, items, ~began)[several]
    assert share[0] <= same.mean() <= share[1]


def test_the_same_seed_gives_the_same_times_and_no_days_no_times():
    one, same, other = (generate(**SIZES, days=9, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.train_times, same.train_times) and not np.array_equal(one.train, other.train)
    assert generate(**SIZES).train_times is None


def test_it_can_be_loaded_by_time():
    loaded = load("synthetic", split="time", synthetic=SIZES | {"days": 9})
    assert loaded.train_times is not None and loaded.train_times.max() > 8 * DAY
    assert load("synthetic", synthetic=SIZES | {"days": 9}).split == "per-user latest 20 %, seed 0"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"days": -1}, "synthetic.days=-1: expected 0 or more"),
        ({"days": 9, "drift": 2}, "synthetic.drift=2: expected a probability"),
        ({"days": 9, "visits": 0}, "synthetic.visits=0: expected 1 or more"),
        ({"drift": 0.5}, "synthetic.drift=0.5: without times nothing moves; set days too"),
    ],
)
def test_errors(arguments, words):
    with pytest.raises(UserError, match=words):
        generate(**arguments)
