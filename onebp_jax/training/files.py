"""Files of a run folder: written under a temporary name and moved into place, so that a crash leaves no half; and read back."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from onebp_jax.errors import UserError
from onebp_jax.training import text_ids


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
    """Writes an npz file atomically; text in arrays of objects as `text_ids` says."""
    write_atomically(path, lambda file: np.savez(file, allow_pickle=False, **text_ids.to_file(arrays)))


def read_json(path: Path) -> dict:
    """Reads a JSON file that holds an object; raises `UserError` if it does not, or cannot be read."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path} ({error}): restore it, or start again in another run folder") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is not a file of a run: restore it, or start again in another run folder")
    return value


def read_npz(path: Path, names: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """The arrays of an npz file, those with the given names or all; raises `UserError` if it is missing or damaged."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            # NumPy alone does not notice a damaged header that asks for fewer numbers than there are.
            if damaged := arrays.zip.testzip():
                raise ValueError(f"the checksum of {damaged} does not match")
            found = text_ids.from_file({name: arrays[name] for name in arrays.files})
            return {name: found[name] for name in names} if names else found
    except Exception as error:  # NumPy and zipfile raise many kinds of errors for a damaged file
        said = f"it has no {error}" if isinstance(error, KeyError) else str(error)[:200]
        if "pickle" in said or isinstance(error, TypeError | AttributeError):  # NumPy advises to load it all the same
            said = "it is not an npz file of numbers and texts"
        raise UserError(f"cannot read {path}: {said}; restore it, or train again in another run folder") from error


def append_line(path: Path, record: dict) -> None:
    """Adds one JSON line; raises OSError naming the file."""
    try:
        with open(path, "a") as file:
            file.write(json.dumps(record) + "\n")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def cut_lines(path: Path, step: int, every: int = 1) -> None:
    """Drops lines that will be made again: those after `step`, those between two of `every` epochs, a half-written last one."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError, TypeError, KeyError):
            found = json.loads(line)
            if found["step"] <= step and found.get("epoch", 0) % every == 0:
                kept.append(line + "\n")
    write_atomically(path, lambda file: file.write("".join(kept).encode()))
