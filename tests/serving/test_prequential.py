"""Recommend, score, then observe: ranks against plain NumPy, and the program."""

import numpy as np
import pandas as pd
import pytest
from support.programs import SMALL, assert_one_line, run

from onebp_jax import Recommender, UserError
from onebp_jax.serving.prequential import by_window, p_value, prequential

USERS, ITEMS, RECENT = 20, 12, 30.0


@pytest.fixture(scope="module")
def events():
    random = np.random.default_rng(0)
    pairs = random.permutation(np.argwhere(random.random((USERS, ITEMS)) < 0.5))
    return pd.DataFrame({"user": [f"u{user}" for user in pairs[:, 0]], "item": pairs[:, 1], "time": range(len(pairs))})


def test_ranks_are_those_of_plain_numpy(events):
    early, later = events[:80], events[80:]
    model = Recommender("onebp_history", dim=4, epochs=2, batch_size=8).fit(early)
    later = later[later.item.isin(model.item_ids)]
    later = pd.concat([later, later[:3]])  # three repeated pairs
    live, (users, items) = model.live_rows(later)
    ranks = prequential(live, users, items, RECENT)

    item = model.run.item
    row = {one: place for place, one in enumerate(model.item_ids.tolist())}
    histories = {user: [row[one] for one in own.item] for user, own in early.groupby("user")}
    counts = np.bincount(early.item.map(row), minlength=len(item)) * RECENT / len(early)
    frozen = dict(zip(model.user_ids, model.run.user, strict=True))
    weight = lambda rows: np.sum(item[rows], 0)  # without damping an event adds the vector of its item
    for event, (user, one) in enumerate(zip(later.user, later.item, strict=True)):
        known, place = histories.setdefault(user, []), row[one]
        if place in known:
            assert not any(ranks[arm][event] for arm in ranks)
        else:
            vectors = {"popular": None, "frozen": frozen.get(user), "live": weight(known) if known else None}
            for arm, vector in vectors.items():
                scores = counts.copy() if vector is None else item @ (vector / np.linalg.norm(vector))
                scores[known] = -np.inf
                assert ranks[arm][event] == 1 + (scores > scores[place]).sum() + (np.sum(scores == scores[place])) // 2
            known.append(place)
        counts *= 1 - 1 / RECENT
        counts[place] += 1


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


def test_the_program(events, tmp_path):
    for name, part in (("early", events[:80]), ("later", events[80:])):
        part.to_csv(tmp_path / f"{name}.csv", index=False)
    folder = f"--workdir={tmp_path / 'run'}"
    made = run("train", *SMALL, folder, f"--config.dataset={tmp_path / 'early.csv'}", "--config.method=onebp_history")
    assert made.returncode == 0, made.stderr
    ask = ["evaluate", folder, "--mode=streaming"]
    assert_one_line(run(*ask), 2, "--mode=streaming needs events after training: give --dataset=PATH")
    process = run(*ask, f"--dataset={tmp_path / 'later.csv'}", f"--out={tmp_path / 'out.json'}")
    assert process.returncode == 0, process.stderr
    assert "| live " in process.stdout and "of 20 windows, Wilcoxon p = " in process.stdout
    assert (tmp_path / "out.json").exists()
    events[80:].drop(columns="time").to_csv(tmp_path / "no_time.csv", index=False)
    assert_one_line(run(*ask, f"--dataset={tmp_path / 'no_time.csv'}"), 2, "there are no times")
