"""Recommend, score, then observe: ranks against plain NumPy, each arm, and the program."""

import numpy as np
import pandas as pd
import pytest
from support.programs import SMALL, assert_one_line, run
from support.writes import watch

from onebp_jax import Recommender, UserError
from onebp_jax.ops.fold import ALIKE, Recency
from onebp_jax.ops.gpu import trace_for_gpu
from onebp_jax.serving import arms as arms_module
from onebp_jax.serving import learning
from onebp_jax.serving.arms import Frozen, ItemKNN, Live, Popular
from onebp_jax.serving.learning import Learning
from onebp_jax.serving.prequential import by_window, events_in_rows, p_value, prequential
from onebp_jax.training.fold_file import read_fold

USERS, ITEMS, RECENT = 20, 12, 30.0


@pytest.fixture(scope="module")
def events():
    random = np.random.default_rng(0)
    pairs = random.permutation(np.argwhere(random.random((USERS, ITEMS)) < 0.5))
    frame = pd.DataFrame({"user": [f"u{user}" for user in pairs[:, 0]], "item": pairs[:, 1], "time": range(len(pairs))})
    # Two items are new after the first 80 events.
    return pd.concat([frame[:80][frame.item[:80] < 10], frame[80:]], ignore_index=True)


@pytest.fixture(scope="module")
def early(events):
    return events[: (events.time < 80).sum()]


@pytest.fixture(scope="module")
def model(early):
    return Recommender("onebp_history", dim=4, epochs=2, batch_size=8, seed=1).fit(early)


def of(model, later):
    """Live users without events since training, the events, and the arms that are always there."""
    model.__dict__.pop("live", None)
    model = Recommender.load(model.workdir)
    live, in_rows = events_in_rows(model, later)
    known = {
        "popular": Popular(live.popularity(), in_rows.num_items, RECENT),
        "frozen": Frozen(model.run.user, model.run.item, in_rows.num_items),
        "live": Live(live, in_rows.num_items),
    }
    return live, in_rows, known


def test_ranks_are_those_of_plain_numpy(events, early, model):
    later = pd.concat([events[len(early) :], events[len(early) :][:3]])  # three repeated pairs
    live, in_rows, arms = of(model, later)
    ranks = prequential(live, in_rows, arms)

    item = np.concatenate([model.run.item, np.full((2, 4), np.nan)])
    ids = [*model.item_ids.tolist(), *dict.fromkeys(one for one in later.item if one not in model.item_ids)]
    row = {one: place for place, one in enumerate(ids)}
    assert len(row) == ITEMS == in_rows.num_items
    histories = {user: [row[one] for one in own.item] for user, own in early.groupby("user")}
    counts = np.bincount(early.item.map(row), minlength=ITEMS) * RECENT / len(early)
    frozen = dict(zip(model.user_ids, model.run.user, strict=True))
    seen, unranked = set(range(len(model.item_ids))), 0
    for event, (user, one) in enumerate(zip(later.user, later.item, strict=True)):
        known, place = histories.setdefault(user, []), row[one]
        if place in known or place not in seen:
            assert not any(ranks[arm][event] for arm in ranks)
            unranked += 1
        else:
            own = [one for one in known if one < len(model.item_ids)]
            vectors = {"popular": None, "frozen": frozen.get(user), "live": item[own].sum(0) if own else None}
            for arm, vector in vectors.items():
                scores = counts.copy() if vector is None else item @ (vector / np.linalg.norm(vector))
                scores = np.nan_to_num(scores, nan=-1e9)  # the last place
                candidates = [one for one in seen if one not in known]
                above, level = (scores[candidates] > scores[place]).sum(), (scores[candidates] == scores[place]).sum()
                assert ranks[arm][event] == 1 + above + level // 2
        if place not in known:
            counts *= 1 - 1 / RECENT
            counts[place] += 1
            known.append(place)
        seen.add(place)
    assert unranked == 3 + 2


def test_item_neighbours_are_counted_as_they_come():
    pairs = np.array([[0, 0], [0, 1], [1, 1], [1, 2]])
    grown, recency = ItemKNN(pairs[:3], 4, Recency(2.0, 0.1)), Recency(2.0, 0.1)
    grown.observe(1, 2, 0.0, [1])
    whole = ItemKNN(pairs, 4, recency)
    np.testing.assert_array_equal(grown.scores(5, [0, 1]), whole.scores(5, [0, 1]))
    old, new = recency.of_ages(np.array([1, 0]))
    # Item 1 has two users; 0 and 2 have one of them each. Nobody has item 3.
    expected = [old + new / np.sqrt(2), old / np.sqrt(2) + new, new / np.sqrt(2), -np.inf]
    np.testing.assert_allclose(whole.scores(5, [0, 1]), expected, rtol=1e-6)
    assert whole.scores(5, []) is None


def test_too_many_items_for_neighbours(monkeypatch):
    monkeypatch.setattr(arms_module, "MOST_ITEMS", 3)
    with pytest.raises(UserError, match="itemknn: 4 items, expected at most 3"):
        ItemKNN(np.array([[0, 0]]), 4, ALIKE)


def test_learning_at_rate_zero_is_live_and_else_learns(events, early, model, monkeypatch):
    """Live knows nothing of new items, so here they are left out."""
    monkeypatch.setattr(learning, "BATCH", 8)
    later = events[len(early) :]
    live, in_rows, arms = of(model, later[later.item.isin(model.item_ids)])
    fold = read_fold(model.workdir, model.run.item.shape)
    for rate in (0.0, 0.1):
        arms[f"learning {rate}"] = Learning(model.run, fold, in_rows.num_items, rate)
    ranks = prequential(live, in_rows, arms)
    assert np.abs(ranks["learning 0.0"] - ranks["live"]).max() <= 1  # ties of rounded numbers
    assert (ranks["learning 0.1"] != ranks["live"]).any()
    assert (ranks["learning 0.1"] == ranks["learning 0.0"])[:8].all()


def test_a_new_item_is_learned_from_its_users(model):
    fold, num_items = read_fold(model.workdir, model.run.item.shape), len(model.item_ids) + 1
    arm = Learning(model.run, fold, num_items, 0.1)
    assert arm.scores(0, [3])[-1] == -np.inf
    for _ in range(learning.BATCH):
        arm.observe(0, num_items - 1, 0.0, [3])
    assert arm.scores(0, [3])[-1] > 0.5  # the cosine of the user and the new item


def test_learning_adds_to_no_row_twice_on_a_gpu(model, monkeypatch):
    """Events and negatives repeat items. A row that is projected is written by each of its events, with the same bits."""
    order_matters = watch(monkeypatch)
    for on in (True, False):
        with trace_for_gpu(on):
            arm = Learning(model.run, read_fold(model.workdir, model.run.item.shape), len(model.item_ids), 0.1)
            for event in range(learning.BATCH):
                arm.observe(0, event % 5, 0.0, [3])
        assert arm._is_unit and bool(order_matters()) == (not on)


def test_als_knows_new_items_after_a_refit():
    pytest.importorskip("implicit")
    from onebp_jax.benchmarks.als_arm import Als

    pairs = np.argwhere(np.random.default_rng(0).random((20, 10)) < 0.4)
    arm = Als(pairs, (21, 11), refit_after=60.0, factors=4)
    assert arm.scores(20, []) is None and arm.scores(20, [1, 2])[10] == -np.inf
    for user in range(5):
        arm.observe(user, 10, 0.0, [])
    assert arm.scores(20, [1, 2])[10] == -np.inf
    arm.observe(6, 10, 61.0, [])
    assert np.isfinite(arm.scores(20, [1, 2])).all()


def test_windows_and_their_test():
    ranks = {"popular": np.array([1, 2, 0, 40, 3, 21]), "frozen": np.array([1, 1, 0, 1, 1, 1]), "live": np.ones(6, int)}
    windows = by_window(ranks, windows=5)
    assert windows["popular"]["R@20"] == [1, 1, 0, 1, 0]
    np.testing.assert_allclose(windows["popular"]["DCG@20"], [1, 1 / np.log2(3), 0, 0.5, 0])
    assert p_value([1.0, 2.0], [1.0, 2.0]) == 1 and p_value([1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 0]) == pytest.approx(
        1 / 32
    )
    with pytest.raises(UserError, match="5 events can be ranked, expected at least 6"):
        by_window(ranks, windows=6)


def test_the_program(events, early, tmp_path):
    later = events[len(early) :]
    for name, part in (("early", early), ("later", later)):
        part.to_csv(tmp_path / f"{name}.csv", index=False)
    folder = f"--workdir={tmp_path / 'run'}"
    made = run("train", *SMALL, folder, f"--config.dataset={tmp_path / 'early.csv'}", "--config.method=onebp_history")
    assert made.returncode == 0, made.stderr
    ask = ["evaluate", folder, "--mode=streaming"]
    assert_one_line(run(*ask), 2, "--mode=streaming needs events after training: give --dataset=PATH")
    assert_one_line(
        run("evaluate", folder, "--arms=als"), 2, "--arms=als is for --mode=streaming, and the mode is split"
    )
    process = run(
        *ask,
        f"--dataset={tmp_path / 'later.csv'}",
        f"--out={tmp_path / 'out.json'}",
        "--arms=itemknn",
        "--arms=learning",
    )
    assert process.returncode == 0, process.stderr
    assert "one of the 2 items that training did not know" in process.stdout
    assert all(f"| {arm} " in process.stdout for arm in ("popular", "frozen", "live", "itemknn", "learning"))
    assert " of 20, p = " in process.stdout and (tmp_path / "out.json").exists()
    later.drop(columns="time").to_csv(tmp_path / "no_time.csv", index=False)
    assert_one_line(run(*ask, f"--dataset={tmp_path / 'no_time.csv'}"), 2, "there are no times")
