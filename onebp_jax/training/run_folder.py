"""The files of a run: what `train` writes, and what the other programs read back.

    config.json      the configuration, and what data it met
    metrics.jsonl    one line per evaluation
    checkpoints/     see `onebp_jax.training.checkpoint`
    result.json      at the end: the metrics of the chosen epoch
    embeddings.npz   at the end: user f32[M, d], item f32[N, d], user_ids, item_ids, of the chosen epoch

Every file is written beside its name and moved into place, so that a crash leaves the old one or the new one, never half.
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
except ImportError:  # not a POSIX system: then two runs in one folder are not kept apart
    fcntl = None

OURS = ("metrics.jsonl", "checkpoints", "result.json", "embeddings.npz")


def write_atomically(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Writes a file under a temporary name and moves it into place; an error leaves what was there before."""
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
    """Writes a JSON file, whole or not at all."""
    text = json.dumps(value, indent=1) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def read_json(path: Path) -> dict:
    """Reads a JSON file that holds an object; raises `UserError` if it cannot be."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path} ({error}): restore it, or start again in another --workdir") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is not a file of a run: restore it, or start again in another --workdir")
    return value


@contextlib.contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """Makes a run folder if it is missing, and holds it alone; raises `UserError` if another process has it.

    A folder made for a run that was refused before anything was written goes again.
    """
    found = workdir.exists()
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the run folder {workdir}: {error.strerror or error}") from error
    folder = os.open(workdir, os.O_RDONLY) if fcntl else None
    try:
        if fcntl:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(f"another process is running in {workdir}: use another --workdir") from error
        try:
            yield
        finally:
            if not found:
                with contextlib.suppress(OSError):
                    workdir.rmdir()  # only where it is empty
    finally:
        if fcntl:
            os.close(folder)


def check(workdir: Path, config: ml_collections.ConfigDict, data: dict) -> None:
    """Raises `UserError` if a folder holds a run of another configuration or on other data, or files that are no run's."""
    if not (workdir / "config.json").exists():
        found = [name for name in OURS if (workdir / name).exists()]
        if found:
            raise UserError(
                f"{workdir} holds {found[0]} but no config.json: nothing was touched, use another --workdir"
            )
        return
    theirs = _origin(workdir)
    # A run that is older than a field was made with the field's default.
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
    """Writes `config.json`: from here on the folder belongs to this run."""
    if not (workdir / "config.json").exists():
        write_json(workdir / "config.json", {"config": as_plain(config), "data": data})


def read_result(workdir: Path) -> dict:
    """What `result.json` holds; raises `UserError` if it is not the result of a run."""
    path = workdir / "result.json"
    result = read_json(path)
    if missing := {"method", "dataset", "epoch", "metrics", "seconds"} - set(result):
        raise UserError(
            f"{path} is damaged: it has no {sorted(missing)[0]!r}; restore it, or start again in another --workdir"
        )
    return result


def check_data(workdir: Path, data: dict) -> None:
    """Raises `UserError` if the run in `workdir` was made on other data than those with this fingerprint."""
    _same(workdir, "data", data, _origin(workdir)["data"])


def _of_today(value):
    """A value of a config.json, in which an older version may have named a function by a module that has moved."""
    return current_id(value) if isinstance(value, str) else value


def _origin(workdir: Path) -> dict:
    """What `config.json` holds; raises `UserError` if another program wrote it."""
    path = workdir / "config.json"
    found = read_json(path)
    if not isinstance(found, dict) or not all(isinstance(found.get(part), dict) for part in ("config", "data")):
        raise UserError(f"{path} is not the config.json of a run: nothing was touched, use another --workdir")
    return found


def _same(workdir: Path, what: str, mine: dict, theirs: dict, ignored: tuple[str, ...] = ()) -> None:
    # JSON turns tuples into lists: compare what would be written.
    mine = json.loads(json.dumps(mine))
    for field in sorted(set(mine) | set(theirs)):
        if field not in ignored and mine.get(field) != theirs.get(field):
            raise UserError(
                f"{workdir} holds a run with other {what}: {field} is {theirs.get(field)!r} there and "
                f"{mine.get(field)!r} here; nothing was touched, use another --workdir"
            )


def append_line(path: Path, record: dict) -> None:
    """Adds one JSON line; raises OSError naming the file."""
    try:
        with open(path, "a") as file:
            file.write(json.dumps(record) + "\n")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def cut_lines(path: Path, step: int) -> None:
    """Drops the lines after `step` (and a half-written last one): they will be made again."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError, TypeError, KeyError):
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
    write_atomically(path, lambda file: file.write("".join(kept).encode()))


class Trained(NamedTuple):
    """A finished run, read back: its config, result, and the chosen tables with the original ids of their rows."""

    config: ml_collections.ConfigDict
    result: dict
    user: np.ndarray
    item: np.ndarray
    user_ids: np.ndarray
    item_ids: np.ndarray


def read_run(workdir: str | Path) -> Trained:
    """Reads a finished run folder; raises `UserError` if it is none or the run has not ended."""
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
    except Exception as error:  # whatever a damaged file makes NumPy and zipfile raise
        raise UserError(f"cannot read {path}: {str(error)[:200]}") from error
    return Trained(config, read_result(workdir), *arrays)
