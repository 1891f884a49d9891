"""A run and its data: the copy in its folder, a source that grew, moved or went, and other data in its place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.programs import SMALL, assert_one_line, run

from onebp_jax.data import Dataset
from onebp_jax.training import run_data

THEN = {"num_users": 10, "num_items": 20, "train_pairs": 50, "test_pairs": 10, "split": "given", "crc32": 1}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"train_pairs": 160, "test_pairs": 20}, "clicks.csv has 120 more rows than when this run was made"),
        ({"train_pairs": 49, "num_users": 9}, "1 fewer row than when this run was made (1 fewer user)"),
        (
            {"train_pairs": 52, "num_users": 11, "num_items": 22},
            "2 more rows than when this run was made (1 more user, 2 more",
        ),
        ({"num_items": 21}, "clicks.csv has 1 more item than"),
        ({"crc32": 2}, "clicks.csv has as many rows as when this run was made, but other ones"),
        ({"split": "leave one out"}, "the split of clicks.csv is 'leave one out' now, and was 'given'"),
        ({"item_features_crc32": 5}, "the side information of clicks.csv is not what it was"),
        ({"files": [["a.parquet", 1, 2]]}, "the files of clicks.csv are others"),
        ({"init": {"crc32": 3}}, "it began with new vectors (no init)"),
    ],
)
def test_what_changed_is_said_in_plain_words(change, words):
    said = run_data.difference("some/folder/clicks.csv", THEN | change, THEN)
    assert words in said and bool(words) == bool(said) and "crc32" not in said


def test_only_the_files_of_the_parts_are_sources(tmp_path):
    for name in ("train.csv", "test.csv", "notes.txt", "run/config.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
    assert [name.split("/")[-1] for name, *_ in run_data.source_files(str(tmp_path))] == ["test.csv", "train.csv"]
    assert run_data.source_files("ml-100k") == run_data.source_files("frame") == []


def test_other_data_are_matched_by_original_ids():
    array = lambda pairs: np.array(pairs, np.int32).reshape(-1, 2)
    own = Dataset("own", array([[0, 0], [1, 1]]), array([[0, 1]]), np.array([7, 9]), np.array(["x", "y"]), "given")
    other = Dataset(
        *("other", array([[0, 0], [0, 1], [1, 0]]), array([[2, 1], [2, 2]]), np.array(["9", "7", "8"])),
        *(np.array(["x", "y", "z"]), "given"),
    )
    found = run_data.with_pairs_of(own, other)
    # In original ids: 9 x, 9 y (trained on), 7 x (trained on), and two pairs of the unknown user 8.
    assert found.train is own.train and found.test.tolist() == [[1, 0]]
    np.testing.assert_array_equal(found.user_ids, own.user_ids)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on a file that was given by its relative path, the pairs of the file, and where both lie."""
    folder = tmp_path_factory.mktemp("own")
    users, items = np.divmod(np.random.default_rng(0).choice(40 * 30, 500, replace=False), 30)
    pairs = pd.DataFrame({"user": [f"u{u}" for u in users], "item": [f"i{i}" for i in items]})
    pairs.to_csv(folder / "clicks.csv", index=False)
    process = run("train", *flags_of(folder), f"--workdir={folder / 'run'}")
    assert process.returncode == 0, process.stderr
    return folder, pairs


def flags_of(folder):
    return [*SMALL, f"--config.dataset={folder / 'clicks.csv'}", "--config.epochs=4", "--config.num_negatives=2"]


def test_the_source_may_grow_change_or_go(trained, tmp_path):
    folder, pairs = trained
    source, workdir = folder / "clicks.csv", f"--workdir={folder / 'run'}"
    then = run("evaluate", workdir)
    assert then.returncode == 0 and "WARNING" not in then.stderr
    try:
        more = pd.DataFrame({"user": ["new", "u1"], "item": ["i1", "new"]})
        pd.concat([pairs, more]).to_csv(source, index=False)
        for program in (["evaluate"], ["recommend", "--users=u1", "--k=2"]):
            now = run(*program, workdir)
            assert now.returncode == 0 and now.stderr.count("WARNING") == 1
            assert "clicks.csv has 2 more rows than when this run was made (1 more user, 1 more item)" in now.stderr
        other = run("evaluate", workdir, f"--dataset={source}")
        assert other.returncode == 0 and "of 502 pairs, the run was trained on 398; 2 are of users" in other.stderr
        assert other.stdout.startswith(f"onebp on all of {source} that is not in training, epoch ")
        assert_one_line(run("train", *flags_of(folder), workdir), 2, "2 more rows", "another run folder", "--init=")
        grown = run("train", *flags_of(folder), f"--workdir={tmp_path / 'grown'}", f"--init={folder / 'run'}")
        assert grown.returncode == 0 and "40 of 41 users begin with its vectors, 1 are new" in grown.stderr
        source.write_text("nothing\n")
        now = run("evaluate", workdir)
        assert now.stdout == then.stdout and "cannot be read any more" in now.stderr
        source.unlink()
        now = run("evaluate", workdir)
        assert (now.stdout, now.stderr) == (then.stdout, then.stderr)
        assert run("recommend", workdir, "--exclude=all", "--users=u1").returncode == 0
        assert run("export", workdir, f"--out={tmp_path / 'v.npz'}").returncode == 0
    finally:
        pairs.to_csv(source, index=False)


def test_the_data_of_the_training_are_said_to_be_known(trained, tmp_path):
    folder, _ = trained
    workdir, dataset = f"--workdir={tmp_path / 'run'}", f"--dataset={folder / 'clicks.csv'}"
    refitted = run("train", *flags_of(folder), workdir, "--config.refit=True", "--config.epochs=2")
    assert refitted.returncode == 0, refitted.stderr
    measured = run("evaluate", workdir)
    assert measured.returncode == 0 and "the metrics are of the honest run" in measured.stderr
    assert measured.stdout.partition("|")[2] in refitted.stdout
    assert_one_line(run("evaluate", workdir, dataset), 2, "nothing is left to measure: all its pairs were trained on")


def test_a_run_without_a_copy_reads_its_source_or_one_that_was_moved(trained, tmp_path):
    folder, pairs = trained
    source, copy, workdir = folder / "clicks.csv", folder / "run" / "interactions.npz", f"--workdir={folder / 'run'}"
    saved = copy.read_bytes()
    copy.unlink()
    try:
        then = run("evaluate", workdir)
        assert then.returncode == 0
        source.rename(tmp_path / "moved.csv")
        assert_one_line(run("evaluate", workdir), 2, "clicks.csv")
        moved = run("evaluate", workdir, f"--dataset={tmp_path / 'moved.csv'}")
        assert (moved.returncode, moved.stdout) == (0, then.stdout)
        pairs[:-3].to_csv(tmp_path / "moved.csv", index=False)
        assert_one_line(
            run("evaluate", workdir, f"--dataset={tmp_path / 'moved.csv'}"), 2, "3 fewer rows", "--dataset=PATH"
        )
    finally:
        pairs.to_csv(source, index=False)
        copy.write_bytes(saved)
