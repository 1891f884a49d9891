"""Checkpoints: what is restored is bit for bit what was saved, or an earlier checkpoint with a warning, or an error."""

import copy
import errno
import json
import logging
import shutil
from pathlib import Path
from typing import NamedTuple

import jax
import orbax.checkpoint as ocp
import pytest
from etils import epath
from support.same import assert_same

from onebp_jax.config import default_config
from onebp_jax.data import generate
from onebp_jax.errors import RunFailed
from onebp_jax.methods.build import build_method
from onebp_jax.training import checkpoint, runner

# November 2026, orbax 0.12.8: when one file of a checkpoint cannot be read, the storage layer closes its event loop
# while other reads are under way, and another thread complains about their answers.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. None:pytest.PytestUnraisableExceptionWarning")

STEPS = 2  # steps between two checkpoints


def prepared():
    """`(job, run)` of a small run that has not begun."""
    config = default_config()
    config.update({"dim": 4, "batch_size": 64, "epochs": 3})
    data = generate(num_users=30, num_items=30, interactions_per_user=8)
    return runner.prepare(config, build_method(config), data)


def contents(run):
    """Everything that a run holds, on the host: the arrays of its state, the best vectors, and the progress."""
    state = run.state._replace(key=jax.random.key_data(run.state.key))
    return jax.device_get((state, tuple(run.best))), copy.deepcopy(run.progress)


def assert_same_run(run, expected):
    (arrays, progress), (expected_arrays, expected_progress) = contents(run), expected
    assert_same(arrays, expected_arrays)
    # Written out, two floats are equal only if every bit is, and 1 differs from 1.0.
    assert json.dumps(progress) == json.dumps(expected_progress)


class Saved(NamedTuple):
    """A folder with the checkpoints of two steps, and what the runs held there and two steps later."""

    folder: Path
    job: runner.Job
    begun: runner.Run
    earlier: tuple
    newest: tuple
    afterwards: tuple

    @property
    def fresh(self):
        """A run that has not begun; one of its own every time, because restoring gives its buffers away."""
        return jax.tree.map(lambda leaf: leaf.copy() if isinstance(leaf, jax.Array) else leaf, self.begun)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    job, run = prepared()
    held = []
    for _ in range(3):
        run = job.advance(run, STEPS)
        run, _ = runner.evaluate(job, run)
        # A clock's numbers have many digits, and must come back with all of them.
        run = runner._add_seconds(run, train=0.1 + 0.2 + run.step / 3)
        if len(held) < 2:
            checkpoint.save(folder, run)
        held.append(contents(run))
    return Saved(folder, job, prepared()[1], *held)


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of the two checkpoints, to be spoilt."""
    return shutil.copytree(saved.folder, tmp_path / "checkpoints")


@pytest.fixture
def warnings(caplog):
    """Our warnings so far, as text."""
    caplog.set_level(logging.WARNING)
    # The storage layer may have warnings of its own.
    return lambda: [record.getMessage() for record in caplog.records if record.pathname == checkpoint.__file__]


def steps_in(folder):
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def go_on(saved, run):
    """Two more steps, an evaluation, and the clock of an uninterrupted run."""
    run, _ = runner.evaluate(saved.job, saved.job.advance(run, STEPS))
    return run._replace(progress=run.progress._replace(seconds=saved.afterwards[1].seconds))


# What is saved comes back


def test_a_round_trip_is_bit_identical(saved, warnings):
    assert_same_run(checkpoint.restore(saved.folder, saved.fresh), saved.newest)
    assert warnings() == []


def test_a_restored_run_goes_on_as_if_it_had_never_stopped(saved):
    run = checkpoint.restore(saved.folder, saved.fresh)
    assert_same_run(go_on(saved, run), saved.afterwards)


def test_restoring_leaves_the_checkpoints_as_they_were(saved, folder):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    checkpoint.restore(folder, saved.fresh)
    checkpoint.restore(folder, saved.fresh)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_without_checkpoints_the_run_is_the_one_given(saved, tmp_path, warnings):
    fresh = saved.fresh
    assert checkpoint.restore(tmp_path / "missing", fresh) is fresh
    assert not (tmp_path / "missing").exists()
    assert checkpoint.restore(tmp_path, fresh) is fresh
    assert warnings() == []


def test_only_two_are_kept(saved, folder):
    assert steps_in(folder) == [STEPS, 2 * STEPS]
    run = go_on(saved, checkpoint.restore(folder, saved.fresh))
    checkpoint.save(folder, run)
    assert steps_in(folder) == [2 * STEPS, 3 * STEPS]
    assert_same_run(checkpoint.restore(folder, saved.fresh), saved.afterwards)


def test_saving_a_step_again_changes_nothing(saved, folder):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    checkpoint.save(folder, checkpoint.restore(folder, saved.fresh))
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_run_that_has_not_begun_can_be_saved(saved, tmp_path):
    checkpoint.save(tmp_path / "checkpoints", saved.fresh)
    assert_same_run(checkpoint.restore(tmp_path / "checkpoints", saved.fresh), contents(saved.fresh))


# Damage


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path, place=0.5):
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0xFF
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def delete(path):
    path.unlink()


def restored_after_damage(saved, folder, warnings):
    """Restores, checks that nothing wrong was restored, and says whether the newest checkpoint was given up."""
    before = len(warnings())
    run = checkpoint.restore(folder, saved.fresh)
    spoken = warnings()[before:]
    newest = folder / str(2 * STEPS)
    if run.step == 2 * STEPS:
        assert_same_run(run, saved.newest)
        assert spoken == []
        return False
    assert_same_run(run, saved.earlier)
    assert len(spoken) == 1
    assert f"{newest} is damaged" in spoken[0]
    assert "\n" not in spoken[0]
    assert not newest.exists()
    return True


@pytest.mark.parametrize(
    "damage", [flip, delete, *(pytest.param(each, marks=pytest.mark.study) for each in (truncate, empty))]
)
def test_damage_to_any_file_is_noticed_or_does_no_harm(saved, tmp_path, warnings, damage):
    names = sorted(
        path.relative_to(saved.folder) for path in (saved.folder / str(2 * STEPS)).rglob("*") if path.is_file()
    )
    assert len(names) >= 4
    given_up = set()
    for number, name in enumerate(names):
        folder = shutil.copytree(saved.folder, tmp_path / str(number))
        damage(folder / name)
        if restored_after_damage(saved, folder, warnings):
            given_up.add(name.parts[1])
    # Both the arrays and the note were among the damaged files.
    assert {"arrays", "note"} <= given_up


@pytest.mark.parametrize(
    "place", [0.02, 0.65, *(pytest.param(place, marks=pytest.mark.study) for place in (0.2, 0.35, 0.8, 0.98))]
)
def test_a_flipped_byte_in_the_largest_file_of_each_part(saved, tmp_path, warnings, place):
    for part in ("arrays", "note"):
        folder = shutil.copytree(saved.folder, tmp_path / part)
        files = [path for path in (folder / str(2 * STEPS) / part).rglob("*") if path.is_file()]
        largest = max(path.stat().st_size for path in files)
        for path in files:
            if path.stat().st_size == largest:  # the same bytes may lie there twice
                flip(path, place)
        restored_after_damage(saved, folder, warnings)


def test_a_number_that_was_changed_in_a_sound_file_is_noticed(saved, folder, warnings):
    [path] = [path for path in folder.glob(f"{2 * STEPS}/note/*") if b"progress" in path.read_bytes()]
    note = json.loads(path.read_text())
    note["progress"]["epoch_loss"][0] += 1e-9
    path.write_text(json.dumps(note))
    assert restored_after_damage(saved, folder, warnings)
    assert "checksum does not match" in warnings()[0]


def test_sound_arrays_of_another_step_are_noticed(saved, folder, warnings):
    shutil.rmtree(folder / str(2 * STEPS) / "arrays")
    shutil.copytree(folder / str(STEPS) / "arrays", folder / str(2 * STEPS) / "arrays")
    assert restored_after_damage(saved, folder, warnings)
    assert "checksum does not match" in warnings()[0]


def test_an_empty_step_folder_is_noticed(saved, folder, warnings):
    shutil.rmtree(folder / str(2 * STEPS))
    (folder / str(2 * STEPS)).mkdir()
    restored_after_damage(saved, folder, warnings)


def test_after_damage_the_run_goes_on_and_saves_the_step_again(saved, folder, warnings):
    shutil.rmtree(folder / str(2 * STEPS) / "arrays")
    run = checkpoint.restore(folder, saved.fresh)
    assert_same_run(run, saved.earlier)
    run, _ = runner.evaluate(saved.job, saved.job.advance(run, STEPS))
    run = run._replace(progress=run.progress._replace(seconds=saved.newest[1].seconds))
    checkpoint.save(folder, run)
    assert steps_in(folder) == [STEPS, 2 * STEPS]
    assert_same_run(checkpoint.restore(folder, saved.fresh), saved.newest)
    assert len(warnings()) == 1


def test_when_all_are_damaged_the_run_fails_again_and_again(saved, folder, warnings):
    for step in steps_in(folder):
        shutil.rmtree(folder / str(step) / "arrays")
    # The second time must not begin anew as if there had never been a checkpoint.
    for _ in range(2):
        with pytest.raises(RunFailed, match=f"every checkpoint in {folder} is damaged"):
            checkpoint.restore(folder, saved.fresh)
    assert [
        step for step in (2 * STEPS, STEPS) for text in warnings() if f"{folder / str(step)} is damaged" in text
    ] == [
        2 * STEPS,
        STEPS,
    ]


# A disk that does not take it


def full_disk(*arguments, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


def full_storage(*arguments, **options):
    raise ValueError("INTERNAL: Error writing file: No space left on device [os_error_code='28']")


def assert_still_usable(saved, folder, warnings):
    """The older checkpoints restore, nothing was warned about, and once there is space the run saves again."""
    assert steps_in(folder) == [STEPS, 2 * STEPS]
    run = checkpoint.restore(folder, saved.fresh)
    assert_same_run(run, saved.newest)
    assert warnings() == []
    checkpoint.save(folder, go_on(saved, run))
    assert steps_in(folder) == [2 * STEPS, 3 * STEPS]
    assert_same_run(checkpoint.restore(folder, saved.fresh), saved.afterwards)


@pytest.mark.parametrize("failing", [full_disk, full_storage])
def test_a_full_disk_is_an_os_error_and_leaves_the_older_ones(saved, folder, monkeypatch, warnings, failing):
    run = go_on(saved, checkpoint.restore(folder, saved.fresh))
    with monkeypatch.context() as patch:
        patch.setattr(ocp.CheckpointManager, "save", failing)
        with pytest.raises(OSError, match="No space left on device") as caught:
            checkpoint.save(folder, run)
    assert caught.value.errno == errno.ENOSPC
    assert_still_usable(saved, folder, warnings)


def test_a_half_written_checkpoint_is_ignored(saved, folder, monkeypatch, warnings):
    run = go_on(saved, checkpoint.restore(folder, saved.fresh))
    before = {path.name for path in folder.iterdir()}
    with monkeypatch.context() as patch:
        # All but the last act of a save: the temporary folder stays under its temporary name.
        patch.setattr(type(epath.Path(folder)), "rename", full_disk)
        with pytest.raises(OSError, match="No space left on device"):
            checkpoint.save(folder, run)
    assert {path.name for path in folder.iterdir()} > before, "no temporary folder was left: nothing was tested"
    assert_still_usable(saved, folder, warnings)


@pytest.mark.parametrize("below", ["", "checkpoints"], ids=["in its place", "as its parent"])
def test_a_file_in_place_of_the_folder_is_an_os_error(saved, tmp_path, below):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError):
        checkpoint.save(tmp_path / "file" / below, saved.fresh)
    assert (tmp_path / "file").read_text() == "mine"


def test_other_errors_pass_as_they_are(saved, folder, monkeypatch):
    def fail(*arguments, **options):
        raise ValueError("something else")

    monkeypatch.setattr(ocp.CheckpointManager, "save", fail)
    with pytest.raises(ValueError, match="something else"):
        checkpoint.save(folder, saved.fresh)
