"""The numbers of a report on data whose answers are known."""

import ml_collections
import numpy as np
import pytest

from onebp_jax.analysis.frames import rows_of
from onebp_jax.analysis.genres import genres_of
from onebp_jax.config import default_config
from onebp_jax.data import Dataset
from onebp_jax.experiments.settings import names_of
from onebp_jax.reports import accuracy, listed, making, words
from onebp_jax.reports.runs import Run, Runs

N = 6


def run(name, seed, lists, **result) -> Run:
    config = default_config()
    config.seed = seed
    base = {"label": name, "protocol": "honest", "metrics": {}, "epoch": 2, "epochs_done": 3}
    base["seconds"] = {"train": 3.0, "eval": 0.5, "compile": 1.0, "per_epoch": 1.0}
    return Run(f"runs/{name}-{seed}", name, seed, config, base | result, [], np.array(lists), 1000)


def found(*runs, name="own.csv") -> Runs:
    """Four users of six items; users 0, 1 and 3 have test items."""
    train = np.array([[0, 0], [0, 1], [1, 0], [2, 0], [2, 2], [3, 0], [3, 1], [3, 3]])
    test = np.array([[0, 2], [1, 1], [1, 2], [3, 5]])
    dataset = Dataset(name, train, test, np.arange(4), np.arange(N), "given")
    users = np.array([0, 1, 3])
    return Runs(dataset, list(runs), users, np.array([[0, 2], [1, 1], [1, 2], [2, 5]]))


GOOD, BAD = [[2, 3], [1, 2], [5, 4]], [[3, 4], [1, 5], [4, 2]]


def test_users_are_compared_one_by_one_over_the_mean_of_seeds():
    told = found(run("a", 0, GOOD), run("a", 1, BAD), run("b", 0, BAD))
    users = accuracy.of_users(told)
    assert users["a", 0]["P@5"].tolist() == [0.2, 0.4, 0.2] and users["a", 1]["P@5"].tolist() == [0, 0.2, 0]
    frame = accuracy.differences(told, users)
    one = rows_of(frame, model="a", than="b", metric="P@5").iloc[0]
    assert one["mean"] == pytest.approx(0.1)  # each user has .1 more
    assert (one["low"], one["high"]) == (pytest.approx(0.1), pytest.approx(0.1))
    assert (one["better"], one["equal"], one["worse"]) == (1, 0, 0)
    back = rows_of(frame, model="b", than="a", metric="P@5").iloc[0]
    assert back["mean"] == pytest.approx(-0.1) and back["worse"] == 1
    assert accuracy.best(told, users) == {"honest": "a"}


def test_methods_of_different_protocols_are_not_compared():
    told = found(run("a", 0, GOOD), run("b", 0, BAD, protocol="paper_oracle"))
    users = accuracy.of_users(told)
    assert not len(accuracy.differences(told, users))
    assert accuracy.best(told, users) == {"honest": "a", "paper_oracle": "b"}


def test_users_with_equally_long_histories_are_in_one_group():
    told = found(run("a", 0, GOOD))
    frame = accuracy.by_history(told, accuracy.of_users(told))
    assert frame["items"].tolist() == ["1 to 1", "2 to 2", "3 to 3"] and frame["users"].tolist() == [1, 1, 1]


def test_published_numbers_are_of_the_given_split_only():
    told = found(run("onebp", 0, GOOD), run("user_only", 0, BAD), run("ease", 0, BAD), name="ml-100k")
    frame = accuracy.printed(told)
    assert rows_of(frame, model="onebp", metric="NDCG@20")["value"].tolist() == [0.4501]
    assert set(frame["model"]) == {"onebp", "user_only"} and set(frame["row"]) == {"OneBP", "user only"}
    assert not len(accuracy.printed(found(run("onebp", 0, GOOD))))


def test_measures_of_lists():
    genres = genres_of(["a", "a", "b", "b", "a|b", "b"], np.arange(N), N)
    frame = listed.of_runs(found(run("a", 0, GOOD)), genres)
    value = rows_of(frame, k=5).set_index("measure")["value"]
    assert value["Coverage"] == 5 / 6
    # Training users: 4, 2, 1, 1, 0, 0.
    assert value["AvgPop"] == pytest.approx((1 + 1 + 2 + 1 + 0 + 0) / 6)
    assert value["Head"] == 0 and value["Tail"] == value["Middle"] == 0.5
    # Users of items: 2: {2}, 3: {3}; 1: {0, 3}, 2: {2}; 5, 4: none.
    assert value["Diversity"] == pytest.approx(1)
    cosine = np.array([1, 0, 1 / np.sqrt(2)])
    assert value["GenreDiversity"] == pytest.approx(1 - cosine.mean())
    assert {"Miscalibration", "PopDeviation"} <= set(value.index)
    assert "GenreDiversity" not in set(listed.of_runs(found(run("a", 0, GOOD)), None)["measure"])


def test_popular_and_rare_items():
    frame = listed.by_popularity(found(run("a", 0, GOOD), run("a", 1, BAD)))
    share = {what: rows["share"].tolist() for what, rows in frame.groupby("what")}
    assert share["train"] == [0.5, 0.375, 0.125] and share["test"] == [0, 0.75, 0.25]
    assert share["a"] == pytest.approx([0, (3 / 6 + 2 / 6) / 2, (3 / 6 + 4 / 6) / 2])
    recall = rows_of(frame, what="a")["recall"].tolist()
    assert np.isnan(recall[0]) and recall[1:] == pytest.approx([(1 + 1 / 3) / 2, (1 + 0) / 2])


def test_lorenz_curves_end_at_one_and_agree_with_gini():
    frame = listed.concentration(found(run("a", 0, GOOD)), points=N + 1)
    curve = rows_of(frame, what="a")["share"].to_numpy()
    assert (curve[0], curve[-1]) == (0, 1)
    gini = rows_of(listed.of_runs(found(run("a", 0, GOOD)), None), k=20, measure="Gini")["value"].iloc[0]
    assert 1 - 2 * np.trapezoid(curve, dx=1 / N) == pytest.approx(gini)


def test_time_and_sizes():
    lines = [{"step": 40, "epoch": 2, "split": "validation", "seconds": 2.5, "loss": 1.0, "metrics": {"NDCG@20": 0.5}}]
    one = run("a", 0, GOOD)._replace(evaluations=lines)
    told = found(one, run("ease", 0, BAD, epoch=0, epochs_done=0))
    row, untrained = making.speed(told).to_dict("records")
    assert (row["step_ms"], row["epoch_ms"], row["to_best_s"]) == (50, 1000, 2.5)
    assert (row["total_s"], row["vector_mb"]) == (4.5, 0.001)
    assert np.isnan(untrained["step_ms"]) and np.isnan(untrained["epochs"])
    [point] = making.curves(told).to_dict("records")
    assert (point["epoch"], point["value"], point["chosen"]) == (2, 0.5, True)


def config_of(**fields) -> ml_collections.ConfigDict:
    config = default_config()
    config.update(fields)
    return config


def test_names_say_what_differs():
    runs = [
        ("onebp", config_of(seed=0)),
        ("onebp", config_of(seed=1)),
        ("onebp", config_of(dim=64, epochs=7)),
        ("twobp", config_of(method="twobp")),
    ]
    assert names_of(runs) == ["onebp (dim=32)", "onebp (dim=32)", "onebp (dim=64)", "twobp"]
    both = [("a", config_of(protocol="paper_oracle", epochs=7)), ("a", config_of())]
    assert names_of(both) == ["a (protocol=paper_oracle)", "a (protocol=honest)"]
    four = [("a", config_of(dim=d, epochs=e)) for d in (8, 16) for e in (1, 2)]
    assert names_of(four)[1] == "a (dim=8, epochs=2)"
    assert names_of([("a", config_of(options={"margin": 1.0})), ("a", config_of())])[0] == "a (options.margin=1.0)"


def test_numbers_are_written_short():
    assert words.spread([0.1, 0.3]) == ".2000 ±.1414" and words.spread([]) == ""
    assert words.plain(-0.5, 2, sign=True) == "−.50" and words.plain(1.0, 2, sign=True) == "+1.00"
