"""Items that training did not know: made of their features, recommended, observed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from onebp_jax import Recommender, UserError
from onebp_jax.data.features import to_features
from onebp_jax.serving.new_items import PENALTIES, map_features

ITEMS, KINDS = 60, ("red", "green", "blue")


@pytest.fixture(scope="module")
def fitted():
    """Each user likes one kind of item; the features of an item say its kind."""
    random, rows = np.random.default_rng(0), []
    for user in range(90):
        liked = [item for item in range(ITEMS) if item % 3 == user % 3]
        rows += [(user, f"i{item}") for item in random.choice(liked, 8, replace=False)]
    frame = pd.DataFrame(rows, columns=["user", "item"])
    return Recommender("onebp_history", dim=8, epochs=10, batch_size=16, learning_rate=0.05).fit(frame)


@pytest.fixture
def model(fitted, tmp_path):
    fitted.save(tmp_path / "saved")
    return Recommender.load(tmp_path / "saved")


def features(numbers, prefix="i"):
    return pd.DataFrame(
        {
            "item": [f"{prefix}{number}" for number in numbers],
            "colour": [KINDS[number % 3] for number in numbers],
            "title": [f"Title {prefix}{number}" for number in numbers],
        }
    )


def test_new_items_go_to_those_who_like_their_kind(model):
    both = pd.concat([features(range(ITEMS)), features(range(6), "new")])
    before = model.run.item.copy()
    assert model.add_items(both[["item", "colour"]]) == 6
    assert model.item_ids.tolist()[-6:] == [f"new{number}" for number in range(6)]
    for user in range(12):
        lists = model.recommend(user, k=2, items=[f"new{number}" for number in range(6)])
        assert {int(item[3:]) % 3 for item in lists.item} == {user % 3}
    nearest = model.similar_items("new1", k=5).similar
    assert {int(item.removeprefix("i").removeprefix("new")) % 3 for item in nearest} == {1}
    np.testing.assert_array_equal(model.run.item, before)  # the run itself stays


def test_an_item_without_known_features_is_said(model, caplog):
    """Nothing tells it from the others, so it gets their mean."""
    new = pd.DataFrame({"item": ["new0", "new1"], "colour": ["red", "ultraviolet"]})
    before = model.run.item.mean(0)
    assert model.add_items(pd.concat([features(range(ITEMS))[["item", "colour"]], new])) == 2
    assert "1 of the new items, such as 'new1', have no feature of a known item" in caplog.text
    np.testing.assert_allclose(model._live.run.item[-1], before, atol=1e-6)


def test_new_items_are_observed(model):
    model.observe(500, "i3")
    known = model.recommend(500, k=5, items=[f"i{number}" for number in range(ITEMS)])
    assert model.add_items(pd.concat([features(range(ITEMS)), features(range(6), "new")])) == 6
    again = model.recommend(500, k=5, items=[f"i{number}" for number in range(ITEMS)])
    pd.testing.assert_frame_equal(known, again.drop(columns="title"))  # what was observed before stays
    assert model.observe(500, "new0") and not model.observe(500, "new0")
    assert "new0" not in set(model.recommend(500, k=ITEMS + 6).item)
    assert model.explain(500, "new3").item.tolist()[0] in ("i3", "new0")
    assert model.recommend(1, k=1, items=["new1"]).title.tolist() == ["Title new1"]
    assert model.add_items(features(range(ITEMS))) == 0
    assert model.add_items(pd.concat([features(range(ITEMS)), features([7], "late")])) == 1
    assert model.observe(500, "late7")


def test_save_and_training_leave_new_items_behind_and_say_so(model, tmp_path, caplog):
    model.add_items(pd.concat([features(range(ITEMS)), features([0], "new")]))
    model.save(tmp_path / "copy")
    assert "save without what came after training: events of 0 user(s), 1 new item(s)" in caplog.text


REFUSED = {
    "few": (lambda: pd.concat([features(range(5)), features([0], "new")]), "5 of 6 rows are known items"),
    "no features": (
        lambda: pd.concat([features(range(ITEMS)), features([0], "new")])[["item"]],
        "it has no column of features",
    ),
    "kind": (
        lambda: pd.concat([features(range(ITEMS)), features([0], "new")]).assign(item=lambda frame: range(len(frame))),
        "0 of 61 rows are known items",
    ),
}


@pytest.mark.parametrize("made, words", REFUSED.values(), ids=REFUSED)
def test_refused(model, made, words):
    with pytest.raises(UserError, match=words):
        model.add_items(made())


def test_the_map_is_ridge_regression():
    """Against the normal equations, with the penalty that a tenth of the items chooses."""
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"size": random.normal(size=80), "kind": random.choice(["a", "b", "c"], 80)})
    made = to_features(frame)
    columns = np.concatenate([made.numeric, np.eye(made.vocabulary + 1)[made.tokens[:, 0]][:, :-1]], 1)
    truth = columns @ random.normal(size=(columns.shape[1], 5))
    known = np.arange(60)
    mapped = map_features(made, known, truth[:60].astype(np.float32))
    assert mapped.penalty == PENALTIES[0] and mapped.explained > 0.99  # without noise the least penalty is best
    mean = truth[:60].mean(0)
    gram = columns[:60].T @ columns[:60] + mapped.penalty * np.eye(columns.shape[1])
    expected = columns @ np.linalg.solve(gram, columns[:60].T @ (truth[:60] - mean)) + mean
    np.testing.assert_allclose(mapped.vectors, expected, rtol=1e-3, atol=1e-4)
    noise = map_features(made, known, random.normal(size=(60, 5)).astype(np.float32))
    assert noise.penalty > PENALTIES[2] and noise.explained < 0.2
