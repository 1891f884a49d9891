"""A refit on all pairs, a run without a hold-out, and a finished run that goes on with more epochs; each stopped anywhere."""

from __future__ import annotations

import functools
import json
import shutil
from dataclasses import replace

import jax
import numpy as np
import pytest
from support.configs import config_of

from onebp_jax import serving
from onebp_jax.config import check_config
from onebp_jax.data import Dataset, generate
from onebp_jax.data.grow import all_for_training
from onebp_jax.errors import UserError
from onebp_jax.parallel import make_layout
from onebp_jax.training import loop, run_folder, runner
from onebp_jax.training.train import train

pytestmark = pytest.mark.usefixtures("shared_scan")


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return generate(num_users=60, num_items=50, interactions_per_user=12, seed=3)


small = functools.partial(config_of, dim=4, batch_size=128, epochs=4, learning_rate=0.05, patience=0)


def files_of(folder):
    """What a run ends with, without what a clock decides."""
    result = run_folder.read_json(folder / "result.json")
    result.pop("seconds")
    result.get("refit", {}).pop("seconds", None)
    lines = [
        json.loads(line) | {"seconds": 0}
        for path in sorted(folder.rglob("metrics.jsonl"))
        for line in path.read_text().splitlines()
    ]
    with np.load(folder / "embeddings.npz") as arrays:
        vectors = {name: arrays[name].tobytes() for name in arrays.files}
    return result, lines, vectors, (folder / "curves.svg").read_bytes(), run_folder.read_json(folder / "config.json")


class Killed(BaseException):
    """What `kill -9` is to a test: nothing of ours catches it."""


def in_a_study(*cases):
    """The same contract at more places: with `-m study` only."""
    return [pytest.param(case, marks=pytest.mark.study) for case in cases]


def train_with_kills(config, dataset, folder, monkeypatch, places):
    """Trains, killed at the given calls of everything that writes or computes, each time from a fresh start of the program."""
    functions = [(runner, "evaluate"), (loop.checkpoint, "save"), (run_folder, "write_npz"), (run_folder, "write_json")]
    for place in places:
        calls = 0
        with monkeypatch.context() as patch:
            for room, name in functions:
                real = getattr(room, name)

                def killed(*arguments, real=real, place=place, **more):
                    nonlocal calls
                    calls += 1
                    if calls == place:
                        raise Killed
                    return real(*arguments, **more)

                patch.setattr(room, name, killed)
            try:
                train(config, dataset, folder)
                break
            except Killed:
                pass
    return train(config, dataset, folder)


@pytest.fixture(scope="module")
def refitted(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("refitted")
    train(small(refit=True), dataset, folder)
    return folder


def test_a_refit_keeps_the_honest_metrics_and_has_the_vectors_of_a_run_on_all_pairs(refitted, dataset, tmp_path):
    honest = train(small(), dataset, tmp_path / "honest")
    result = run_folder.read_json(refitted / "result.json")
    assert result["metrics"] == honest["metrics"] and result["epoch"] == honest["epoch"]
    pairs = len(dataset.train) + len(dataset.test)
    assert (result["refit"]["pairs"], result["refit"]["epochs"]) == (pairs, honest["epoch"])
    assert f"metrics are of the honest run; the vectors are refitted on all {pairs} pairs" in result["refit"]["says"]
    train(small(split="none", epochs=honest["epoch"]), all_for_training(dataset), tmp_path / "all")
    one, other = run_folder.read_run(refitted), run_folder.read_run(tmp_path / "all")
    np.testing.assert_array_equal(one.user, other.user)
    np.testing.assert_array_equal(one.item, other.item)


@pytest.mark.parametrize("places", [[1, 9], [13, 14], *in_a_study([1, 3], [5, 7], [9, 2], [11, 12, 4])], ids=str)
def test_a_refit_that_is_killed_anywhere_ends_as_if_nothing_had_happened(
    refitted, dataset, tmp_path, monkeypatch, places
):
    train_with_kills(small(refit=True, checkpoint_seconds=0.0), dataset, tmp_path, monkeypatch, places)
    ours, theirs = files_of(tmp_path), files_of(refitted)
    assert ours[:4] == theirs[:4]


@pytest.mark.parametrize("spread", ["replicated", "sharded"])
def test_a_refit_on_several_devices_is_that_of_one(refitted, dataset, tmp_path, spread):
    layout = make_layout("shard_map", jax.devices()[:2], spread)
    result = train(small(refit=True), dataset, tmp_path, layout)
    one = run_folder.read_run(refitted)
    assert result["epoch"] == one.result["epoch"] and result["refit"]["says"] == one.result["refit"]["says"]
    for name, vectors in {"user": one.user, "item": one.item}.items():
        np.testing.assert_allclose(getattr(run_folder.read_run(tmp_path), name), vectors, atol=1e-4)


def test_a_finished_run_is_refitted_by_the_same_command_with_refit(refitted, dataset, tmp_path):
    train(small(), dataset, tmp_path)
    before = (tmp_path / "checkpoints").stat().st_mtime_ns
    train(small(refit=True), dataset, tmp_path)
    assert files_of(tmp_path)[:4] == files_of(refitted)[:4]
    assert (tmp_path / "checkpoints").stat().st_mtime_ns == before
    assert train(small(refit=True), dataset, tmp_path) == run_folder.read_json(tmp_path / "result.json")
    with pytest.raises(UserError, match="refit is True there and False here .a run goes on with a refit, not without"):
        train(small(), dataset, tmp_path)


def test_what_was_refitted_is_not_measured_on_what_it_has_seen(refitted, dataset, tmp_path):
    run = run_folder.read_run(refitted)
    own = run_folder.read_dataset(refitted, run)
    assert own is not None and len(own.train) == len(dataset.train) + len(dataset.test) and not len(own.test)
    for data in (own, dataset):  # the copy of the run, and its source
        assert serving.evaluate(run, data, "test") == run.result["metrics"] != {}
        with pytest.raises(
            UserError, match="split=validation: the vectors are refitted on all pairs.*give dataset=PATH"
        ):
            serving.evaluate(run, data, "validation")
    train(small(split="none", refit=True), own, tmp_path)
    with pytest.raises(UserError, match="split=test: the vectors are refitted on all pairs"):
        serving.evaluate(run_folder.read_run(tmp_path), own, "test")


@pytest.mark.parametrize("method", ["popularity", "itemknn", "ease", "bspm", "spectral", "ials"])
def test_methods_without_training_are_refitted_too_and_their_time_is_real(method, dataset, tmp_path):
    honest = train(small(method=method), dataset, tmp_path / "honest")
    result = train(small(method=method, refit=True), dataset, tmp_path / "refit")
    assert result["metrics"] == honest["metrics"] and result["refit"]["epochs"] == 0
    assert result["seconds"]["train"] > 0 and result["refit"]["seconds"]["train"] > 0
    train(small(method=method, split="none"), all_for_training(dataset), tmp_path / "all")
    one, other = (run_folder.read_run(tmp_path / name) for name in ("refit", "all"))
    np.testing.assert_array_equal(one.item, other.item)


def test_without_a_split_all_epochs_are_trained_on_all_pairs_and_said_so(dataset, tmp_path, caplog):
    whole = all_for_training(dataset)
    with caplog.at_level("INFO", "absl"):
        result = train(small(split="none", patience=1), whole, tmp_path / "all")
    assert "nothing is held out, so all epochs=4 are trained" in caplog.text
    assert (result["epoch"], result["metrics"], result["validation"]) == (4, {}, {})
    assert "None: nothing was held out" in (tmp_path / "all" / "report.md").read_text()
    chosen = train(small(split="none", refit=True), whole, tmp_path / "chosen")
    assert chosen["refit"]["pairs"] == len(whole.train) and chosen["validation"]["NDCG@20"] > 0


@pytest.mark.parametrize("changes", [{"protocol": "paper_oracle"}, {"stream_window": 100}])
def test_a_refit_needs_an_honest_epoch_and_pairs_in_memory(changes):
    with pytest.raises(UserError, match="refit=True: expected protocol='honest'"):
        check_config(small(refit=True, **changes))


def test_a_refit_that_cannot_be_is_refused_before_the_first_phase(dataset, tmp_path):
    # 20 of 60 users have all items but 6 in train and test together, which leaves too few negatives.
    pairs = np.stack(np.meshgrid(np.arange(20), np.arange(44), indexing="ij"), -1).astype(np.int32)
    of_others = lambda part: part[part[:, 0] >= 20]
    greedy = replace(
        dataset,
        train=np.concatenate([of_others(dataset.train), pairs[:, :30].reshape(-1, 2)]),
        test=np.concatenate([of_others(dataset.test), pairs[:, 30:].reshape(-1, 2)]),
    )
    with pytest.raises(UserError, match="num_negatives=10"):
        train(small(refit=True, num_negatives=10), greedy, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# More epochs


@pytest.mark.parametrize("changes", [{}, {"eval_every": 3}, {"refit": True}, {"method": "popularity"}], ids=str)
def test_a_finished_run_goes_on_as_if_it_had_had_more_epochs_from_the_start(dataset, tmp_path, monkeypatch, changes):
    train(small(**changes), dataset, tmp_path / "grown")
    first = (tmp_path / "grown" / "result.json").read_bytes()
    seen = []
    real = runner.evaluate
    monkeypatch.setattr(
        runner, "evaluate", lambda *a: seen.append((tmp_path / "grown" / "result.json").read_bytes()) or real(*a)
    )
    train(small(epochs=7, **changes), dataset, tmp_path / "grown")
    # The old result stays until there is a new one, and only the new epochs were trained.
    assert set(seen) <= {first} and len(seen) <= 3 + 2 + 7 * bool(changes.get("refit"))
    monkeypatch.undo()
    train(small(epochs=7, **changes), dataset, tmp_path / "straight")
    if not changes.get("method"):
        ours, theirs = files_of(tmp_path / "grown"), files_of(tmp_path / "straight")
        assert ours == theirs
    assert run_folder.read_run(tmp_path / "grown").config.epochs == 7
    with pytest.raises(UserError, match="epochs is 7 there and 4 here .a run goes on with more epochs, not without"):
        train(small(**changes), dataset, tmp_path / "grown")


@pytest.fixture(scope="module")
def of_four_and_seven_epochs(dataset, tmp_path_factory):
    folders = tmp_path_factory.mktemp("four"), tmp_path_factory.mktemp("seven")
    for epochs, folder in zip((4, 7), folders, strict=True):
        train(small(epochs=epochs), dataset, folder)
    return folders


@pytest.mark.parametrize("places", [[1, 6], [12], *in_a_study([3, 4], [6, 1], [8, 9], [10, 11])], ids=str)
def test_going_on_may_be_killed_anywhere(of_four_and_seven_epochs, dataset, tmp_path, monkeypatch, places):
    four, seven = of_four_and_seven_epochs
    grown = shutil.copytree(four, tmp_path / "grown")
    train_with_kills(small(epochs=7, checkpoint_seconds=0.0), dataset, grown, monkeypatch, places)
    assert files_of(grown)[:4] == files_of(seven)[:4]


def test_more_patience_goes_on_too(dataset, tmp_path):
    config = lambda patience: small(epochs=60, patience=patience, learning_rate=0.2)
    short = train(config(1), dataset, tmp_path / "grown")
    assert short["epochs_done"] < 60
    train(config(4), dataset, tmp_path / "grown")
    train(config(4), dataset, tmp_path / "straight")
    assert files_of(tmp_path / "grown") == files_of(tmp_path / "straight")
    train(config(0), dataset, tmp_path / "grown")
    assert run_folder.read_json(tmp_path / "grown" / "result.json")["epochs_done"] == 60
    with pytest.raises(UserError, match="patience is 0 there and 9 here"):
        train(config(9), dataset, tmp_path / "grown")


def test_a_result_that_is_older_than_these_fields_has_ended_with_what_its_config_says(dataset, tmp_path):
    result = train(small(), dataset, tmp_path)
    old = {name: value for name, value in result.items() if name not in ("epochs", "patience", "label")}
    run_folder.write_json(tmp_path / "result.json", old)
    assert train(small(), dataset, tmp_path) == old | {"label": "onebp"}
    assert train(small(epochs=5), dataset, tmp_path)["epochs_done"] == 5


def test_a_best_epoch_that_is_the_last_one_is_warned_of(dataset, tmp_path, caplog):
    best_last = train(small(epochs=1), dataset, tmp_path / "one")
    assert best_last["epoch"] == 1
    assert "the best epoch is the last one (1)" in caplog.text and "epochs=2 goes on from here" in caplog.text
    caplog.clear()
    result = train(small(epochs=60, patience=3, learning_rate=0.2), dataset, tmp_path / "many")
    assert result["epoch"] < result["epochs_done"] and "best epoch" not in caplog.text
