"""The run folder: whole files or none, one run a folder, one process at a time, and what reading back refuses."""

import contextlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from onebp_jax.config import as_plain, default_config
from onebp_jax.errors import UserError
from onebp_jax.training import run_folder

DATA = {"num_users": 3, "num_items": 4, "train_pairs": 5, "crc32": 123}


def settings(**changes):
    config = default_config()
    config.update(changes)
    return config


def claim(workdir, config=None, data=DATA):
    """What a command does before it writes anything else."""
    with run_folder.locked(workdir):
        run_folder.check(workdir, config or settings(), data)
        run_folder.begin(workdir, config or settings(), data)


def test_a_folder_made_for_nothing_goes_again(tmp_path):
    for name, writes in (("refused", False), ("begun", True)):
        with pytest.raises(UserError, match="no"), run_folder.locked(tmp_path / name):
            if writes:
                (tmp_path / name / "config.json").write_text("{}")
            raise UserError("no")
        assert (tmp_path / name).exists() == writes
    for path in ("outer/inner", f"outer/{'x' * 300}", "outer/../begun/config.json/run"):
        with pytest.raises(UserError), run_folder.locked(tmp_path / path):
            raise UserError("no")
        assert not (tmp_path / "outer").exists()
    (tmp_path / "mine").mkdir()
    with run_folder.locked(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").exists()


def test_who_is_refused_leaves_the_folder_of_another_alone(tmp_path, monkeypatch):
    with run_folder.locked(tmp_path / "run"):
        # As if both had begun at once, and neither had seen a folder.
        monkeypatch.setattr(run_folder.Path, "exists", lambda self: False)
        with pytest.raises(UserError, match="another process"), run_folder.locked(tmp_path / "run"):
            pass
        monkeypatch.undo()
        assert (tmp_path / "run").exists()


def contents(folder):
    """Every file below a folder: its path and its bytes."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def finished(tmp_path):
    """A finished run, `(folder, arrays)`."""
    folder = tmp_path / "run"
    claim(folder, settings(dim=2, seed=7))
    arrays = {
        "user": np.arange(6, dtype=np.float32).reshape(3, 2),
        "item": np.ones((4, 2), np.float32),
        "user_ids": np.array(["a", "b", "c"]),
        "item_ids": np.array([10, 20, 30, 40]),
    }
    run_folder.write_atomically(folder / "embeddings.npz", lambda file: np.savez(file, **arrays))
    result = {"method": "onebp", "dataset": "own", "epoch": 3, "metrics": {"P@5": 0.5}, "seconds": {"train": 1.0}}
    run_folder.write_json(folder / "result.json", result)
    return folder, arrays


# Writing


def test_a_write_replaces_the_file_and_leaves_nothing_else(tmp_path):
    for text in (b"old", b"new and longer", b""):
        run_folder.write_atomically(tmp_path / "file", lambda file, text=text: file.write(text))
        assert contents(tmp_path) == {(tmp_path / "file").relative_to(tmp_path): text}


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), ValueError("no"), KeyboardInterrupt()], ids=repr
)
def test_a_writer_that_raises_leaves_the_old_file(tmp_path, error):
    (tmp_path / "file").write_bytes(b"old")

    def write(file):
        file.write(b"half")
        file.flush()
        raise error

    for name in ("file", "missing"):
        with pytest.raises(type(error)):
            run_folder.write_atomically(tmp_path / name, write)
    assert contents(tmp_path) == {(tmp_path / "file").relative_to(tmp_path): b"old"}


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_disk_that_fails_late_leaves_the_old_file(tmp_path, monkeypatch, function):
    (tmp_path / "file").write_bytes(b"old")

    def fail(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(OSError, match="Input/output error"):
        run_folder.write_atomically(tmp_path / "file", lambda file: file.write(b"new"))
    assert contents(tmp_path) == {(tmp_path / "file").relative_to(tmp_path): b"old"}


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write(file):
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"

    run_folder.write_atomically(path, write)
    assert path.read_bytes() == b"new"


def test_json_comes_back_as_it_was(tmp_path):
    value = {"a": [1, 0.1 + 0.2, None], "b": {"c": "ü"}}
    run_folder.write_json(tmp_path / "file", value)
    assert run_folder.read_json(tmp_path / "file") == value


@pytest.mark.parametrize("text", [b"", b'{"a": 1', b"\xff\xfe"], ids=["empty", "half", "binary"])
def test_json_that_cannot_be_read_is_named(tmp_path, text):
    (tmp_path / "file").write_bytes(text)
    for name in ("file", "missing"):
        with pytest.raises(UserError, match=rf"cannot read .*{name} \(.*another run folder"):
            run_folder.read_json(tmp_path / name)


def test_json_of_another_shape_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"[]")
    with pytest.raises(UserError, match="file is not a file of a run"):
        run_folder.read_json(tmp_path / "file")


# One run a folder


def test_a_new_folder_is_made_with_its_parents_and_holds_the_config(tmp_path):
    folder = tmp_path / "some" / "folder"
    claim(folder)
    assert run_folder.read_json(folder / "config.json") == {
        "config": json.loads(json.dumps(settings().to_dict() | {"options": {}})),
        "data": DATA,
    }


def test_the_same_run_may_go_on(tmp_path):
    claim(tmp_path)
    before = contents(tmp_path)
    claim(tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", 1),
        ("learning_rate", 0.5),
        ("method", "twobp"),
        ("dataset", "ml-100k"),
        ("drop_last", True),
        ("epochs", 99),
    ],
)
def test_another_configuration_is_refused_by_field_and_values(tmp_path, field, value):
    claim(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(UserError) as caught:
        claim(tmp_path, settings(**{field: value}))
    message = str(caught.value)
    assert str(tmp_path) in message
    assert f"other configuration: {field} is {settings()[field]!r} there and {value!r} here" in message
    assert contents(tmp_path) == before


def test_another_size_of_the_synthetic_set_is_refused(tmp_path):
    claim(tmp_path)
    other = settings()
    other.synthetic.num_users = 7
    with pytest.raises(
        UserError, match=r"synthetic is \{.*'num_users': 1000.*\} there and \{.*'num_users': 7.*\} here"
    ):
        claim(tmp_path, other)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("crc32", 124, "synthetic has as many rows as when this run was made, but other ones"),
        ("train_pairs", 6, "synthetic has 1 more row than when this run was made"),
        ("split", "given", "the split of synthetic is 'given' now, and was None"),
    ],
)
def test_other_data_are_refused_in_plain_words(tmp_path, field, value, words):
    claim(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(UserError, match=f"other data: {words}.*another run folder.*init={tmp_path}"):
        claim(tmp_path, data=DATA | {field: value})
    with pytest.raises(UserError, match=words):
        run_folder.check_data(tmp_path, DATA | {field: value})
    assert run_folder.changes(tmp_path, DATA | {field: value}).startswith(words)
    run_folder.check_data(tmp_path, DATA)
    assert contents(tmp_path) == before


def test_paths_of_ones_own_are_absolute_and_compared_as_such(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clicks.csv").write_text("user,item\n")
    relative, absolute = settings(dataset="clicks.csv"), settings(dataset=str(tmp_path / "clicks.csv"))
    claim(tmp_path / "run", relative)
    written = run_folder.read_json(tmp_path / "run" / "config.json")
    assert written["config"]["dataset"] == absolute.dataset and relative.dataset == "clicks.csv"
    claim(tmp_path / "run", absolute)
    # A folder of 0.1.0 holds the path as it was given.
    run_folder.write_json(tmp_path / "run" / "config.json", {"config": as_plain(relative), "data": DATA})
    for config in (relative, absolute):
        claim(tmp_path / "run", config)


def test_a_source_that_was_not_touched_is_known_by_its_size_and_time(tmp_path):
    path = tmp_path / "clicks.csv"
    path.write_text("user,item\n")
    claim(tmp_path / "run", settings(dataset=str(path)))
    assert run_folder.source_is_untouched(tmp_path / "run")
    path.write_text("user,item\n1,2\n")
    assert not run_folder.source_is_untouched(tmp_path / "run")
    path.unlink()
    assert run_folder.source_is_untouched(tmp_path / "run")


@pytest.mark.parametrize(("field", "value"), [("steps_per_call", 7), ("checkpoint_seconds", 0.5)])
def test_fields_that_do_not_change_the_result_may_differ(tmp_path, field, value):
    assert settings()[field] != value
    claim(tmp_path)
    before = contents(tmp_path)
    claim(tmp_path, settings(**{field: value}))
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "name", ["result.json", "metrics.jsonl", "embeddings.npz", "interactions.npz", "checkpoints/note"]
)
def test_files_that_are_no_runs_are_refused_and_left_alone(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"mine")
    before = contents(tmp_path)
    with pytest.raises(UserError, match=f"holds {name.split('/')[0]} but no config.json: nothing was touched"):
        claim(tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("text", ['{"hidden_size": 768}', '{"config": 1, "data": {}}', "[]", "half a file"])
def test_the_config_of_another_program_is_refused_and_left_alone(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    (tmp_path / "result.json").write_text("{}")
    before = contents(tmp_path)
    with pytest.raises(UserError, match="config.json"):
        claim(tmp_path)
    with pytest.raises(UserError, match="config.json"):
        run_folder.check_data(tmp_path, DATA)
    with pytest.raises(UserError, match="config.json"):
        run_folder.read_run(tmp_path)
    assert contents(tmp_path) == before


def test_a_folder_with_other_files_may_become_a_run(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    claim(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("below", ["", "run"], ids=["in its place", "as its parent"])
def test_a_file_in_the_way_is_a_user_error(tmp_path, below):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="run folder .*file"):
        claim(tmp_path / "file" / below)
    assert (tmp_path / "file").read_text() == "mine"


# One process at a time

HOLD = """
import sys
from onebp_jax.training import run_folder
from pathlib import Path
with run_folder.locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def another_process(folder):
    """A second Python that holds the folder until the block ends."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.stdin.close()


def test_a_second_process_is_refused_until_the_first_ends(tmp_path):
    pytest.importorskip("fcntl")
    claim(tmp_path)
    before = contents(tmp_path)
    with another_process(tmp_path):
        with pytest.raises(UserError, match=f"another process is running in {tmp_path}"):
            claim(tmp_path)
        assert contents(tmp_path) == before
    claim(tmp_path)


def test_a_killed_process_leaves_the_folder_free(tmp_path):
    pytest.importorskip("fcntl")
    with another_process(tmp_path) as process:
        process.kill()
        process.wait()
        claim(tmp_path)


def test_the_lock_leaves_no_file(tmp_path):
    with run_folder.locked(tmp_path):
        assert contents(tmp_path) == {}
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("error", [BlockingIOError(11, "try again"), ValueError("no")], ids=repr)
def test_an_error_of_the_run_is_not_taken_for_a_lock(tmp_path, error):
    with pytest.raises(type(error)) as caught, run_folder.locked(tmp_path):
        raise error
    assert caught.value is error
    claim(tmp_path)


# Lines


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_are_appended(tmp_path):
    for step in (1, 2):
        run_folder.append_line(tmp_path / "metrics.jsonl", {"step": step})
    assert lines_of(tmp_path / "metrics.jsonl") == [{"step": 1}, {"step": 2}]


@pytest.mark.parametrize(("step", "left"), [(0, []), (10, [10]), (19, [10]), (20, [10, 20]), (99, [10, 20, 30])])
def test_later_lines_are_cut(tmp_path, step, left):
    path = tmp_path / "metrics.jsonl"
    for number in (10, 20, 30):
        run_folder.append_line(path, {"step": number, "metrics": {"P@5": 0.1}})
    run_folder.cut_lines(path, step)
    assert lines_of(path) == [{"step": number, "metrics": {"P@5": 0.1}} for number in left]


def test_a_half_written_line_is_cut_wherever_it_ends(tmp_path):
    path = tmp_path / "metrics.jsonl"
    whole = '{"step": 10, "loss": 0.5}\n'
    last = '{"step": 20, "loss": 0.25}'
    for length in range(len(last)):
        path.write_text(whole + last[:length])
        run_folder.cut_lines(path, 99)
        assert path.read_text() == whole
    path.write_text(whole + last)
    run_folder.cut_lines(path, 99)
    assert path.read_text() == whole + last + "\n"


def test_a_line_that_a_crash_filled_with_rubbish_is_cut(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for rubbish in (b"\0" * 40, b"\xff\xfe\xfd", b"7", b"[]", b"{}"):
        path.write_bytes(b'{"step": 10}\n' + rubbish + b"\n")
        run_folder.cut_lines(path, 99)
        assert path.read_bytes() == b'{"step": 10}\n'


def test_without_lines_there_is_nothing_to_cut(tmp_path):
    run_folder.cut_lines(tmp_path / "metrics.jsonl", 5)
    assert contents(tmp_path) == {}


# Reading back


def test_a_finished_run_is_read_back(finished):
    folder, arrays = finished
    run = run_folder.read_run(str(folder))
    assert (run.config.dim, run.config.seed, run.config.epochs) == (2, 7, settings().epochs)
    assert run.result["metrics"] == {"P@5": 0.5} and run.result["epoch"] == 3
    for name, array in arrays.items():
        found = getattr(run, name)
        assert found.dtype == (object if array.dtype.kind == "U" else array.dtype)
        np.testing.assert_array_equal(found, array)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(
            UserError, match=f"^workdir={folder}: (not a run folder, it has no config.json|no such folder; )"
        ):
            run_folder.read_run(folder)


def test_a_run_that_has_not_ended_is_refused(finished):
    folder, _ = finished
    (folder / "result.json").unlink()
    with pytest.raises(UserError, match="has not ended: give the same onebp train command again"):
        run_folder.read_run(folder)


def test_a_damaged_result_is_refused(finished):
    folder, _ = finished
    (folder / "result.json").write_text('{"metrics"')
    with pytest.raises(UserError, match=r"cannot read .*result\.json"):
        run_folder.read_run(folder)
    (folder / "result.json").write_text("{}")
    with pytest.raises(UserError, match=r"result\.json is damaged: it has no 'dataset'"):
        run_folder.read_run(folder)


def test_a_run_that_is_older_than_a_field_goes_on(tmp_path):
    config = settings()
    run_folder.begin(tmp_path, config, DATA)
    origin = run_folder.read_json(tmp_path / "config.json")
    del origin["config"]["normalize"]
    run_folder.write_json(tmp_path / "config.json", origin)
    run_folder.check(tmp_path, config, DATA)
    config.normalize = True
    with pytest.raises(UserError, match="normalize is False there and True here"):
        run_folder.check(tmp_path, config, DATA)


def test_missing_or_foreign_tables_are_refused(finished):
    folder, arrays = finished
    path = folder / "embeddings.npz"
    without = {name: array for name, array in arrays.items() if name != "item_ids"}
    run_folder.write_atomically(path, lambda file: np.savez(file, **without))
    with pytest.raises(UserError, match=r"cannot read .*embeddings\.npz.*item_ids"):
        run_folder.read_run(folder)
    run_folder.write_atomically(path, lambda file: np.save(file, arrays["user"]))
    with pytest.raises(UserError, match=r"cannot read .*embeddings\.npz"):
        run_folder.read_run(folder)
    path.unlink()
    with pytest.raises(UserError, match=r"cannot read .*embeddings\.npz"):
        run_folder.read_run(folder)


def test_tables_that_would_run_code_are_refused(finished):
    folder, arrays = finished
    with_objects = arrays | {"user_ids": np.array([{"a": 1}, None, "c"], object)}
    run_folder.write_atomically(folder / "embeddings.npz", lambda file: np.savez(file, **with_objects))
    with pytest.raises(UserError, match=r"cannot read .*embeddings\.npz"):
        run_folder.read_run(folder)


@pytest.mark.parametrize("share", [0, 0.001, 0.2, 0.5, 0.9, 0.999])
def test_truncated_tables_are_refused(finished, share):
    path = finished[0] / "embeddings.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"cannot read .*embeddings\.npz"):
        run_folder.read_run(finished[0])


def test_a_flipped_bit_is_refused_or_does_no_harm(finished):
    folder, arrays = finished
    path = folder / "embeddings.npz"
    whole = path.read_bytes()
    refused = 0
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            run = run_folder.read_run(folder)
        except UserError as error:
            assert "embeddings.npz" in str(error)
            refused += 1
        else:
            for name, array in arrays.items():
                np.testing.assert_array_equal(getattr(run, name), array)
    assert refused > len(whole) / 6


def test_tables_whose_header_lost_rows_are_refused(finished):
    folder, arrays = finished
    path = folder / "embeddings.npz"
    # So large that NumPy, left alone, would stop reading before the checksum.
    arrays = arrays | {"item": np.ones((4000, 2), np.float32), "item_ids": np.arange(4000)}
    run_folder.write_atomically(path, lambda file: np.savez(file, **arrays))
    assert len(run_folder.read_run(folder).item) == 4000
    whole = path.read_bytes()
    assert whole.count(b"(4000, 2)") == 1
    path.write_bytes(whole.replace(b"(4000, 2)", b"(1000, 2)"))
    with pytest.raises(UserError, match=r"cannot read .*embeddings\.npz"):
        run_folder.read_run(finished[0])
