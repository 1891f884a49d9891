"""The files of a run: `train` writes them, the other programs read them.

    config.json      the configuration, and what data it met
    metrics.jsonl    one line per evaluation
    checkpoints/     see `onebp_jax.training.checkpoint`
    result.json      at the end: the metrics of the chosen epoch
    embeddings.npz   at the end: user f32[M, d], item f32[N, d], user_ids, item_ids, of the chosen epoch

Every file is written under a temporary name and moved into place. A crash leaves the old file or the new one, never a half.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import ml_collections
import numpy as np

from onebp_jax.compat.moved import current_id
from onebp_jax.config import OPERATIONAL, as_plain, default_config
from onebp_jax.errors import UserError

try:
    import fcntl
except ImportError:  # not a POSIX system: there nothing keeps two runs out of one folder
    fcntl = None

OURS = ("metrics.jsonl", "checkpoints", "result.json", "embeddings.npz")


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes a file under a temporary name and moves it into place. An error leaves the file that was there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: dict | list) -> None:
    """Writes a JSON file atomically."""
    text = json.dumps(value, indent=1) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes an npz file atomically."""
    write_atomically(path, lambda file: np.savez(file, allow_pickle=False, **arrays))


def read_json(path: Path) -> dict:
    """Reads a JSON file that holds an object; raises `UserError` if it does not, or cannot be read."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path} ({error}): restore it, or start again in another run folder") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is not a file of a run: restore it, or start again in another run folder")
    return value


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
    theirs = _origin(workdir)
    # A run made before a field existed was made with the field's default.
    plain = as_plain(default_config()) | theirs["config"]
    _same(
        workdir,
        "configuration",
        as_plain(config),
        {name: _of_today(value) for name, value in plain.items()},
        OPERATIONAL,
    )
    _same(workdir, "data", data, theirs["data"])


def begin(workdir: Path, config: ml_collections.ConfigDict, data: dict) -> None:
    """Writes `config.json`. From then on the folder belongs to this run."""
    if not (workdir / "config.json").exists():
        write_json(workdir / "config.json", {"config": as_plain(config), "data": data})


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
    _same(workdir, "data", data, _origin(workdir)["data"])


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


def _same(workdir: Path, what: str, mine: dict, theirs: dict, ignored: tuple[str, ...] = ()) -> None:
    # JSON turns tuples into lists: compare what would be written.
    mine = json.loads(json.dumps(mine))
    for field in sorted(set(mine) | set(theirs)):
        if field not in ignored and mine.get(field) != theirs.get(field):
            raise UserError(
                f"{workdir} holds a run with other {what}: {field} is {theirs.get(field)!r} there and "
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
        raise UserError(f"the run in {workdir} has not ended: give launch.train the same command again to finish it")
    config = default_config()
    with config.unlocked():
        config.update(_origin(workdir)["config"])
    path = workdir / "embeddings.npz"
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as tables:
            # NumPy alone does not notice a damaged header that asks for fewer numbers than there are.
            if damaged := tables.zip.testzip():
                raise ValueError(f"the checksum of {damaged} does not match")
            arrays = [tables[name] for name in ("user", "item", "user_ids", "item_ids")]
    except Exception as error:  # NumPy and zipfile raise many kinds of errors for a damaged file
        raise UserError(f"cannot read {path}: {str(error)[:200]}") from error
    return Trained(config, read_result(workdir), *arrays)
