"""Events after training: read your own writes, and replay equals state."""

import threading

import numpy as np
import pandas as pd
import pytest

from onebp_jax import Recommender, UserError

USERS, ITEMS, DIM = 40, 30, 6
TITLES = pd.DataFrame(
    {"item": [f"i{item}" for item in range(ITEMS)], "title": [f"Title {item}" for item in range(ITEMS)]}
)
FIELDS = {"dim": DIM, "epochs": 2, "batch_size": 16}
METHODS = {
    "moving average": {"method": "onebp", "beta": 0.8},
    "plain": {"method": "onebp_history", "options": {"damping": 0.3}},
    "beside, recent": {
        "method": "onebp_spectral",
        "split": "time",
        "test_fraction": 0.2,
        "options": {"spectral_dim": 5, "half_life": 2.0, "lasting": 0.1, "smoothing": 0.5, "response": 0.3},
    },
}


@pytest.fixture(scope="module")
def events():
    """Events of 40 users with items i0 .. i29, in time order."""
    random = np.random.default_rng(0)
    pairs = np.argwhere(random.random((USERS, ITEMS)) < 0.4)
    frame = pd.DataFrame({"user": pairs[:, 0] + 100, "item": [f"i{item}" for item in pairs[:, 1]]})
    return frame.assign(time=random.permutation(len(frame))).sort_values("time", ignore_index=True)


@pytest.fixture(scope="module", params=METHODS)
def fitted(request, events):
    """A recommender that does not know the users from 135 on."""
    return Recommender(**FIELDS, **METHODS[request.param]).fit(events[events.user < 135], items=TITLES)


@pytest.fixture
def model(fitted, tmp_path):
    """The fitted recommender without events."""
    fitted.save(tmp_path / "saved")
    return Recommender.load(tmp_path / "saved")


def later(events, user):
    return events[events.user == user]


def test_the_next_list_sees_an_event(model, events):
    own = later(events, 136)
    for item in own.item:
        before = None if item == own.item.iloc[0] else model.recommend(136, k=ITEMS)
        assert model.observe(136, item)
        after = model.recommend(136, k=ITEMS)
        assert item not in set(after.item) and after.title.str.startswith("Title").all()
        assert before is None or not before.equals(after)
    known = set(own.item)
    assert set(after.item) == {f"i{item}" for item in range(ITEMS)} - known
    assert after.user.tolist() == [136] * (ITEMS - len(known))
    assert set(model.recommend(136, k=ITEMS, exclude_seen=False).item) >= known
    together = model.recommend([101, 136], k=4)
    assert together.user.tolist() == [101] * 4 + [136] * 4
    pd.testing.assert_frame_equal(together[4:].reset_index(drop=True), model.recommend(136, k=4), rtol=1e-4)


def test_replay_equals_state(model, events):
    own = later(events, 137)
    for item, time in zip(own.item, own.time, strict=True):
        model.observe(137, item, float(time))
    lists = model.recommend(137)
    vector = model.fold_in(own.item)
    shuffled = own.sample(frac=1, random_state=3)
    np.testing.assert_array_equal(vector, model.fold_in(shuffled.item, times=shuffled.time))
    # Events that come late take their place in time.
    for item, time in zip(shuffled.item, shuffled.time, strict=True):
        model.observe(901, item, float(time))
    pd.testing.assert_frame_equal(lists.drop(columns="user"), model.recommend(901).drop(columns="user"))
    assert model.observe_many(shuffled.assign(user=902), time="time") == len(own)
    pd.testing.assert_frame_equal(lists.drop(columns="user"), model.recommend(902).drop(columns="user"))
    in_session = model.recommend_for(own.item)
    pd.testing.assert_frame_equal(lists.drop(columns="user"), in_session)


def test_a_user_of_training_is_what_training_made(model):
    rows = np.arange(0, len(model.user_ids), 5)
    if model.config.method != "onebp":  # training goes through its events in another order
        assert "refit" in model.result
        found = np.stack([model._live.vectors([model._live.history(int(row))])[0] for row in rows])
        np.testing.assert_allclose(found, model.run.user[rows], atol=1e-5 * np.abs(model.run.user).max())


def test_a_moving_average_follows_the_order_of_events(events):
    model = Recommender("onebp", beta=0.8, **FIELDS).fit(events[events.user < 135])
    own, vector = later(events, 136), np.zeros(DIM)
    rows = dict(zip(model.item_ids, model.run.item, strict=True))
    for item in own.item:
        model.observe(136, item)
        vector = 0.8 * vector + 0.2 * rows[item]
    np.testing.assert_allclose(model.fold_in(own.item), vector, rtol=1e-5, atol=1e-7)
    scores = model.recommend(136, k=3)
    np.testing.assert_allclose(scores.score, [rows[item] @ vector for item in scores.item], rtol=1e-4)
    for changed in ({"normalize": True}, {"user_updater": "gradient"}):
        with pytest.raises(UserError, match="its users are not made of their histories"):
            Recommender("onebp", **FIELDS, **changed).fit(events).observe(101, "i1")


def test_an_event_twice_counts_once(model, events):
    known = events[events.user == 101].item.iloc[0]
    before = model.recommend(101)
    assert not model.observe(101, known)
    pd.testing.assert_frame_equal(before, model.recommend(101))
    new = before.item[0]
    assert model.observe(101, new) and not model.observe(101, new)
    assert new not in set(model.recommend(101, k=ITEMS).item)


def test_forgotten_users_are_as_new(model, events):
    own = later(events, 136)
    for user in (101, 136):
        model.observe_many(own.assign(user=user))
        assert model.forget(user)
        if user == 101:  # of training
            assert not model.forget(user) and len(model.recommend(user, k=ITEMS)) == ITEMS
        else:
            with pytest.raises(UserError, match="user='136': not an id of the run"):
                model.forget(user)
        model.observe_many(own.assign(user=user))
    first, second = (model.recommend(user).drop(columns="user") for user in (101, 136))
    pd.testing.assert_frame_equal(first, second)


def test_reasons_sum_to_the_score(model, events):
    own = later(events, 138)
    model.observe_many(own)
    lists = model.recommend(138, k=3)
    for item, score in zip(lists.item, lists.score, strict=True):
        reasons = model.explain(138, item, k=ITEMS)
        assert set(reasons.item) == set(own.item) and (np.diff(reasons.score) <= 0).all()
        assert reasons.score.sum() == pytest.approx(score, rel=1e-4, abs=1e-5)


def test_disliked_items_turn_a_list_away(model):
    liked = model.recommend_for(["i1", "i2"], k=ITEMS)
    score = dict(zip(liked.item, liked.score, strict=True))
    turned = model.recommend_for(["i1", "i2"], negative=[liked.item[0]], k=ITEMS, exclude_seen=False)
    turned_score = dict(zip(turned.item, turned.score, strict=True))
    of = liked.item[0]
    spread = lambda scores: (scores[of] - np.mean(list(scores.values()))) / np.std(list(scores.values()))
    assert spread(turned_score) < spread(score | {"i1": 0, "i2": 0})
    assert set(model.recommend_for(["i1"], items=["i3", "i1"]).item) == {"i3"}


@pytest.mark.parametrize("weight", [1.0, -1.0])
def test_what_comes_late_does_not_undo_what_was_said_later(model, weight):
    """A client that was offline delivers an old like after a newer dislike, or the other way round."""
    assert model.observe(2000, "i1", time=100.0, weight=-weight) and model.observe(
        2000, "i1", time=200.0, weight=weight
    )
    before = model.recommend(2000, k=5)
    assert not model.observe(2000, "i1", time=150.0, weight=-weight)
    pd.testing.assert_frame_equal(model.recommend(2000, k=5), before)
    assert model.observe(2000, "i1", time=200.0, weight=-weight)  # at the same time: the last to come
    assert model.observe(2000, "i1", weight=weight)  # no time: now


def test_a_dislike_counts_against_and_the_last_word_counts(model, events):
    own = later(events, 138).item.tolist()
    for item in own[:3]:
        model.observe(138, item)
    liked = model.recommend(138, k=ITEMS, exclude_seen=False)
    assert model.observe(138, own[0], weight=-1) and not model.observe(138, own[0], weight=-2)
    disliked = model.recommend(138, k=ITEMS, exclude_seen=False)
    score = lambda lists: lists.set_index("item").score[own[0]]
    assert score(disliked) < score(liked)
    assert own[0] not in set(model.recommend(138, k=ITEMS).item)
    shares = model.explain(138, own[5], k=3).set_index("item").score
    assert shares.sum() == pytest.approx(disliked.set_index("item").score[own[5]], rel=1e-4)
    for item, weight in ((own[1], 1), (own[2], 1), (own[0], -1)):  # the same events at once
        model.observe(903, item, weight=weight)
    pd.testing.assert_frame_equal(model.recommend(903, k=ITEMS).drop(columns="user"),
                                  model.recommend(138, k=ITEMS).drop(columns="user"))  # fmt: skip
    assert model.observe(138, own[0])
    model.observe(904, own[1]), model.observe(904, own[2]), model.observe(904, own[0])
    pd.testing.assert_frame_equal(model.recommend(904, k=ITEMS).drop(columns="user"),
                                  model.recommend(138, k=ITEMS).drop(columns="user"))  # fmt: skip


def test_an_id_is_the_same_user_however_it_is_written(model, events):
    new = model.recommend(101, k=3).item.tolist()
    for user, item in zip((101.0, np.float64(101), "101"), new, strict=True):
        assert model.observe(user, item)
    assert not set(new) & set(model.recommend(101, k=ITEMS).item) and len(model._live) == 1


def test_users_after_one_who_is_forgotten(model, events):
    for user in (5000, 5001, 5002):
        model.observe_many(events[events.user == 101].assign(user=user))
    model.forget(5000)
    model.observe(5000, "i1")
    assert 5002 in model.similar_users(5001, k=5).similar.tolist()
    assert model.similar_users(5000, k=1).user.tolist() == [5000]
    everybody = model.recommend(k=1).user.tolist()
    assert sorted(everybody)[-3:] == [5000, 5001, 5002] and len(set(everybody)) == len(everybody)


def test_weights_of_a_frame(model):
    frame = pd.DataFrame({"user": [900] * 3, "item": ["i1", "i2", "i3"], "much": [1.0, -1.0, 2.5]})
    assert model.observe_many(frame, weight="much") == 3
    for item, weight in (("i1", 1), ("i2", -1), ("i3", 2.5)):
        model.observe(901, item, weight=weight)
    lists = [model.recommend(user).drop(columns="user") for user in (900, 901)]
    pd.testing.assert_frame_equal(*lists)
    with pytest.raises(UserError, match="weight=0.0: expected a number above 0, at most"):
        model.observe_many(frame.assign(much=0.0), weight="much")


def test_dates_beside_times_that_are_numbers(model):
    if model._live.times is None:
        model.observe(900, "i1", time=pd.Timestamp("2030-01-01"))
    else:
        with pytest.raises(UserError, match="the times of the data are numbers"):
            model.observe(900, "i1", time=pd.Timestamp("2030-01-01"))


def test_weights_count(model):
    once, heavy = (model.fold_in(["i1", "i2"], weights=[1, weight]) for weight in (1, 5))
    only = model.fold_in(["i2"])
    near = lambda vector: vector @ only / np.linalg.norm(vector) / np.linalg.norm(only)
    assert near(heavy) > near(once)


def test_an_old_event_takes_its_place_among_those_of_training(events):
    model = Recommender("onebp", beta=0.5, split="time", **FIELDS).fit(events[events.user < 135])
    own = events[events.user == 101]
    new = next(f"i{item}" for item in range(ITEMS) if f"i{item}" not in set(own.item))
    for time in (own.time.iloc[0] - 1, own.time.iloc[3] + 0.5):
        assert model.observe(101, new, time)
        items = [item for _, item in sorted([*zip(own.time, own.item, strict=True), (time, new)])]
        found = model._now().user[model.user_ids.tolist().index(101)]
        np.testing.assert_allclose(found, model.fold_in(items), rtol=1e-5, atol=1e-7)
        model.forget(101)
        model.observe_many(own, time="time")


def test_dates_are_times(model):
    if model._live.times is not None:
        pytest.skip("the times of these data are numbers that are no seconds: the test above")
    dates = pd.to_datetime(["2024-01-02", "2024-01-01"])
    by_number = model.fold_in(["i1", "i2"], times=[2, 1])
    np.testing.assert_array_equal(model.fold_in(["i1", "i2"], times=dates), by_number)
    frame = pd.DataFrame({"user": [7, 7], "item": ["i1", "i2"], "day": dates})
    assert model.observe_many(frame, time="day") == 2
    np.testing.assert_array_equal(model._now().user[-1], by_number)


def test_columns_that_are_not_used_are_said(model, caplog):
    frame = pd.DataFrame({"user": [7], "item": ["i1"], "time": [3], "weight": [2]})
    model.observe_many(frame)
    assert [record.getMessage() for record in caplog.records if "not used" in record.getMessage()]


def test_what_is_compared_and_exported_is_what_is_now(model, events, tmp_path):
    before = model.similar_users(101)
    model.forget(101)
    model.observe_many(later(events, 136))
    assert not model.similar_users(101).equals(before) and len(model.similar_users(136))
    model.export(tmp_path / "now.npz")
    vectors = dict(np.load(tmp_path / "now.npz", allow_pickle=True))
    ids = [int(one) for one in vectors["user_ids"]]
    assert 136 in ids and not vectors["user"][ids.index(101)].any()


def test_threads_lose_nothing(model, events):
    own = later(events, 139)
    users = list(range(950, 958))

    def work(user):
        for item in own.item:
            model.observe(user, item)
            model.recommend(user, k=2)

    threads = [threading.Thread(target=work, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = model.recommend_for(own.item)
    for user in users:
        pd.testing.assert_frame_equal(model.recommend(user).drop(columns="user"), expected)


REFUSED = {
    "unknown item": (lambda model: model.observe(101, "nix"), "item='nix': not an id of the run"),
    "weight": (lambda model: model.observe(101, "i1", weight=0), "weight=0: expected a number above 0"),
    "weight nan": (lambda model: model.observe(101, "i1", weight=np.nan), "weight=nan: expected a number above 0"),
    "time": (lambda model: model.observe(101, "i1", time="now"), "time='now': expected a number"),
    "weight too large": (
        lambda model: model.observe(101, "i1", weight=1e300),
        "weight=1e+300: expected a number above 0",
    ),
    "time too large": (lambda model: model.observe(101, "i1", time=10**400), "time=1000"),
    "two items": (lambda model: model.observe(101, ["i1", "i2"]), "item: 2 ids, expected one"),
    "two users": (lambda model: model.forget([101, 102]), "user: 2 ids, expected one"),
    "no user": (lambda model: model.observe(None, "i1"), "user=None: expected an integer"),
    "blank user": (lambda model: model.observe(" 102 ", "i1"), "user=' 102 ': expected an integer"),
    "half a user": (lambda model: model.observe(1.5, "i1"), "user=1.5: expected an integer"),
    "truth": (lambda model: model.observe(True, "i1"), "user=True: expected an integer"),
    "nan times": (lambda model: model.fold_in(["i1", "i2"], times=[1, np.nan]), "time=nan: expected a number"),
    "no time": (lambda model: model.fold_in(["i1", "i2"], times=[1, None]), "times: one is None"),
    "one weight": (lambda model: model.fold_in(["i1", "i2"], weights=2), "weights=2: expected one of each item"),
    "two columns": (
        lambda model: model.observe_many(pd.DataFrame([[1, 2, "i1"]], columns=["user", "user", "item"])),
        "user='user': 2 columns 'user'; the frame has user, user, item",
    ),
    "same column": (
        lambda model: model.observe_many(pd.DataFrame({"item": ["i1"]}), user="item"),
        "user='item', item='item', time=None, weight=None: expected different columns",
    ),
    "unknown user": (lambda model: model.explain("nobody", "i1"), "user='nobody': not an id"),
    "unknown in a column": (
        lambda model: model.observe_many(pd.DataFrame({"user": [1], "what": ["nix"]}), item="what"),
        "column what='nix': not an id",
    ),
    "unknown positive": (lambda model: model.recommend_for(["nix"]), "positive='nix': not an id"),
    "unknown negative": (lambda model: model.recommend_for(["i1"], ["nix"]), "negative='nix': not an id"),
    "unknown in a history": (lambda model: model.fold_in(["nix"]), "items='nix': not an id"),
    "twice": (lambda model: model.fold_in(["i1", "i1"]), "items: 'i1' is given twice"),
    "times": (lambda model: model.fold_in(["i1", "i2"], times=[1]), "times: 1 for 2 items"),
    "weights": (lambda model: model.fold_in(["i1", "i2"], weights=[1]), "weights: 1 for 2 items"),
    "no frame": (lambda model: model.observe_many([1]), "events: of type list, expected a DataFrame"),
    "column": (
        lambda model: model.observe_many(pd.DataFrame({"user": [1]})),
        "item='item': no column 'item'; the frame has user: name one, as in item='user'",
    ),
    "missing": (
        lambda model: model.observe_many(pd.DataFrame({"user": [1, None], "item": ["i1", "i2"]})),
        "column user: missing values in 1 row",
    ),
    "text times": (
        lambda model: model.observe_many(pd.DataFrame({"user": [1], "item": ["i1"], "time": ["x"]}), time="time"),
        "time='x': expected a number",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_without_a_trace(model, name):
    call, said = REFUSED[name]
    before = model.recommend(101)
    with pytest.raises(UserError) as caught:
        call(model)
    assert str(caught.value).startswith(said)
    pd.testing.assert_frame_equal(before, model.recommend(101))


def test_a_method_whose_users_are_trained_refuses_events(events):
    model = Recommender("twobp", **FIELDS).fit(events)
    with pytest.raises(UserError, match="^method='twobp': its users are not made of their histories"):
        model.observe(101, "i1")


@pytest.mark.parametrize(
    "name, change", [("width", lambda x: x[:0]), ("item_weight", lambda x: x[:, 1:]), ("share", None)]
)
def test_a_damaged_fold_is_said(model, name, change):
    path = model.workdir / "fold.npz"
    arrays = dict(np.load(path))
    arrays[name] = change(arrays[name]) if change else None
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(UserError, match=r"fold.npz"):
        model.observe(101, "i1")
