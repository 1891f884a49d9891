"""Filters and splits by time, against the obvious loops."""

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onebp_jax.config import default_config
from onebp_jax.data import from_frame, one_cut
from onebp_jax.data.evaluation_pairs import hold_out, split_of
from onebp_jax.data.filters import core, deduplicate
from onebp_jax.errors import UserError

rows_of_pairs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), min_size=1, max_size=30, unique=True)


@settings(deadline=None, max_examples=60)
@given(rows=rows_of_pairs, user_items=st.integers(0, 4), item_users=st.integers(0, 4), cut=st.integers(0, 30))
def test_core_is_the_largest_set_in_which_all_have_enough(rows, user_items, item_users, cut):
    left = set(rows)
    while True:
        users, items = ([pair[place] for pair in left] for place in (0, 1))
        good = {(u, i) for u, i in left if users.count(u) >= user_items and items.count(i) >= item_users}
        if good == left:
            break
        left = good
    frame = pd.DataFrame(rows, columns=["user", "item"])
    parts = [frame.iloc[:cut], frame.iloc[cut:]]
    if not left:
        with pytest.raises(UserError, match="no row of mine is left"):
            core("mine", parts, user_items, item_users)
        return
    kept = core("mine", parts, user_items, item_users)
    assert [tuple(row) for part in kept for row in part.to_numpy().tolist()] == [row for row in rows if row in left]


def test_first_and_last_by_time_or_in_file_order():
    frame = pd.DataFrame({"user": [1, 1, 1], "item": [5, 5, 5], "rating": [1, 2, 3]})
    timed = frame.assign(time=[2, 1, 3])
    found = {
        (name, keep): deduplicate(part, keep)[0]["rating"].tolist()
        for name, part in (("file", frame), ("time", timed))
        for keep in ("first", "last")
    }
    assert found == {("file", "first"): [1], ("file", "last"): [3], ("time", "first"): [2], ("time", "last"): [3]}


def test_each_filter_says_what_it_leaves_out(caplog):
    frame = pd.DataFrame(
        {"user": [1, 1, 1, 2, 2, 3], "item": [5, 6, 5, 5, 6, 5], "rating": [5, 5, 1, 4, 2, 5], "time": range(6)}
    )
    with caplog.at_level(logging.WARNING):
        dataset = from_frame(frame, min_rating=3, min_user_items=2, deduplicate="first", split="none")
    assert dataset.train.tolist() == [[0, 0], [0, 1]] and dataset.user_ids.tolist() == [1]
    for words in ("1 repeated", "min_rating=3 left out 1 of 5 rows", "left out 2 of 4 rows, 2 users and 0 items"):
        assert words in caplog.text
    assert dataset.split == ("none, all pairs are train; ratings of at least 3; users with 2 items or more")


def test_filters_of_a_given_split_leave_out_test_users_without_train_pairs(caplog):
    train = pd.DataFrame({"user": [1, 2], "item": [5, 5], "rating": [5, 1]})
    test = pd.DataFrame({"user": [1, 2], "item": [6, 6], "rating": [5, 5]})
    dataset = from_frame(train, test=test, min_rating=3)
    assert (dataset.user_ids.tolist(), dataset.test.tolist()) == ([1], [[0, 1]])
    assert "1 test users without a train pair" in caplog.text


timed_pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30), st.integers(0, 12)), min_size=2, max_size=60)


@settings(deadline=None, max_examples=60)
@given(rows=timed_pairs, fraction=st.sampled_from([0.0, 0.1, 0.3, 0.6]))
def test_one_cut_keeps_nothing_as_late_as_what_it_holds_out(rows, fraction):
    pairs = np.array([row[:2] for row in rows], np.int32)
    times = np.array([row[2] for row in rows])
    if len(set(times.tolist())) == 1 and round(len(rows) * fraction):
        with pytest.raises(UserError, match="all .* pairs have the same time"):
            one_cut(pairs, fraction, times)
        return
    kept, held_out = one_cut(pairs, fraction, times)
    count = len(held_out)
    assert len(kept) and len(kept) + count == len(pairs)
    order = np.sort(times)
    if count:
        assert order[len(kept) - 1] < order[len(kept)]  # the cut lies between two times
    shares = [int((times >= time).sum()) for time in set(times.tolist()) if (times < time).any()] + [0]
    wanted = round(len(rows) * fraction)
    assert abs(count - wanted) <= min(abs(share - wanted) for share in shares if share) if wanted else count == 0


def config_of(split):
    config = default_config()
    config.split = split
    return config


def events(seed=0, users=30, events_per_user=20):
    random = np.random.default_rng(seed)
    user = np.repeat(np.arange(users), events_per_user)
    frame = pd.DataFrame({"user": user, "item": random.integers(0, 500, len(user))}).drop_duplicates()
    starts = random.integers(0, 1000, users)
    return frame.assign(time=starts[frame["user"]] + random.integers(0, 300, len(frame)))


@pytest.mark.parametrize("split", ["time", "leave_one_out_time"])
def test_validation_is_the_latest_part_of_each_user(split):
    dataset = from_frame(events(), split=split)
    assert dataset.train_times is not None
    time = dict(zip(map(tuple, dataset.train.tolist()), dataset.train_times, strict=True))
    kept, held_out = hold_out(config_of(split), dataset)
    assert set(np.unique(held_out[:, 0])) == set(range(30))
    for user in range(30):
        latest = max(time[tuple(pair)] for pair in kept[kept[:, 0] == user].tolist())
        assert all(time[tuple(pair)] >= latest for pair in held_out[held_out[:, 0] == user].tolist())


def test_validation_can_be_the_last_pairs_of_each_user_in_the_file():
    dataset, config = from_frame(events(), split="ratio"), config_of("ratio")
    random = hold_out(config, dataset)[1]
    config.validation = "last"
    kept, held_out = hold_out(config, dataset)
    place = {tuple(pair): row for row, pair in enumerate(dataset.train.tolist())}
    for user in range(30):
        kept_places, held_out_places = (
            [place[tuple(pair)] for pair in part[part[:, 0] == user].tolist()] for part in (kept, held_out)
        )
        assert max(kept_places) < min(held_out_places)
    assert len(held_out) == len(random) and set(map(tuple, held_out.tolist())) != set(map(tuple, random.tolist()))
    with pytest.raises(UserError, match="validation='last': expected 'auto'"):
        hold_out(config, from_frame(events(), split="time"))


def test_one_cut_for_test_and_one_for_validation(caplog):
    frame = events()
    dataset = from_frame(frame, split="time_global")
    config = config_of("time_global")
    assert dataset.one_cut and "without a train pair are left out" in caplog.text
    time = dict(zip(map(tuple, frame[["user", "item"]].to_numpy().tolist()), frame["time"], strict=True))
    original = lambda pairs: [(dataset.user_ids[user], dataset.item_ids[item]) for user, item in pairs]
    kept, held_out = hold_out(config, dataset)
    _, test = split_of(config, dataset, "test")
    times = [[time[pair] for pair in original(part)] for part in (kept, held_out, test)]
    assert max(times[0]) < min(times[1]) and max(times[1]) < min(times[2])
    for part in (held_out, test):
        assert np.isin(part[:, 0], kept[:, 0]).all()


def test_a_random_split_has_no_times():
    dataset = from_frame(events(), split="ratio")
    assert dataset.train_times is None and not dataset.one_cut
