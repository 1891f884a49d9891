"""The synthetic set: it is a valid data set, and the truth it carries is the truth."""

import numpy as np
import pytest

from onebp_jax.data import check, generate, synthetic
from onebp_jax.errors import UserError


def everything(dataset):
    return np.concatenate([dataset.train, dataset.test])


def test_shapes_and_names():
    dataset = generate(seed=3)
    check(dataset)
    assert dataset.name == "synthetic"
    assert dataset.split == "per-user random 20 %, seed 3"
    assert (dataset.num_users, dataset.num_items, dataset.duplicates) == (1000, 500, 0)
    assert dataset.train.dtype == dataset.test.dtype == np.int32
    assert {name: (value.shape, value.dtype.name) for name, value in dataset.truth.items()} == {
        "item_type": ((500,), "int32"),
        "user_majority_type": ((1000,), "int32"),
        "user_type_share": ((1000, 6), "float32"),
    }
    assert (np.diff(dataset.train[:, 0]) >= 0).all()


def test_every_item_is_in_the_catalogue():
    dataset = generate(num_users=3, num_items=1000)
    assert dataset.item_ids.tolist() == list(range(1000))
    assert len(np.unique(everything(dataset)[:, 1])) < 1000


def test_pairs_are_distinct_and_users_have_enough():
    pairs = everything(generate(num_users=300, interactions_per_user=5))
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    counts = np.bincount(pairs[:, 0], minlength=300)
    assert counts.min() >= 5
    assert len(np.unique(counts)) > 3


def test_a_small_catalogue_runs_out():
    """No user gets more of a type than there is, nor fewer than 5 items."""
    pairs = everything(generate(num_users=200, num_items=30, num_types=6, interactions_per_user=30, seed=1))
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    assert np.bincount(pairs[:, 0], minlength=200).min() >= 5


def test_users_follow_their_types():
    dataset = generate(num_users=2000, num_items=3000, majority=0.6, minority_types=3)
    truth, pairs = dataset.truth, everything(dataset)
    assert np.allclose(truth["user_type_share"].sum(axis=1), 1)
    assert (truth["user_type_share"].argmax(axis=1) == truth["user_majority_type"]).all()
    assert ((truth["user_type_share"] > 0).sum(axis=1) == 4).all()
    drawn = np.zeros((2000, 6))
    np.add.at(drawn, (pairs[:, 0], truth["item_type"][pairs[:, 1]]), 1)
    assert (drawn[truth["user_type_share"] == 0] == 0).all()
    is_majority = truth["item_type"][pairs[:, 1]] == truth["user_majority_type"][pairs[:, 0]]
    assert abs(is_majority.mean() - 0.6) < 0.01


def test_only_a_majority_type():
    dataset = generate(num_users=50, minority_types=0)
    pairs, truth = everything(dataset), dataset.truth
    assert (truth["item_type"][pairs[:, 1]] == truth["user_majority_type"][pairs[:, 0]]).all()
    assert generate(num_users=50, num_types=1, minority_types=0).truth["item_type"].max() == 0


@pytest.mark.parametrize("zipf", [0.0, 0.8])
def test_popularity_follows_zipf(zipf):
    """The slope of log(count) over log(rank) of the popular items; so few draws a user that none runs out of items."""
    dataset = generate(10_000, 2000, num_types=1, interactions_per_user=10, zipf=zipf, minority_types=0)
    counts = np.sort(np.bincount(everything(dataset)[:, 1], minlength=2000))[::-1]
    ranks = np.arange(10, 300)
    slope = np.polyfit(np.log(ranks + 1), np.log(counts[ranks]), 1)[0]
    assert slope == pytest.approx(-zipf, abs=0.08)


def test_a_large_catalogue_is_drawn_alike(monkeypatch):
    """Both ways to draw give the same law: drawing again for repeats is what a race computes."""
    sizes = {"num_users": 4000, "num_items": 400, "num_types": 1, "interactions_per_user": 12, "minority_types": 0}
    raced = everything(generate(**sizes))
    monkeypatch.setattr(synthetic, "LARGE", 1)
    pairs = everything(generate(**sizes))
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    # Every user has as many items either way.
    np.testing.assert_array_equal(np.bincount(pairs[:, 0]), np.bincount(raced[:, 0]))
    raced, again = (np.bincount(some[:, 1], minlength=400) for some in (raced, pairs))
    assert (raced != again).any()
    # Counts of one item differ by chance, with a variance of at most raced + again; the items' roles are the same by seed.
    assert np.mean((raced - again) ** 2 / (raced + again)) < 1.2


def test_a_large_catalogue_costs_what_it_draws():
    dataset = generate(num_users=200, num_items=3_000_000)
    check(dataset)
    assert dataset.num_items == 3_000_000 and len(dataset.train) > 5000


def test_same_seed_same_set():
    one, same, other = generate(seed=5), generate(seed=5), generate(seed=6)
    assert np.array_equal(one.train, same.train) and np.array_equal(one.test, same.test)
    assert not np.array_equal(one.train, other.train)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"num_users": 0}, "synthetic.num_users=0"),
        ({"num_types": 2.5}, "synthetic.num_types=2.5"),
        ({"num_items": 20}, "synthetic.num_items=20: expected at least 5 items for each of the 6 types"),
        ({"interactions_per_user": 2}, "synthetic.interactions_per_user=2"),
        ({"interactions_per_user": float("nan")}, "synthetic.interactions_per_user=nan"),
        ({"zipf": -1}, "synthetic.zipf=-1"),
        ({"majority": 0}, "synthetic.majority=0"),
        ({"majority": 0.2}, "synthetic.majority=0.2"),
        ({"minority_types": 6}, "synthetic.minority_types=6: expected fewer than num_types"),
        ({"minority_types": -1}, "synthetic.minority_types=-1"),
        ({"test_fraction": 1}, "fraction=1"),
        ({"seed": -1}, "synthetic.seed=-1"),
    ],
)
def test_errors(arguments, words):
    with pytest.raises(UserError) as caught:
        generate(**arguments)
    assert words in str(caught.value) and "\n" not in str(caught.value)
