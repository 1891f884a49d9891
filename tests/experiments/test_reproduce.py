"""A table of the paper again: which rows, what is run for each, what is compared with the published numbers."""

import dataclasses
import json
import math
import re
import statistics

import pytest
from support.programs import SMALL, assert_one_line, run

from onebp_jax import methods
from onebp_jax.config import check_config, default_config
from onebp_jax.data import generate
from onebp_jax.errors import RunFailed, UserError
from onebp_jax.experiments import published, reproduce
from onebp_jax.experiments.report import SHOWN, markdown
from onebp_jax.experiments.search_space import settings, size
from onebp_jax.experiments.spaces import space_of
from onebp_jax.experiments.sweep import trial_config
from onebp_jax.training import run_folder

METRICS = published.METRICS


@pytest.fixture(scope="module")
def dataset():
    made = generate(num_users=40, num_items=50, seed=1)
    return dataclasses.replace(made, name="ml-100k", split="given")


def collapsed(text):
    """Markdown with one space where columns are aligned by several."""
    return re.sub(" +", " ", text)


def small(**changes):
    config = default_config()
    config.update({"dataset": "ml-100k", "epochs": 40, **changes})
    return config


def fake(calls):
    """A `train` that only notes what it was asked for; the honest epochs are 7 and 11, the best trial has beta .9."""

    def train(config, dataset, workdir, layout=None):
        calls.append((config.copy_and_resolve_references(), workdir))
        metrics = {name: 0.1 * (1 + config.seed) for name in METRICS} if config.read_test else {}
        return {
            "metrics": metrics,
            "validation": {"NDCG@20": 0.3 if config.beta == 0.9 else 0.2},
            "epoch": {0: 7, 1: 11}[config.seed],
            "epochs_done": config.epochs,
            "seconds": {"train": 1.0, "eval": 0.5, "compile": 0.0},
            "versions": {},
        }

    return train


@pytest.fixture
def row(dataset, tmp_path, monkeypatch):
    """`(entry, calls, out)` of one row that was made without training."""
    calls = []
    for module in ("onebp_jax.experiments.reproduce.train", "onebp_jax.experiments.sweep.train"):
        monkeypatch.setattr(module, fake(calls))
    out = tmp_path / "table.json"
    rows = reproduce.reproduce(small(), dataset, tmp_path, 2, {"OneBP": "onebp"}, 6, [0, 1], out, say=lambda line: None)
    return rows[0], calls, out


def test_trials_choose_and_the_test_set_is_read_by_the_final_runs_alone(row):
    entry, calls, out = row
    configs = [config for config, _ in calls]
    assert [config.read_test for config in configs] == [False] * 6 + [True] * 4
    assert [config.protocol for config in configs] == ["honest"] * 8 + ["paper_oracle"] * 2
    assert [config.seed for config in configs] == [0] * 6 + [0, 1] * 2
    assert len({folder for _, folder in calls}) == 10
    # The first trial is the config's own; the chosen one is the first with beta .9, and the final runs have its settings.
    trials = [trial["settings"] for trial in entry["trials"]]
    assert trials[0] == {} and entry["num_trials"] == 6
    chosen = next(trial for trial in trials if trial.get("beta") == 0.9)
    assert entry["settings"] == chosen
    for config in configs[6:]:
        assert {field: config[field] for field in chosen} == chosen
    assert json.loads(out.read_text()) == json.loads(json.dumps([entry]))


def test_oracle_runs_get_half_as_many_epochs_again_as_the_honest_ones_chose(row):
    entry, calls, _ = row
    assert [config.epochs for config, _ in calls] == [40] * 8 + [math.ceil(1.5 * 11)] * 2
    assert entry["honest"]["epochs_at_most"] == 40 and entry["paper_oracle"]["epochs_at_most"] == 17


def test_mean_deviation_and_difference(row):
    entry, _, _ = row
    for protocol in ("honest", "paper_oracle"):
        assert entry[protocol]["mean"]["P@5"] == pytest.approx(0.15)
        assert entry[protocol]["sd"]["P@5"] == pytest.approx(statistics.stdev([0.1, 0.2]))
        assert entry[protocol]["metrics"][1]["P@5"] == 0.2 and entry[protocol]["seconds"] == [1.5, 1.5]
    assert entry["published"] == published.published(2, "ml-100k", "OneBP")
    assert entry["difference_percent"]["P@5"] == pytest.approx(100 * (0.15 - 0.4530) / 0.4530)
    text = collapsed(markdown([entry], 2, "ml-100k"))
    assert "| OneBP | 0.4530 | 0.1500 ±0.0707 | -66.9 % | 0.1500 ±0.0707 |" in text
    assert "| OneBP | onebp | 6 |" in text and "| 7 11 | 17 | 15 |" in text


@pytest.mark.parametrize(
    "split, name", [("per-user random 20 %, seed 0: not the paper's split", "ml-100k"), ("given", "own")]
)
def test_another_split_or_set_is_not_compared_with_the_paper(dataset, tmp_path, monkeypatch, split, name):
    for module in ("onebp_jax.experiments.reproduce.train", "onebp_jax.experiments.sweep.train"):
        monkeypatch.setattr(module, fake([]))
    other = dataclasses.replace(dataset, split=split)
    arguments = (tmp_path, 2, {"OneBP": "onebp"}, 2, [0], tmp_path / "t.json")
    (entry,) = reproduce.reproduce(small(dataset=name), other, *arguments, say=lambda line: None)
    assert entry["published"] is None and entry["difference_percent"] is None
    text = collapsed(markdown([entry], 2, name))
    assert split in text and "| OneBP | | 0.1000 | | 0.1000 |" in text


def test_rows_of_other_runs_stay_and_a_row_made_again_replaces_its_own(row, dataset, tmp_path):
    entry, _, out = row
    run_folder.write_json(out, [entry | {"row": "MF"}, entry | {"table": 3}, entry])
    rows = reproduce.reproduce(small(), dataset, tmp_path, 2, {"OneBP": "onebp"}, 2, [0], out, say=lambda line: None)
    assert [(one["table"], one["row"], one["num_trials"]) for one in rows] == [
        (2, "MF", 6),
        (3, "OneBP", 6),
        (2, "OneBP", 2),
    ]
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(UserError, match="is not a list of rows: nothing was touched"):
        reproduce.read_rows(tmp_path / "other.json")


def test_a_row_that_fails_is_said_and_the_next_one_is_made(dataset, tmp_path, monkeypatch):
    def fails(config, dataset, workdir, layout):
        if config.method == "twobp":
            raise RunFailed("the loss is nan at step 3")
        return fake([])(config, dataset, workdir)

    for module in ("onebp_jax.experiments.reproduce.train", "onebp_jax.experiments.sweep.train"):
        monkeypatch.setattr(module, fails)
    rows = {"MF": "twobp", "OneBP": "onebp"}
    arguments = (tmp_path, 2, rows, 2, [0], tmp_path / "t.json")
    first, second = reproduce.reproduce(small(), dataset, *arguments, say=lambda line: None)
    assert "failed" in first and "failed" not in second
    assert "| MF | 0.4155 | failed: " in collapsed(markdown([first, second], 2, "ml-100k"))


def test_which_rows():
    rows, missing = reproduce.rows_of(3)
    assert (rows, missing) == ({"both": "twobp", "user only": "user_only", "item only": "onebp"}, {})
    rows, missing = reproduce.rows_of(2)
    assert list(rows | missing) == list(rows) + list(missing) and rows | missing == published.ROWS[2]
    assert set(rows.values()) <= set(methods.NAMED) and not set(missing.values()) & set(methods.NAMED)
    assert reproduce.rows_of(2, ["ease", "onebp"]) == ({"ease": "ease", "OneBP": "onebp"}, {})
    with pytest.raises(UserError, match="^table=4: expected one of 2, 3"):
        reproduce.rows_of(4)
    with pytest.raises(UserError, match="^methods='onebpp': expected .* the nearest: onebp, "):
        reproduce.rows_of(2, ["onebpp"])
    with pytest.raises(UserError, match="each of them once"):
        reproduce.rows_of(2, ["onebp", "onebp"])


@pytest.mark.parametrize("method", methods.NAMED)
def test_every_named_method_has_a_space_whose_trials_can_be_configured(method):
    config, space = small(), space_of(method)
    drawn = settings(config, space, int(min(6, size(space))))
    for one in drawn:
        check_config(trial_config(config, method, one)[1])
    assert len(drawn) == (1 if method == "popularity" else 6)


def test_published_numbers_are_whole_and_agree_with_each_other():
    for dataset in ("ml-100k", "ml-1m", "gowalla-paper", "yelp2018-paper"):
        for row in published.ROWS[2]:
            values = published.published(2, dataset, row)
            assert list(values) == list(METRICS) and all(0 < value < 1 for value in values.values())
            # The printed recall grows with the length of the list, and precision falls.
            assert values["R@5"] < values["R@10"] < values["R@20"] and values["P@5"] > values["P@20"]
        both = published.published(3, dataset, "both")
        assert both.items() <= published.published(2, dataset, "MF").items() and len(both) == 6
        assert len(published.published(3, dataset, "user only")) == 6
    assert published.published(3, "ml-100k", "user only")["P@5"] == 0.1088
    assert published.published(2, "gowalla-paper", "LightGCN")["NDCG@20"] == 0.1394
    assert published.published(2, "gowalla", "OneBP") is None and published.published(2, "ml-100k", "ease") is None
    for table, names in SHOWN.items():
        assert set(names) <= set(published.COLUMNS[table])


def test_the_program(tmp_path):
    arguments = (*SMALL, "--config.epochs=1", f"--workdir={tmp_path / 'runs'}", "--trials=2", "--seeds=0")
    arguments += ("--experiment=table2",)
    process = run("reproduce", *arguments, "--methods=ease", f"--out={tmp_path / 'out'}")
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "out" / "table2.md").read_text() in process.stdout
    assert "| ease | ease | 2 |" in collapsed(process.stdout)
    assert json.loads((tmp_path / "out" / "table2.json").read_text())[0]["num_trials"] == 2
    assert_one_line(run("reproduce", *arguments, "--seeds=0,0"), 2, "--seeds=0,0")


def test_a_row_that_the_data_do_not_allow_is_refused_before_the_first(dataset, tmp_path):
    said, rows = [], {"OneBP": "onebp", "onebp_features": "onebp_features"}
    with pytest.raises(
        UserError, match="^spec='onebp_features': the item tower reads features, and the data have none"
    ):
        reproduce.reproduce(
            small(), dataset, tmp_path / "runs", 2, rows, 1, [0], tmp_path / "out.json", say=said.append
        )
    assert not said and not list(tmp_path.iterdir())
