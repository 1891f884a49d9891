"""The lock of a run folder: one process at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from onebp_jax.errors import UserError

try:
    import fcntl
except ImportError:  # not a POSIX system: there nothing keeps two runs out of one folder
    fcntl = None


@contextlib.contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """Makes a run folder if it is missing, and locks it; raises `UserError` if another process holds it.

    At the end empty folders that were made here are removed: their run was refused before anything was written.
    """
    made: list[Path] = []
    try:
        made = [path for path in (workdir, *workdir.parents) if ".." not in path.parts and not path.exists()]
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove(made)
        raise UserError(f"cannot make the run folder {workdir}: {error.strerror or error}") from error
    with _exclusive(workdir):
        try:
            yield
        finally:
            _remove(made)


def _remove(folders: list[Path]) -> None:
    """Removes the folders that are empty, inner ones first."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()  # fails unless it is empty


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
