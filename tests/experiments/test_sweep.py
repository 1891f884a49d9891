"""The search: equal trials, chosen on validation, the test set out of reach, read back where it was stopped."""

import dataclasses
import json

import numpy as np
import pytest
from support.programs import SMALL, assert_one_line, run

from onebp_jax import methods
from onebp_jax.config import default_config
from onebp_jax.data import generate
from onebp_jax.errors import RunFailed, UserError
from onebp_jax.experiments import sweep
from onebp_jax.experiments.compare import variant
from onebp_jax.experiments.search_space import parse
from onebp_jax.methods.baselines import Baseline
from onebp_jax.training import train

SPACE = parse("learning_rate=0.01|0.1")


def small(**changes):
    config = default_config()
    config.update({"epochs": 2, "batch_size": 256, "dim": 8, **changes})
    return config


@pytest.fixture(scope="module")
def dataset():
    return generate(num_users=120, num_items=90, interactions_per_user=15, seed=1)


@pytest.fixture(scope="module")
def searched(dataset, tmp_path_factory):
    folder, said = tmp_path_factory.mktemp("sweep"), []
    report = sweep.sweep(small(), dataset, folder, ["onebp", "popularity"][:1], SPACE, 3, say=said.append)
    return folder, report, said


def test_every_trial_is_a_run_with_its_validation_value_and_no_test_metrics(searched):
    folder, report, said = searched
    trials = report["methods"]["onebp"]["trials"]
    assert [trial["settings"] for trial in trials][0] == {} and len(trials) == 3 == len(said)
    assert {trial["settings"].get("learning_rate") for trial in trials} == {None, 0.01, 0.1}
    for trial in trials:
        result = json.loads((folder / trial["folder"] / "result.json").read_text())
        lines = [json.loads(line) for line in (folder / trial["folder"] / "metrics.jsonl").read_text().splitlines()]
        assert {line["split"] for line in lines} == {"validation"}
        assert result["metrics"] == {} and "test set was not read" in result["selection"]
        assert trial["validation"] == result["validation"]["NDCG@20"]
        assert trial["validation"] == max(line["metrics"]["NDCG@20"] for line in lines)
    best = max(range(3), key=lambda index: trials[index]["validation"])
    assert report["methods"]["onebp"]["chosen"] == best
    assert json.loads((folder / "sweep.json").read_text()) == json.loads(json.dumps(report))
    table = sweep.table(report).splitlines()
    assert "3 trials per method" in table[0] and [line.endswith("| chosen |") for line in table[4:]] == [
        True,
        False,
        False,
    ]


def test_the_test_set_has_no_influence_on_a_search(searched, dataset, tmp_path):
    """Without any test pair, the same trials come to the same values."""
    blind = dataclasses.replace(dataset, test=dataset.test[:0])
    report = sweep.sweep(small(), blind, tmp_path, ["onebp"], SPACE, 3, say=lambda line: None)
    strip = lambda report: [(t["settings"], t["validation"], t["epoch"]) for t in report["methods"]["onebp"]["trials"]]
    assert strip(report) == strip(searched[1])


def test_finished_trials_are_read_back_and_more_can_follow(searched, dataset, monkeypatch):
    folder, report, _ = searched
    monkeypatch.setattr(train.runner, "prepare", None)  # nothing may be trained
    again = sweep.sweep(small(), dataset, folder, ["onebp"], SPACE, 3, say=lambda line: None)
    assert again == report
    with pytest.raises(UserError, match="holds a search with other settings: space is"):
        sweep.sweep(small(), dataset, folder, ["onebp"], parse("l2=0|1"), 3)
    assert json.loads((folder / "sweep.json").read_text()) == json.loads(json.dumps(report))


def test_a_search_that_was_stopped_goes_on(searched, dataset, tmp_path, monkeypatch):
    _, report, _ = searched
    calls, real = [], sweep.train

    def stops(config, dataset, workdir, layout):
        calls.append(workdir.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(config, dataset, workdir)

    monkeypatch.setattr(sweep, "train", stops)
    with pytest.raises(KeyboardInterrupt):
        sweep.sweep(small(), dataset, tmp_path, ["onebp"], SPACE, 3, say=lambda line: None)
    assert len(json.loads((tmp_path / "sweep.json").read_text())["methods"]["onebp"]["trials"]) == 1
    again = sweep.sweep(small(), dataset, tmp_path, ["onebp"], SPACE, 3, say=lambda line: None)
    found, wanted = (one["methods"]["onebp"] for one in (again, report))
    assert [t["validation"] for t in found["trials"]] == [t["validation"] for t in wanted["trials"]]
    assert found["chosen"] == wanted["chosen"]


def test_a_method_without_training_is_fitted_without_the_validation_pairs(dataset, tmp_path, monkeypatch):
    given = []

    def own(config, *, ease_l2: float = 1.0):
        def tables(pairs, num_users, num_items):
            given.append(pairs)
            return methods.ease(config, ease_l2=ease_l2).tables(pairs, num_users, num_items)

        return Baseline(tables)

    monkeypatch.setitem(methods.NAMED, "own", own)
    report = sweep.sweep(
        small(), dataset, tmp_path, ["own"], parse("options.ease_l2=5.0|50.0"), 3, say=lambda line: None
    )
    codes = {tuple(pair) for pair in dataset.train.tolist()}
    for pairs in given:
        assert 0.85 < len(pairs) / len(dataset.train) < 0.95 and {tuple(pair) for pair in pairs.tolist()} < codes
    values = [trial["validation"] for trial in report["methods"]["own"]["trials"]]
    assert len(set(values)) == 3 and report["methods"]["own"]["chosen"] == int(np.argmax(values))


def test_a_trial_that_fails_is_said_and_not_chosen(dataset, tmp_path, monkeypatch):
    real = sweep.train

    def fails(config, dataset, workdir, layout):
        if config.learning_rate == 0.1:
            raise RunFailed("the loss is nan at step 3")
        return real(config, dataset, workdir) if config.learning_rate == 0.01 else {"never": "finite"} | EMPTY

    monkeypatch.setattr(sweep, "train", fails)
    done = sweep.sweep(small(), dataset, tmp_path, ["onebp"], SPACE, 3, say=lambda line: None)["methods"]["onebp"]
    assert sum("failed" in trial for trial in done["trials"]) == 1
    assert done["trials"][done["chosen"]]["settings"] == {"learning_rate": 0.01}
    text = sweep.table({"methods": {"onebp": done}} | dict.fromkeys(HEAD, "x"))
    assert "failed: the loss is nan at step 3" in text and "failed: no value is a finite number" in text


EMPTY = {
    "validation": {"NDCG@20": None},
    "epoch": 0,
    "epochs_done": 2,
    "seconds": {"train": 0.0, "eval": 0.0, "compile": 0.0},
}
HEAD = ("dataset", "split", "criterion", "trials_per_method", "search", "search_seed")


@pytest.mark.parametrize(
    "names, space, words",
    [
        ([], "l2=0|1", "^methods=: expected one or more"),
        (["onebp", "onebp"], "l2=0|1", "each of them once"),
        (["onebp", "onebpp"], "l2=0|1", "method='onebpp': expected one of"),
        (["onebp"], "l2=0|few", "l2=few is of another type"),
        (["onebp"], "l2=0|-1", "l2=-1.0: expected at least 0"),
        (["onebp"], "options.shrink=0|1", "options.shrink=.* has no effect on method='onebp'"),
        (["ease"], "l2=0|1", "space='l2': it has no effect on method='ease'"),
        (["ease"], "epochs=1|2|3", "space='epochs': it has no effect on method='ease'"),
        (["in_batch"], "num_negatives=1|2", "space='num_negatives': it has no effect on method='in_batch'"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_runs(names, space, words, dataset, tmp_path):
    with pytest.raises(UserError, match=words):
        sweep.sweep(small(), dataset, tmp_path / "new", names, parse(space), 3)
    assert not (tmp_path / "new").exists()


def test_options_in_a_spec():
    config = variant(default_config(), "itemknn:options.shrink=2:options.similarity=jaccard", 3)
    assert (config.options.shrink, config.options.similarity, config.seed) == (2, "jaccard", 3)
    with pytest.raises(UserError, match=r"options.shrink='many': expected a value of type float"):
        variant(default_config(), "itemknn:options.shrink=many", 0)
    with pytest.raises(
        UserError, match=r"'options.shrnk=2' is not FIELD=VALUE of the config, .*nearest: options.shrink"
    ):
        variant(default_config(), "itemknn:options.shrnk=2", 0)
    for spec in ("cml:options.margin", "cml:options.margin=", "cml:dim=3:options.margin"):
        with pytest.raises(UserError, match=f"^spec='{spec}': options.margin has no value, as in options.margin=VALUE"):
            variant(default_config(), spec, 0)
    with pytest.raises(UserError, match="learning_rate=x is of another type, expected float"):
        variant(default_config(), "cml:learning_rate=x", 0)
    with pytest.raises(UserError, match="options.margin must be a positive number, got -1"):
        variant(default_config(), "cml:options.margin=-1", 0)


def test_the_program(tmp_path):
    arguments = (*SMALL, "--config.epochs=1", f"--workdir={tmp_path / 'sweep'}", "--methods=onebp", "--trials=2")
    process = run("sweep", *arguments, "--space=learning_rate=1e-3:1e-1:log")
    assert process.returncode == 0, process.stderr
    assert "| chosen |" in process.stdout and "the test set is not read" in process.stdout
    assert len(json.loads((tmp_path / "sweep" / "sweep.json").read_text())["methods"]["onebp"]["trials"]) == 2
    assert_one_line(run("sweep", *arguments, "--space=learning_rate=1e-1:1e-3"), 2, "--space", "LOW below HIGH")
    assert_one_line(run("sweep", *SMALL, "--workdir=x", "--trials=0"), 2, "--trials=0")


def test_a_trial_that_the_data_do_not_allow_is_refused_before_the_first(dataset, tmp_path):
    said, space = [], parse("num_negatives=5|89")
    with pytest.raises(
        UserError, match="^spec='onebp:num_negatives=89': num_negatives=89, but 120 of 120 users have fewer"
    ):
        sweep.sweep(small(), dataset, tmp_path / "runs", ["onebp"], space, 2, say=said.append)
    assert not said and not (tmp_path / "runs").exists()
