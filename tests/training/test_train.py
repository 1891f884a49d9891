"""`train` in one process: results, protocols, and a run that is stopped anywhere ends as if it never had been."""

from __future__ import annotations

import functools
import json
import math
import signal

import jax
import numpy as np
import pytest
from support.configs import config_of

from onebp_jax.config import default_config
from onebp_jax.data import Dataset, generate
from onebp_jax.data.fingerprint import fingerprint
from onebp_jax.errors import Interrupted, RunFailed, UserError
from onebp_jax.training import checkpoint, run_folder, runner
from onebp_jax.training.train import train
from onebp_jax.training.versions import versions

pytestmark = pytest.mark.usefixtures("shared_scan")


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return generate(num_users=80, num_items=60, interactions_per_user=12, seed=3)


small = functools.partial(config_of, dim=4, batch_size=128, epochs=6, learning_rate=0.01, patience=0)


def result_of(workdir):
    """The result without what a clock decides."""
    result = run_folder.read_json(workdir / "result.json")
    return {name: value for name, value in result.items() if name != "seconds"}


def assert_same_run(one, other):
    assert result_of(one) == result_of(other)
    with np.load(one / "embeddings.npz") as a, np.load(other / "embeddings.npz") as b:
        for name in ("user", "item", "user_ids", "item_ids"):
            np.testing.assert_array_equal(a[name], b[name])
    lines = [[json.loads(line) for line in (d / "metrics.jsonl").read_text().splitlines()] for d in (one, other)]
    for a, b in zip(*lines, strict=True):
        assert {**a, "seconds": 0} == {**b, "seconds": 0}


@pytest.fixture(scope="module")
def straight(dataset, tmp_path_factory):
    """A run that nothing interrupted."""
    workdir = tmp_path_factory.mktemp("straight")
    train(small(), dataset, workdir)
    return workdir


def test_writes_what_the_folder_promises(straight, dataset):
    names = {path.name for path in straight.iterdir()}
    assert {"config.json", "metrics.jsonl", "checkpoints", "result.json", "embeddings.npz", "interactions.npz"} <= names
    assert names - {"report.md", "curves.svg"} <= set(run_folder.OURS) | {"config.json"}
    result = run_folder.read_json(straight / "result.json")
    wanted = {f"{name}@{k}" for name in ("P", "R", "F1", "NDCG") for k in (5, 10, 20)}
    assert wanted <= set(result["metrics"])
    assert (result["method"], result["protocol"], result["num_users"], result["dim"]) == ("onebp", "honest", 80, 4)
    assert {"train", "eval", "compile", "per_epoch"} <= set(result["seconds"])
    run = run_folder.read_run(straight)
    assert run.user.shape == (80, 4) and run.item.shape == (60, 4)
    np.testing.assert_array_equal(run.user_ids, dataset.user_ids)
    again = run_folder.read_dataset(straight, run)
    assert again is not None and again.split == dataset.split and fingerprint(again) == fingerprint(dataset)
    for name in ("train", "test", "user_ids", "item_ids"):
        np.testing.assert_array_equal(getattr(again, name), getattr(dataset, name))


def test_honest_chooses_on_validation_and_reads_test_once(straight):
    lines = [json.loads(line) for line in (straight / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert {line["split"] for line in lines} == {"validation"}
    values = [line["metrics"]["NDCG@20"] for line in lines]
    assert result_of(straight)["epoch"] == 1 + int(np.argmax(values))


def test_paper_oracle_takes_each_metric_at_its_best_test_epoch(dataset, tmp_path):
    result = train(small(protocol="paper_oracle"), dataset, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert {line["split"] for line in lines} == {"test"}
    for name in ("P@5", "NDCG@20", "R@10"):
        values = [line["metrics"][name] for line in lines]
        assert result["metrics"][name] == max(values)
        assert result["metric_epochs"][name] == 1 + int(np.argmax(values))
    assert "TEST SET" in result["selection"]


def test_the_same_command_twice_gives_the_same_bits(straight, dataset, tmp_path):
    train(small(), dataset, tmp_path)
    assert_same_run(straight, tmp_path)


def test_a_finished_run_is_read_back_untouched(straight, dataset):
    before = {path: path.stat().st_mtime_ns for path in straight.iterdir()}
    assert train(small(), dataset, straight) == run_folder.read_json(straight / "result.json")
    assert {path: path.stat().st_mtime_ns for path in straight.iterdir()} == before


@pytest.mark.parametrize("steps_per_call", [1, 2, 3, 100])
def test_steps_per_call_changes_nothing(straight, dataset, tmp_path, steps_per_call):
    train(small(steps_per_call=steps_per_call), dataset, tmp_path)
    assert_same_run(straight, tmp_path)


def test_evaluation_cadence_does_not_touch_training(dataset):
    """Tables after the last epoch are the same bits however often one looks."""
    finals = []
    for every in (1, 4):
        job, run = runner.prepare(small(), _method(), dataset)
        for epoch in range(1, 7):
            run = job.advance(run, job.epoch_steps)
            if epoch % every == 0:
                run, _ = runner.evaluate(job, run)
        finals.append(run.state)
    for one, other in zip(jax.tree.leaves(finals[0].user), jax.tree.leaves(finals[1].user), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(finals[0].item, finals[1].item)


def _method():
    from onebp_jax.methods.build import build_method

    return build_method(small())


class Stop(Exception):
    """Stands for a crash."""


@pytest.mark.parametrize("crash_after", [1, 5, 11])
def test_a_crash_at_any_call_loses_nothing(straight, dataset, tmp_path, monkeypatch, crash_after):
    """The process dies after a number of calls; what was saved by the clock (here: always) is gone on from."""
    config = small(steps_per_call=2, checkpoint_seconds=0.0)
    real, calls = runner.prepare, []

    def crashing(*arguments):
        job, run = real(*arguments)

        def advance(run, length):
            if len(calls) == crash_after:
                raise Stop
            calls.append(length)
            return job.advance(run, length)

        return job._replace(advance=advance), run

    monkeypatch.setattr(runner, "prepare", crashing)
    with pytest.raises(Stop):
        train(config, dataset, tmp_path)
    monkeypatch.setattr(runner, "prepare", real)
    train(config, dataset, tmp_path)
    assert_same_run(straight, tmp_path)


def test_an_evaluation_after_the_last_checkpoint_is_made_again(straight, dataset, tmp_path, monkeypatch):
    """A crash between an evaluation and the next checkpoint leaves lines that the resumed run replaces."""
    real, saves = checkpoint.save, []

    def save(folder, run):
        if saves:
            raise Stop
        saves.append(run.step)
        real(folder, run)

    monkeypatch.setattr(checkpoint, "save", save)
    with pytest.raises(Stop):
        train(small(checkpoint_seconds=0.0), dataset, tmp_path)
    monkeypatch.setattr(checkpoint, "save", real)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2
    train(small(), dataset, tmp_path)
    assert_same_run(straight, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_the_same_call_goes_on(straight, dataset, tmp_path, monkeypatch, number):
    real = runner.evaluate

    def evaluate(job, run):
        run, metrics = real(job, run)
        if run.step == 2 * job.epoch_steps:
            signal.raise_signal(number)
        return run, metrics

    handlers = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    monkeypatch.setattr(runner, "evaluate", evaluate)
    with pytest.raises(Interrupted) as caught:
        train(small(), dataset, tmp_path)
    assert caught.value.number == number
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == handlers
    monkeypatch.setattr(runner, "evaluate", real)
    train(small(), dataset, tmp_path)
    assert_same_run(straight, tmp_path)


def test_patience_stops_a_run_that_no_longer_improves(dataset, tmp_path):
    result = train(small(epochs=500, patience=5), dataset, tmp_path)
    assert result["epochs_done"] < 500
    assert result["epochs_done"] == result["epoch"] + 5


def test_a_loss_that_is_not_finite_names_step_and_cause_and_keeps_the_last_checkpoint(dataset, tmp_path):
    config = small(learning_rate=1e30, checkpoint_seconds=0.0, steps_per_call=1)
    with pytest.raises(RunFailed, match=r"step \d+.*learning_rate") as caught:
        train(config, dataset, tmp_path)
    assert "nan" in str(caught.value) or "inf" in str(caught.value) or "not finite" in str(caught.value)
    assert not (tmp_path / "result.json").exists()
    _, fresh = runner.prepare(config, _method(), dataset)
    kept = checkpoint.restore(tmp_path / "checkpoints", fresh)
    assert runner.is_finite(kept)


def test_popularity_ranks_by_training_users(dataset, tmp_path):
    result = train(small(method="popularity"), dataset, tmp_path)
    run = run_folder.read_run(tmp_path)
    np.testing.assert_array_equal(run.item[:, 0], np.bincount(dataset.train[:, 1], minlength=60))
    assert 0 < result["metrics"]["NDCG@20"] < 1 and result["epoch"] == 0


def test_a_set_without_test_pairs_is_refused(dataset, tmp_path):
    bare = Dataset(dataset.name, dataset.train, dataset.test[:0], dataset.user_ids, dataset.item_ids, "none")
    with pytest.raises(UserError, match="no test pairs"):
        train(small(), bare, tmp_path)
    assert not (tmp_path / "config.json").exists()


def test_without_validation_and_test_all_pairs_are_trained_on_and_the_last_epoch_counts(dataset, tmp_path):
    bare = Dataset(dataset.name, dataset.train, dataset.test[:0], dataset.user_ids, dataset.item_ids, "none")
    result = train(small(split="none", validation_fraction=0.0, patience=1), bare, tmp_path)
    assert (result["epoch"], result["epochs_done"], result["metrics"], result["validation"]) == (6, 6, {}, {})
    assert "the last epoch" in result["selection"]
    steps = -(-len(dataset.train) // 128)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [steps * epoch for epoch in range(1, 7)]


def test_an_impossible_method_leaves_no_run_behind(dataset, tmp_path):
    with pytest.raises(UserError, match="num_negatives"):
        train(small(num_negatives=60), dataset, tmp_path)
    assert not list(tmp_path.iterdir())


def test_changed_data_are_noticed(straight, dataset):
    other = generate(num_users=80, num_items=60, interactions_per_user=12, seed=4)
    with pytest.raises(UserError, match="other data"):
        train(small(), other, straight)


def test_a_function_of_ones_own_is_a_method(dataset, tmp_path):
    def mine(config):
        from onebp_jax import methods

        return methods.onebp(config)

    result = train(small(method=mine, epochs=1), dataset, tmp_path)
    assert ".mine#" in result["method"] and math.isfinite(result["metrics"]["P@5"])


def test_versions_name_what_computed():
    assert {"python", "jax", "device"} <= set(versions())


@pytest.mark.parametrize("dataset", [None, "ml-100k"])
def test_something_else_than_a_dataset_is_refused(dataset, tmp_path):
    with pytest.raises(UserError, match="^dataset=.*: expected a Dataset, as onebp_jax.data.load returns"):
        train(default_config(), dataset, tmp_path)
