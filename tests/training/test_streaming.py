"""Runs on streamed pairs: the same steps as in memory, the same tables however often stopped and on however many devices."""

from __future__ import annotations

import functools
import json
import signal
import time
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from support.configs import config_of
from support.programs import READS_COMPILED, assert_one_line, run, start, tables
from support.same import assert_same

from onebp_jax import serving
from onebp_jax.data import epoch_batches, generate, hold_out_validation, load_streamed, train_csr
from onebp_jax.data.device import to_device
from onebp_jax.data.streamed import train_pairs_of
from onebp_jax.engine.step import make_step
from onebp_jax.errors import UserError
from onebp_jax.evaluation import evaluator
from onebp_jax.methods.build import build_method
from onebp_jax.parallel import make_layout
from onebp_jax.serving.recommend import seen_pairs
from onebp_jax.training import checkpoint, feed, run_folder, runner
from onebp_jax.training.train import train
from onebp_jax.types import Batch

NONE = 0  # membership_bytes with which nothing fits
FEW = 1500  # with which the index of all does not, but what some users have seen


@pytest.fixture(scope="module")
def parts() -> dict[str, pd.DataFrame]:
    """Train, validation and test pairs of a small set as they are written: users are numbers, items text."""
    made = generate(num_users=80, num_items=60, interactions_per_user=12, seed=3)
    train_pairs, validation = hold_out_validation(made.train, 0.1, 0)
    pairs = {"train": train_pairs, "validation": validation, "test": made.test}
    frame = lambda pairs: pd.DataFrame({"user": pairs[:, 0] * 3 + 1000, "item": [f"i{item}" for item in pairs[:, 1]]})
    return {part: frame(found) for part, found in pairs.items()}


def write(folder: Path, parts: dict[str, pd.DataFrame], without: str = "") -> Path:
    """The training pairs in three files of small row groups."""
    (folder / "train").mkdir(parents=True)
    for number in range(3):
        parts["train"].iloc[number::3].to_parquet(
            folder / "train" / f"{number}.parquet", index=False, row_group_size=40
        )
    for part in {"validation", "test"} - {without}:
        parts[part].to_parquet(folder / f"{part}.parquet", index=False)
    return folder


@pytest.fixture(scope="module")
def folder(parts, tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("set") / "pairs", parts)


@pytest.fixture(scope="module")
def dataset(folder):
    return load_streamed(folder, 2**30)


small = functools.partial(config_of, dim=4, batch_size=64, epochs=3, learning_rate=0.01, patience=0, stream_window=192)


def prepared(dataset, layout=None, **changes):
    config = small(**changes)
    job, run = runner.prepare(config, build_method(config), dataset, layout)
    return job, run


def advanced(job, start, *lengths):
    for length in lengths:
        start = job.advance(start, length)
    return start


def assert_close_tables(one, other, **tolerance):
    for a, b in zip(one.tables[:2], other.tables[:2], strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


def message_of(function, *args, **kwargs) -> str:
    with pytest.raises(UserError) as caught:
        function(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What is loaded.


def file_order(dataset):
    return np.concatenate(list(epoch_batches(dataset.stream, 64, 0, 0)))


def test_all_parts_have_the_ids_of_the_stream_and_new_items_come_after_them(parts, folder, tmp_path):
    added = parts | {"test": pd.concat([parts["test"], pd.DataFrame({"user": [1000, 1000], "item": ["new", "new"]})])}
    dataset = load_streamed(write(tmp_path / "set", added), 2**30)
    known = load_streamed(folder, 2**30)
    assert dataset.num_items == known.num_items + 1 and dataset.item_ids[-1] == "new" and dataset.duplicates == 1
    assert (
        dataset.item_counts[-1] == 0 and dataset.item_counts.sum() == len(parts["train"]) == dataset.user_counts.sum()
    )
    for part in ("validation", "test"):
        pairs = getattr(dataset, part)
        back = pd.DataFrame({"user": dataset.user_ids[pairs[:, 0]], "item": dataset.item_ids[pairs[:, 1]]})
        pd.testing.assert_frame_equal(back, added[part].drop_duplicates(ignore_index=True), check_dtype=False)


@pytest.mark.parametrize("most_bytes", [2**30, FEW])
def test_pairs_of_some_users_are_those_of_the_files(folder, most_bytes):
    """Out of the index of what users touched, and without one by a pass."""
    dataset, users = load_streamed(folder, most_bytes), np.array([3, 4, 70])
    assert (dataset.touched is None) == (most_bytes < 2**30)
    pairs = file_order(dataset)
    expected = pairs[np.isin(pairs[:, 0], users)]
    found = train_pairs_of(dataset, users)
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, expected.tolist()))
    if dataset.touched is None:
        assert "rank fewer users" in message_of(train_pairs_of, dataset, np.arange(80))


def test_a_folder_may_hold_its_files_side_by_side_or_folders_of_them(parts, folder, tmp_path):
    for part, frame in parts.items():
        frame.to_parquet(tmp_path / f"{part}-0.parquet", index=False)
    beside = load_streamed(tmp_path, NONE)
    for part in ("validation", "test"):
        (tmp_path / part).mkdir()
        (tmp_path / f"{part}-0.parquet").rename(tmp_path / part / "a.parquet")
    inside = load_streamed(tmp_path, NONE)
    for found in (beside, inside):
        assert found.stream.num_pairs == len(parts["train"])
        assert [len(found.validation), len(found.test)] == [len(parts["validation"]), len(parts["test"])]


# The same steps as in memory.


def test_an_epoch_is_a_loop_of_steps_over_the_batches(dataset):
    """With what the loader of pairs in memory would put on the device, and a window larger than the set."""
    job, start = prepared(dataset, stream_window=10**6)
    pairs = file_order(dataset)
    pairs = pairs[pairs[:, 0] < dataset.num_users]
    data = to_device(pairs, dataset.num_users, dataset.num_items)
    init, step = make_step(build_method(small()))
    (state, data), streamed, step = init(jax.random.key(0), data), start, jax.jit(step)
    for epoch in (0, 1):
        total, count = 0.0, 0
        for batch in epoch_batches(dataset.stream, 64, 0, epoch, window=10**6):
            state, info = step(state, Batch(*batch.T), data)
            streamed = job.advance(streamed, 1)
            total, count = total + float(info.loss) * int(info.examples), count + int(info.examples)
            assert streamed.progress.epoch_loss == pytest.approx((total, count), rel=1e-6)
    assert streamed.step == 2 * job.epoch_steps
    assert_close_tables(streamed.state, state, rtol=1e-5, atol=1e-7)


def test_the_last_batch_is_dropped_on_request(dataset):
    jobs = [prepared(dataset, drop_last=drop)[0] for drop in (False, True)]
    assert [job.epoch_steps for job in jobs] == [-(-dataset.stream.num_pairs // 64), dataset.stream.num_pairs // 64]
    job, start = prepared(dataset, drop_last=True)
    end = advanced(job, start, job.epoch_steps)
    assert end.progress.epoch_loss[1] == job.epoch_steps * 64


# Resumed anywhere.


def test_it_goes_on_bit_for_bit_from_a_checkpoint_within_an_epoch(dataset, tmp_path):
    job, start = prepared(dataset)
    keep = lambda run: run._replace(
        state=jax.tree.map(np.array, run.state._replace(key=()))._replace(key=run.state.key)
    )
    half = advanced(job, start, *[1] * 15)
    step = half.step
    assert step % job.epoch_steps % 3  # neither the end of an epoch nor of a window, which has three steps
    checkpoint.save(tmp_path, half)
    end = keep(advanced(job, half, *[1] * 6))
    job, fresh = prepared(dataset)
    again = checkpoint.restore(tmp_path, fresh)
    assert again.step == step
    assert_same(advanced(job, again, *[1] * 6).state.tables[:2], end.state.tables[:2])


def test_calls_of_any_length_read_the_same(dataset, tmp_path):
    """A call of a hundred steps at most, unless the config says another number."""
    results = [train(small(steps_per_call=length), dataset, tmp_path / str(length)) for length in (0, 3)]
    assert runner.next_length(*prepared(dataset)) == prepared(dataset)[0].epoch_steps
    assert prepared(dataset)[0].call_steps == feed.STREAMED_CALL
    for a, b in zip(tables(tmp_path / "0"), tables(tmp_path / "3"), strict=True):
        np.testing.assert_array_equal(a, b)
    assert results[0]["metrics"] == results[1]["metrics"]


LONG = ("--config=configs/quickstart.py", "--config.stream_window=192", "--config.batch_size=64", "--config.epochs=40")
LONG += ("--config.steps_per_call=4", "--config.eval_every=20", "--config.dim=4")


@pytest.mark.study
def test_killed_within_an_epoch_the_same_command_ends_as_if_nothing_had_happened(folder, tmp_path):
    arguments = lambda name: (*LONG, f"--config.dataset={folder}", f"--workdir={tmp_path / name}")
    process = start("train", *arguments("killed"), "--config.checkpoint_seconds=0", **READS_COMPILED)
    deadline = time.monotonic() + 100
    while (
        not list(tmp_path.glob("killed/checkpoints/[0-9]*")) and process.poll() is None and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL, "the run ended before it could be killed"
    for name in ("killed", "whole"):
        done = run("train", *arguments(name))
        assert done.returncode == 0, done.stderr
    for a, b in zip(tables(tmp_path / "killed"), tables(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(a, b)


# Several devices.


@pytest.mark.parametrize(
    "how", ["shard_map", *(pytest.param(each, marks=pytest.mark.study) for each in ("pmap", "jit"))]
)
def test_two_devices_give_the_tables_of_one(dataset, how):
    one, two = prepared(dataset), prepared(dataset, make_layout(how, jax.devices()[:2]))
    ends = [advanced(job, start, job.epoch_steps, 2) for job, start in (one, two)]
    assert_close_tables(ends[0].state, ends[1].state, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("num_processes", [2, 4])
def test_a_process_feeds_its_part_of_the_same_batches(dataset, monkeypatch, num_processes):
    """Each as if it were one of several, without a layout: what they make together is the whole."""
    layout = make_layout("shard_map", jax.devices()[:1])
    whole = feed.make_feed(small(), "pair", dataset).batches(2, 3)
    shares = []
    for process in range(num_processes):
        with monkeypatch.context() as patch:
            patch.setattr(feed, "process_slice", lambda layout, process=process: (process, num_processes))
            patch.setattr(jax, "make_array_from_process_local_data", lambda sharding, ids, shape: ids)
            shares.append(feed.make_feed(small(), "pair", dataset, layout).batches(2, 3))
    for column, *parts in zip(whole, *shares, strict=True):
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), column)


# What is measured and served.


def test_results_are_those_of_the_definition(dataset, tmp_path):
    result = train(small(), dataset, tmp_path)
    found = run_folder.read_run(tmp_path)
    pairs = file_order(dataset)
    seen = np.concatenate([pairs[pairs[:, 0] < dataset.num_users], dataset.validation])
    measure = evaluator(
        seen, dataset.test, (80, dataset.num_items), np.bincount(seen[:, 1], minlength=dataset.num_items)
    )
    assert measure(found.user, found.item) == pytest.approx(result["metrics"], rel=1e-9)
    assert serving.evaluate(found, dataset, "test") == pytest.approx(result["metrics"], rel=1e-12)
    assert serving.evaluate(found, dataset, "validation")["NDCG@20"] == pytest.approx(
        result["validation"]["NDCG@20"], rel=1e-6
    )
    assert result["stream"] == {"window": 192, "touched_items_known": True}
    np.testing.assert_array_equal(found.item_ids, dataset.item_ids)
    lists = serving.recommend(found, np.array([5]), 60, seen_pairs(dataset, "all", np.array([5])))
    touched = np.concatenate([seen, dataset.test])
    assert not set(lists["item"]) & set(dataset.item_ids[touched[touched[:, 0] == 5, 1]])
    assert "stream_window=0" in message_of(serving.evaluate, found, dataset, "train")


def test_without_an_index_of_touched_items_only_the_negatives_differ(folder, caplog):
    known = load_streamed(folder, 2**30)
    bare = load_streamed(folder, FEW)
    assert bare.touched is None and train_csr(bare.stream, FEW) is None
    job, start = prepared(bare, shared_negatives=16, negative_alpha=0.75, eval_users=10)
    assert "negatives may be items that their user touched" in caplog.text
    other, begin = prepared(known, shared_negatives=16, negative_alpha=0.75, eval_users=10)
    # Frequencies come from the counts, so that shared negatives, which hide no touched items, are the same.
    assert_same(advanced(job, start, 7).state.tables[:2], advanced(other, begin, 7).state.tables[:2])
    job, start = prepared(bare, eval_users=10)
    assert runner.is_finite(advanced(job, start, 7))


def test_without_validation_the_last_epoch_counts(parts, tmp_path):
    dataset = load_streamed(write(tmp_path / "set", parts, without="validation"), 2**30)
    result = train(small(), dataset, tmp_path / "run")
    assert result["epoch"] == result["epochs_done"] == 3 and "last epoch" in result["selection"]
    assert result["validation"] == {} and result["metrics"]["NDCG@20"] > 0
    job, start = prepared(dataset)
    end = advanced(job, start, *[job.epoch_steps] * 3)
    np.testing.assert_array_equal(tables(tmp_path / "run")[1], end.state.item)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [(line["split"], line["metrics"]) for line in lines] == [(None, {})] * 3
    assert "validation part" in message_of(prepared, dataset, read_test=False)


def test_without_test_pairs_there_are_vectors(parts, tmp_path):
    dataset = load_streamed(write(tmp_path / "set", parts, without="test"), 2**30)
    result = train(small(epochs=1), dataset, tmp_path / "run")
    assert result["metrics"] == {} and result["test_users"] == 0 and result["validation"]["NDCG@20"] > 0


# What goes wrong.


def test_a_changed_folder_or_window_is_refused(parts, tmp_path):
    folder = write(tmp_path / "set", parts)
    train(small(epochs=1), load_streamed(folder, 2**30), tmp_path / "run")
    assert "stream_window is 192 there and 64 here" in message_of(
        train, small(epochs=1, stream_window=64), load_streamed(folder, 2**30), tmp_path / "run"
    )
    (folder / "train" / "2.parquet").rename(folder / "train" / "3.parquet")
    words = "other data: the files of synthetic are others"
    assert words in message_of(train, small(epochs=1), load_streamed(folder, 2**30), tmp_path / "run")


@pytest.mark.parametrize("method", ["pns", "auc_ns", "lightgcn", "sfcml", "popularity", "ease", "onebp:full_catalogue"])
def test_what_has_to_know_all_pairs_is_refused(folder, tmp_path, method):
    name, _, sampler = method.partition(":")
    config = small(method=name, sampler=sampler, eval_users=10, epochs=1)
    message = message_of(train, config, load_streamed(folder, FEW), tmp_path / "run")
    assert "membership_bytes" in message or "stream_window=0" in message
    assert not (tmp_path / "run").exists()


def test_parts_that_do_not_fit_are_told(parts, tmp_path):
    stranger = parts | {"test": pd.DataFrame({"user": [7], "item": ["i1"]})}
    assert "1 test user(s) have no train pair, the first is 7" in message_of(
        load_streamed, write(tmp_path / "a", stranger), NONE
    )
    twice = parts | {"test": parts["train"].iloc[[100]]}
    assert "is in both train" in message_of(load_streamed, write(tmp_path / "b", twice), NONE)
    both = parts | {"test": parts["validation"].iloc[[1]]}
    assert "both validation and test" in message_of(load_streamed, write(tmp_path / "c", both), NONE)
    nothing = parts | {"test": parts["test"].iloc[:0]}
    assert "test.parquet: the Parquet file has columns but no rows" in message_of(
        load_streamed, write(tmp_path / "e", nothing), NONE
    )


BAD = {
    "no folder": (["--config.dataset=nowhere"], ["nowhere", "no such folder"]),
    "a name": (["--config.dataset=ml-100k"], ["dataset='ml-100k': a set of the catalogue", "folder of Parquet files"]),
    "a file": (["--config.dataset=configs/quickstart.py"], ["quickstart.py': a file;", "folder of Parquet files"]),
    "no train files": (["--config.dataset=configs"], ["no train*.parquet file"]),
    "test as selection": (["--config.protocol=paper_oracle"], ["protocol='paper_oracle'", "'honest'"]),
    "another split": (["--config.split=time"], ["split='time'", "stream_window=0"]),
    "lanes": (["--config.batch_size=63", "--config.stream_window=-1"], ["stream_window=-1", "at least 0"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_status_2(folder, tmp_path, name):
    process = run(
        "train",
        *("--config=configs/quickstart.py", f"--config.dataset={folder}", "--config.stream_window=192"),
        *(f"--workdir={tmp_path / 'run'}", *BAD[name][0]),
    )
    assert_one_line(process, 2, *BAD[name][1])
    assert not (tmp_path / "run").exists()


# Users made of their histories: the index of what users touched is all that such a run reads.


def test_histories_come_from_the_index(dataset, tmp_path):
    found = train(small(method="onebp_history", normalize=False), dataset, tmp_path / "run")
    assert found["metrics"]["NDCG@20"] > 0 and found["epochs_done"] == 3
    alone, run = prepared(dataset, method="onebp_history")
    assert alone.epoch_steps == 2, "80 users in batches of 64"
    pieces = advanced(alone, run, 1, 1, 2)
    whole, run = prepared(dataset, method="onebp_history")
    assert_same(pieces.state.item, advanced(whole, run, 2, 2).state.item)


@pytest.mark.parametrize("method", ["popularity", "spectral", "ials"])
def test_methods_without_training_come_from_the_index(dataset, parts, tmp_path, method):
    """The same tables as in memory, of the training and the validation pairs; a trial does not see the latter."""
    config = small(method=method, dim=4, normalize=False)
    found = train(config, dataset, tmp_path / "run")
    pairs = np.concatenate([train_pairs_of(dataset, np.arange(dataset.num_users)), dataset.validation])
    assert len(pairs) == sum(len(parts[part]) for part in ("train", "validation"))
    made_run = run_folder.read_run(tmp_path / "run")
    expected = build_method(config).tables(pairs, dataset.num_users, dataset.num_items)
    for made, wanted in zip((made_run.user, made_run.item), expected, strict=True):
        np.testing.assert_array_equal(made, wanted)
    assert found["metrics"]["NDCG@20"] > 0
    config.read_test = False
    trial = train(config, dataset, tmp_path / "trial")
    assert trial["metrics"] == {} and trial["validation"]["NDCG@20"] > 0


def test_histories_without_the_index_are_refused(folder, tmp_path):
    config = small(method="onebp_history")
    message = message_of(train, config, load_streamed(folder, NONE), tmp_path / "run")
    assert "raise membership_bytes" in message
