"""The files of a run: `train` writes them, the other programs read them.

    config.json        the configuration, and what data it met
    metrics.jsonl      one line per evaluation
    checkpoints/       see `onebp_jax.training.checkpoint`
    interactions.npz   at the end: train int32[P, 2], test int32[T, 2], train_times; not of a stream
    embeddings.npz     at the end: user f32[M, d], item f32[N, d], user_ids, item_ids, of the chosen epoch
    result.json        at the end: the metrics of the chosen epoch

`onebp_jax.training.files` writes them whole: a crash leaves the old file or the new one, never a half.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import ml_collections
import numpy as np

from onebp_jax.compat.moved import current_id
from onebp_jax.config import OPERATIONAL, as_plain, default_config
from onebp_jax.data.dataset import Dataset
from onebp_jax.errors import UserError
from onebp_jax.training.files import read_json, read_npz, write_atomically, write_json, write_npz
from onebp_jax.training.run_data import absolute, difference, source_files

try:
    import fcntl
except ImportError:  # not a POSIX system: there nothing keeps two runs out of one folder
    fcntl = None

OURS = ("metrics.jsonl", "checkpoints", "result.json", "embeddings.npz", "interactions.npz")
_INTERACTIONS = ("train", "test", "train_times")


@contextlib.contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """Makes a run folder if it is missing, and locks it; raises `UserError` if another process holds it.

    At the end an empty folder that was made here is removed: its run was refused before anything was written.
    """
    found = workdir.exists()
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the run folder {workdir}: {error.strerror or error}") from error
    with _exclusive(workdir):
        try:
            yield
        finally:
            if not found:
                with contextlib.suppress(OSError):
                    workdir.rmdir()  # fails unless it is empty


@contextlib.contextmanager
def _exclusive(workdir: Path) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    folder = os.open(workdir, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(folder)
        raise UserError(f"another process is running in {workdir}: use another run folder") from error
    try:
        yield
    finally:
        os.close(folder)


def check(workdir: Path, config: ml_collections.ConfigDict, data: dict) -> None:
    """Raises `UserError` if a folder holds a run of another configuration, a run on other data, or files of no run."""
    if not (workdir / "config.json").exists():
        found = [name for name in OURS if (workdir / name).exists()]
        if found:
            raise UserError(
                f"{workdir} holds {found[0]} but no config.json: nothing was touched, use another run folder"
            )
        return
    theirs, mine = _origin(workdir), absolute(as_plain(config))
    # A run made before a field existed was made with the field's default.
    plain = absolute(as_plain(default_config()) | theirs["config"])
    _same(workdir, mine, {name: _of_today(value) for name, value in plain.items()})
    if changed := difference(str(config.dataset), _as_json(data), theirs["data"]):
        raise UserError(
            f"{workdir} holds a run on other data: {changed}; nothing was touched: train in another run folder, and give "
            f"init={workdir} there to begin with the vectors of this run"
        )


def begin(workdir: Path, config: ml_collections.ConfigDict, data: dict) -> None:
    """Writes `config.json`, with absolute paths of a user's own files. From then on the folder belongs to this run."""
    if not (workdir / "config.json").exists():
        files = source_files(str(config.dataset))
        record = {"config": absolute(as_plain(config)), "data": data} | ({"files": files} if files else {})
        write_json(workdir / "config.json", record)


def read_result(workdir: Path) -> dict:
    """The contents of `result.json`; raises `UserError` if it is not the result of a run."""
    path = workdir / "result.json"
    result = read_json(path)
    if missing := {"method", "dataset", "epoch", "metrics", "seconds"} - set(result):
        raise UserError(
            f"{path} is damaged: it has no {sorted(missing)[0]!r}; restore it, or start again in another run folder"
        )
    return result


def check_data(workdir: Path, data: dict) -> None:
    """Raises `UserError` if the run in `workdir` was made on other data than those with this fingerprint."""
    if changed := changes(workdir, data):
        raise UserError(f"{changed}: the run in {workdir} needs the data that it was made on")


def changes(workdir: Path, data: dict) -> str:
    """How the data with this fingerprint differ from those of the run, as a sentence; empty if they do not."""
    origin = _origin(workdir)
    # The data do not say what a run began with.
    then = {name: value for name, value in origin["data"].items() if name != "init"}
    return difference(origin["config"].get("dataset", "the data set"), _as_json(data), then)


def source_is_untouched(workdir: Path) -> bool:
    """Whether a user's own files are as they were when the run was made, by name, size and time of the last change.

    True too if there are none, or they are gone.
    """
    origin = _origin(workdir)
    files = source_files(origin["config"].get("dataset", ""))
    return not files or files == origin.get("files")


def _of_today(value):
    """A value of a config.json, in which an older version may have named a function by a module that has moved."""
    return current_id(value) if isinstance(value, str) else value


def _origin(workdir: Path) -> dict:
    """The contents of `config.json`; raises `UserError` if another program wrote it."""
    path = workdir / "config.json"
    found = read_json(path)
    if not isinstance(found, dict) or not all(isinstance(found.get(part), dict) for part in ("config", "data")):
        raise UserError(f"{path} is not the config.json of a run: nothing was touched, use another run folder")
    return found


def _as_json(value: dict) -> dict:
    """What JSON would give back: it turns tuples into lists."""
    return json.loads(json.dumps(value))


def _same(workdir: Path, mine: dict, theirs: dict) -> None:
    mine = _as_json(mine)
    for field in sorted(set(mine) | set(theirs)):
        if field not in OPERATIONAL and mine.get(field) != theirs.get(field):
            raise UserError(
                f"{workdir} holds a run with other configuration: {field} is {theirs.get(field)!r} there and "
                f"{mine.get(field)!r} here; nothing was touched, use another run folder"
            )


def append_line(path: Path, record: dict) -> None:
    """Adds one JSON line; raises OSError naming the file."""
    try:
        with open(path, "a") as file:
            file.write(json.dumps(record) + "\n")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def cut_lines(path: Path, step: int) -> None:
    """Drops the lines after `step`, and a half-written last line. They will be made again."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError, TypeError, KeyError):
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
    write_atomically(path, lambda file: file.write("".join(kept).encode()))


class Trained(NamedTuple):
    """A finished run, read back: its config and result, and the chosen tables with the original ids of their rows."""

    config: ml_collections.ConfigDict
    result: dict
    user: np.ndarray
    item: np.ndarray
    user_ids: np.ndarray
    item_ids: np.ndarray


def read_run(workdir: str | Path) -> Trained:
    """Reads the folder of a finished run; raises `UserError` if it is no run folder or the run has not ended."""
    workdir = Path(workdir)
    if not (workdir / "config.json").exists():
        raise UserError(f"{workdir} is not a run folder: it has no config.json")
    if not (workdir / "result.json").exists():
        raise UserError(f"the run in {workdir} has not ended: give the same onebp train command again to finish it")
    config = default_config()
    with config.unlocked():
        config.update(_origin(workdir)["config"])
    tables = read_npz(workdir / "embeddings.npz", ("user", "item", "user_ids", "item_ids"))
    return Trained(config, read_result(workdir), **tables)


def write_dataset(workdir: Path, dataset: Dataset) -> None:
    """Writes `interactions.npz`, so that the run can be used without the files that it was trained on."""
    arrays = {name: getattr(dataset, name, None) for name in _INTERACTIONS}
    write_npz(workdir / "interactions.npz", {name: array for name, array in arrays.items() if array is not None})


def read_dataset(workdir: str | Path, run: Trained) -> Dataset | None:
    """The data set of a finished run, out of its folder alone, without side information.

    Args:
      run: of `read_run`.

    Returns:
      None if the run was streamed, or made before run folders held their interactions.
    """
    path, origin = Path(workdir) / "interactions.npz", _origin(Path(workdir))
    if not path.exists():
        return None
    known = {field.name for field in dataclasses.fields(Dataset)}
    pairs: dict[str, Any] = {name: array for name, array in read_npz(path).items() if name in known}
    name, split = str(run.config.dataset), origin["data"].get("split", "given")
    return Dataset(name=name, user_ids=run.user_ids, item_ids=run.item_ids, split=split, **pairs)
