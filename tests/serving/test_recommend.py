"""Lists and metrics on many devices, and by slices of users, equal those of one device at once."""

import importlib

import jax
import numpy as np
import pandas as pd
import pytest

from onebp_jax import serving
from onebp_jax.config import default_config
from onebp_jax.data import generate
from onebp_jax.errors import UserError
from onebp_jax.parallel import make_layout
from onebp_jax.training.run_folder import Trained

# The package has a function of the module's name.
module = importlib.import_module("onebp_jax.serving.recommend")
DATA = generate(num_users=45, num_items=37, interactions_per_user=8)
LAYOUTS = [("pmap", 4, "replicated"), ("shard_map", 8, "sharded")]


def run_of(*shape):
    random = np.random.default_rng(0)
    user, item = (random.normal(size=each).astype(np.float32) for each in ((45, *shape), (37, shape[-1])))
    return Trained(default_config(), {}, user, item, DATA.user_ids, DATA.item_ids)


def spread(layout):
    return make_layout(layout[0], jax.devices()[: layout[1]], layout[2])


@pytest.mark.parametrize("shape", [(4,), (3, 4)], ids=["a vector", "several"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_lists_are_those_of_one_device(layout, shape, monkeypatch):
    run, rows = run_of(*shape), np.array([7, 3, 3, 44, 0, 21, 8, 9, 10])
    for asked, seen in ((rows, DATA.train), (None, DATA.train), (rows, None)):
        expected = serving.recommend(run, asked, 5, seen)
        found = serving.recommend(run, asked, 5, seen, spread(layout))
        pd.testing.assert_frame_equal(found, expected, rtol=1e-6)
    monkeypatch.setattr(module, "SLICE", 4)
    pd.testing.assert_frame_equal(serving.recommend(run, rows, 5, DATA.train), expected_of(run, rows), rtol=1e-6)


def expected_of(run, rows, k=5):
    """By sorting all scores, one user after the other."""
    lines = []
    for row in rows:
        scores = np.atleast_2d(run.user[row]) @ run.item.T
        scores = scores.max(axis=0)
        scores[DATA.train[DATA.train[:, 0] == row, 1]] = -np.inf
        for rank, item in enumerate(np.argsort(-scores, kind="stable")[:k], 1):
            lines.append((run.user_ids[row], rank, run.item_ids[item], scores[item]))
    return pd.DataFrame(lines, columns=["user", "rank", "item", "score"]).astype({"score": np.float32})


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_metrics_are_those_of_one_device(layout):
    run = run_of(4)
    expected = serving.evaluate(run, DATA, "test")
    assert serving.evaluate(run, DATA, "test", spread(layout)) == pytest.approx(expected, rel=1e-6)


def test_no_users_no_lists():
    assert serving.recommend(run_of(4), np.zeros(0, int), 5, None).empty


CANDIDATES = np.array([30, 2, 2, 17, 5, 36])


@pytest.mark.parametrize("shape", [(4,), (3, 4)], ids=["a vector", "several"])
@pytest.mark.parametrize("layout", [None, *LAYOUTS], ids=str)
def test_only_candidates_are_ranked_and_in_the_order_of_all_items(shape, layout):
    run, rows = run_of(*shape), np.array([7, 3, 44])
    whole = serving.recommend(run, rows, 37, DATA.train)
    expected = whole[whole["item"].isin(run.item_ids[CANDIDATES])].reset_index(drop=True)
    expected["rank"] = expected.groupby("user", sort=False).cumcount() + 1
    found = serving.recommend(run, rows, 10, DATA.train, layout and spread(layout), items=CANDIDATES)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5, atol=1e-6)


def test_one_user_gets_the_list_that_the_user_gets_among_all():
    run, whole = run_of(4), serving.recommend(run_of(4), None, 5, DATA.train)
    for row in range(45):
        found = serving.recommend(run, np.array([row]), 5, DATA.train)
        expected = whole[whole["user"] == run.user_ids[row]].reset_index(drop=True)
        pd.testing.assert_frame_equal(found, expected, rtol=1e-6)


def test_users_who_are_asked_for_one_by_one_share_a_program(monkeypatch):
    run, forms = run_of(4), set()
    of_old = module.ranking.top_k

    def watched(user, item, plan, k):
        forms.add((user.shape, plan.seen.width, len(plan.seen.rows)))
        return of_old(user, item, plan, k)

    monkeypatch.setattr(module.ranking, "top_k", watched)
    sizes = np.bincount(DATA.train[:, 0], minlength=45)
    for row in range(45):
        serving.recommend(run, np.array([row]), 5, DATA.train)
    assert len(set(sizes)) > 2 * len(forms)


def test_a_list_longer_than_the_catalogue_has_all_unseen_items():
    run = run_of(4)
    lists = serving.recommend(run, np.array([3]), 1000, DATA.train)
    known = set(run.item_ids[DATA.train[DATA.train[:, 0] == 3, 1]])
    assert set(lists["item"]) == set(run.item_ids) - known and lists["rank"].tolist() == [*range(1, len(lists) + 1)]


@pytest.mark.parametrize(("wrong", "words"), [({"k": 0}, "k=0"), ({"items": np.zeros(0, int)}, "at least one item")])
def test_nothing_to_rank_is_refused(wrong, words):
    with pytest.raises(UserError, match=words):
        serving.recommend(run_of(4), None, **{"k": 5, "seen": None} | wrong)


@pytest.mark.parametrize("which", ["all", "train", "none"])
def test_what_is_left_out(which):
    known = {"all": [DATA.train, DATA.test], "train": [DATA.train], "none": [np.zeros((0, 2), int)]}[which]
    lists = serving.recommend(run_of(4), None, 37, module.seen_pairs(DATA, which))
    pairs = set(zip(lists["user"], lists["item"], strict=True))
    known = {(DATA.user_ids[user], DATA.item_ids[item]) for user, item in np.concatenate(known)}
    assert not pairs & known and len(pairs) + len(known) == 45 * 37
