"""Splits: disjoint, complete, in file order, of the promised size, and the same again for the same seed."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onebp_jax.data import hold_out_validation, leave_one_out, per_user_ratio
from onebp_jax.data.splits import of_some_users
from onebp_jax.errors import UserError

some_pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), min_size=1, max_size=80, unique=True).map(
    lambda rows: np.array(rows, np.int32)
)
fractions = st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9])
seeds = st.integers(0, 2**40)
SPLITS = {
    "ratio": lambda pairs, fraction, seed: per_user_ratio(pairs, fraction, seed),
    "ratio by time": lambda pairs, fraction, seed: per_user_ratio(pairs, fraction, seed, times_of(pairs)),
    "leave one out": lambda pairs, fraction, seed: leave_one_out(pairs, seed),
    "leave one out by time": lambda pairs, fraction, seed: leave_one_out(pairs, seed, times_of(pairs)),
    "validation": lambda pairs, fraction, seed: hold_out_validation(pairs, fraction, seed),
}
QUOTAS = {  # how many of the n pairs of a user are held out
    "ratio": lambda n, fraction: min(round(n * fraction), n - 1),
    "ratio by time": lambda n, fraction: min(round(n * fraction), n - 1),
    "leave one out": lambda n, fraction: int(n >= 2),
    "leave one out by time": lambda n, fraction: int(n >= 2),
    "validation": lambda n, fraction: min(max(round(n * fraction), int(n >= 5 and fraction > 0)), n - 1),
}


def times_of(pairs):
    """Some times with ties."""
    return pairs[:, 1] % 7


def rows(pairs):
    return [tuple(row) for row in pairs.tolist()]


@pytest.mark.parametrize("name", SPLITS)
@settings(deadline=None, max_examples=60)
@given(pairs=some_pairs, fraction=fractions, seed=seeds)
def test_every_split(name, pairs, fraction, seed):
    kept, held_out = SPLITS[name](pairs, fraction, seed)
    assert kept.dtype == held_out.dtype == np.int32
    assert not set(rows(kept)) & set(rows(held_out))
    assert len(kept) + len(held_out) == len(pairs)
    for part in (kept, held_out):  # in the order of the file
        members = set(rows(part))
        assert rows(part) == [row for row in rows(pairs) if row in members]
    for user in set(pairs[:, 0].tolist()):
        n = int((pairs[:, 0] == user).sum())
        assert (held_out[:, 0] == user).sum() == QUOTAS[name](n, fraction)
        assert (kept[:, 0] == user).any()
    again = SPLITS[name](pairs, fraction, seed)
    assert all(np.array_equal(one, other) for one, other in zip((kept, held_out), again, strict=True))


@settings(deadline=None, max_examples=60)
@given(pairs=some_pairs, fraction=fractions, seed=seeds)
def test_latest_are_held_out(pairs, fraction, seed):
    """Against the obvious loop: of equal times, the later row of the file is the later one."""
    times = times_of(pairs)
    expected = set()
    for user in set(pairs[:, 0].tolist()):
        mine = sorted(np.flatnonzero(pairs[:, 0] == user), key=lambda row: (times[row], row))
        quota = min(round(len(mine) * fraction), len(mine) - 1)
        expected |= set(mine[len(mine) - quota :])
    kept, held_out = per_user_ratio(pairs, fraction, seed, times)
    assert rows(held_out) == [tuple(pairs[row]) for row in sorted(expected)]
    kept, held_out = leave_one_out(pairs, seed, times)
    for user, item in held_out:
        mine = pairs[:, 0] == user
        assert times[mine & (pairs[:, 1] == item)] == times[mine].max()


@settings(deadline=None, max_examples=30)
@given(pairs=some_pairs, seed=seeds, random=st.randoms(use_true_random=False))
def test_file_order_does_not_matter(pairs, seed, random):
    order = list(range(len(pairs)))
    random.shuffle(order)
    assert set(rows(per_user_ratio(pairs, 0.5, seed)[1])) == set(rows(per_user_ratio(pairs[order], 0.5, seed)[1]))


def test_worked_example():
    pairs = np.array([[1, 4], [0, 0], [1, 2], [1, 9], [1, 7], [0, 3], [1, 1]], np.int32)
    times = [5, 2, 9, 9, 1, 2, 0]
    kept, held_out = per_user_ratio(pairs, 0.4, 0, times)  # round(5 * .4) = 2 of user 1, round(2 * .4) = 1 of user 0
    assert held_out.tolist() == [[1, 2], [1, 9], [0, 3]]
    assert kept.tolist() == [[1, 4], [0, 0], [1, 7], [1, 1]]
    assert leave_one_out(pairs, 0, times)[1].tolist() == [[1, 9], [0, 3]]
    kept, held_out = hold_out_validation(pairs, 0.1, 0)  # round(.5) = 0, but user 1 has 5 items
    assert held_out[:, 0].tolist() == [1]


def test_seed_and_purpose_matter():
    pairs = np.stack([np.zeros(400), np.arange(400)], axis=1).astype(np.int32)
    held_out = [
        per_user_ratio(pairs, 0.5, 0)[1],
        per_user_ratio(pairs, 0.5, 1)[1],
        hold_out_validation(pairs, 0.5, 0)[1],
    ]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        shared = len(set(rows(held_out[one])) & set(rows(held_out[other])))
        assert 70 < shared < 130  # 100 are expected by chance


def test_random_is_fair():
    """Every item of a user is held out about as often as any other."""
    pairs = np.stack([np.zeros(10), np.arange(10)], axis=1).astype(np.int32)
    counts = sum(np.bincount(per_user_ratio(pairs, 0.2, seed)[1][:, 1], minlength=10) for seed in range(1000))
    assert counts.sum() == 2000
    assert np.abs(counts - 200).max() < 60  # 4.7 standard deviations


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda pairs: per_user_ratio(pairs, 1.0, 0), "fraction=1.0"),
        (lambda pairs: hold_out_validation(pairs, -0.1, 0), "fraction=-0.1"),
        (lambda pairs: hold_out_validation(pairs, float("nan"), 0), "fraction=nan"),
        (lambda pairs: per_user_ratio(pairs, 0.2, -1), "seed=-1"),
        (lambda pairs: leave_one_out(pairs, 0.5), "seed=0.5"),
        (lambda pairs: per_user_ratio(pairs[:, :1], 0.2, 0), "shape (3, 1)"),
        (lambda pairs: per_user_ratio(pairs.astype(float), 0.2, 0), "float64"),
        (lambda pairs: per_user_ratio(pairs - 1, 0.2, 0), "integers of 0 or more"),
        (lambda pairs: per_user_ratio(pairs, 0.2, 0, [1, 2]), "times have shape (2,), expected (3,)"),
        (lambda pairs: leave_one_out(pairs, 0, [1, 2, np.nan]), "without NaN"),
    ],
)
def test_errors(call, words):
    with pytest.raises(UserError) as caught:
        call(np.array([[0, 1], [0, 2], [1, 1]], np.int32))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_no_pairs():
    nothing = np.zeros((0, 2), np.int32)
    for split in SPLITS.values():
        kept, held_out = split(nothing, 0.2, 0)
        assert kept.shape == held_out.shape == (0, 2)


def test_speed():
    random = np.random.default_rng(0)
    pairs = np.stack([random.integers(0, 30_000, 1_200_000), np.arange(1_200_000)], axis=1).astype(np.int32)
    start = time.perf_counter()
    hold_out_validation(pairs, 0.1, 0)
    assert time.perf_counter() - start < 5  # about 0.6 s on an idle core


def test_pairs_of_some_users():
    pairs = np.array([(user, item) for user in range(50) for item in range(user % 4)], np.int32)
    some = of_some_users(pairs, 10, seed=3)
    users = np.unique(some[:, 0])
    assert len(users) == 10
    assert rows(some) == rows(pairs[np.isin(pairs[:, 0], users)])
    assert rows(some) == rows(of_some_users(pairs, 10, seed=3)) != rows(of_some_users(pairs, 10, seed=4))
    assert of_some_users(pairs, 0, seed=3) is pairs and of_some_users(pairs, 10_000, seed=3) is pairs
