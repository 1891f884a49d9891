"""Users built of their first events: against plain NumPy, what is left out and refused, and the program."""

import json

import numpy as np
import pandas as pd
import pytest
from support.programs import SMALL, assert_one_line, run

from onebp_jax import Recommender, UserError
from onebp_jax.serving.fold_in import fold_in, load_users


@pytest.fixture(scope="module")
def parts():
    """Pairs to train on, and a folder's two files of users whom training does not see."""
    random = np.random.default_rng(1)
    frame = pd.DataFrame(random.permutation(np.argwhere(random.random((40, 30)) < 0.4)), columns=["user", "item"])
    frame["held_out"] = frame.groupby("user").cumcount() < 3
    known = frame.user < 30
    return frame[known & ~frame.held_out], frame[~known & ~frame.held_out], frame[~known & frame.held_out]


@pytest.fixture(scope="module")
def folder(parts, tmp_path_factory):
    made = tmp_path_factory.mktemp("held")
    for name, part in (("train", parts[1]), ("test", parts[2])):
        part[["user", "item"]].to_csv(made / f"{name}.csv", index=False)
    return made


@pytest.fixture(scope="module")
def model(parts):
    return Recommender("onebp_history", dim=4, epochs=2, batch_size=8).fit(parts[0][["user", "item"]])


def test_rows_are_those_of_plain_numpy(parts, folder, model):
    rows = dict(fold_in(model, load_users(model, folder, None), lengths=(2, 500)))
    assert list(rows) == ["popular", "2", "all"] and rows["2"]["shorter"] == 0 and "shorter" not in rows["all"]
    place = {item: row for row, item in enumerate(model.item_ids.tolist())}
    found = []
    for user, history in parts[1].groupby("user"):
        items = history.item.map(place).to_numpy()
        vector = model.run.item[items[:2]].sum(0)
        scores = model.run.item @ (vector / np.linalg.norm(vector))
        scores[items] = -np.inf
        wanted = parts[2].item[parts[2].user == user].map(place)
        found.append(np.isin(wanted, np.argsort(-scores)[:5]).mean())
    assert rows["2"]["R@5"] == pytest.approx(np.mean(found), abs=1e-6)


def test_users_whom_training_knew_stand_beside(parts, folder):
    both = pd.concat(parts[:2])[["user", "item"]]
    model = Recommender("onebp_history", dim=4, epochs=2, batch_size=8).fit(both)
    rows = dict(fold_in(model, load_users(model, folder, None)))
    assert rows["as trained"]["NDCG@20"] == pytest.approx(rows["all"]["NDCG@20"], abs=1e-6)


def test_unknown_items_are_left_out_and_said(parts, folder, model, tmp_path, caplog):
    for name, new in (("train", 901), ("test", 902)):
        more = pd.DataFrame({"user": [30, 99], "item": [new, new]})
        pd.concat([pd.read_csv(folder / f"{name}.csv"), more]).to_csv(tmp_path / f"{name}.csv", index=False)
    users = load_users(model, tmp_path, None)
    assert users.num_items == len(model.item_ids) and len(users.train) == len(parts[1])
    assert "2 of " in caplog.text and "and 1 of 11 users" in caplog.text


def test_what_was_trained_on_is_refused(parts, model, tmp_path):
    trained = parts[0][["user", "item"]]
    for name, part in (("train", trained[::2]), ("test", trained[1::2])):
        part.to_csv(tmp_path / f"{name}.csv", index=False)
    with pytest.raises(UserError, match=r"the run was trained on (\d+) of \1 held-out pairs"):
        load_users(model, tmp_path, None)


def test_nobody_is_left(model, tmp_path):
    pd.DataFrame({"user": [1, 1, 1], "item": ["x", "y", "z"]}).to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(UserError, match="no user has both a history and held-out pairs"):
        load_users(model, tmp_path / "x.csv", None)


def test_the_program(parts, folder, tmp_path):
    work, out = f"--workdir={tmp_path / 'run'}", tmp_path / "out.json"
    parts[0][["user", "item"]].to_csv(tmp_path / "known.csv", index=False)
    made = run("train", *SMALL, work, f"--config.dataset={tmp_path / 'known.csv'}", "--config.method=onebp_history")
    assert made.returncode == 0, made.stderr
    ask = ["evaluate", work, "--mode=fold_in"]
    assert_one_line(run(*ask), 2, "--mode=fold_in needs users whom training has not seen: give --dataset=PATH")
    process = run(*ask, f"--dataset={folder}", f"--out={out}")
    assert process.returncode == 0, process.stderr
    assert "10 users, given" in process.stdout and "| popular" in process.stdout
    assert list(json.loads(out.read_text()))[-1] == "all"
