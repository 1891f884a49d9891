"""Paths as people give them, before anything is looked up."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from onebp_jax.errors import UserError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/{1,3}(?=[^/])")
_MOST_SHOWN = 60


def as_path(given: object, argument: str) -> Path:
    """The path, `~` expanded.

    Raises:
      UserError: it is no text and no path, is a URL, or no file can have it as its name.
    """
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else given
    if not isinstance(text, str):
        raise UserError(f"{argument}: of type {type(given).__name__}, expected the path of a file or folder as text")
    if not text:
        raise UserError(f"{argument}='': empty, expected the path of a file or folder")
    said = f"{argument}={text[:_MOST_SHOWN]!r}{' ..' * (len(text) > _MOST_SHOWN)}"
    if text.lower().startswith("file:/"):
        raise UserError(f"{said}: a URL, expected a path; leave file:// out")
    if _URL.match(text):
        raise UserError(f"{said}: a URL, expected a path; download the file first, then give its path")
    if "\0" in text:
        raise UserError(f"{said}: has a zero character (NUL), expected a path; remove it")
    try:
        Path(text).expanduser().stat()
    except RuntimeError as error:
        raise UserError(f"{said}: there is no such home folder; check the path") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UserError(f"{said}: a path of {len(text)} characters, too long for a file; check the path") from error
    return Path(text).expanduser()


@contextlib.contextmanager
def writing(argument: str, path: Path) -> Iterator[None]:
    """While files are written to a path that a person gave: what the system refuses becomes a `UserError` that names it."""
    try:
        yield
    except OSError as error:
        # Of a folder, the file in it; `shutil` gives a list of many errors.
        file = f"{error.filename} " if error.filename not in (None, str(path)) else ""
        said = error.strerror or str(error)[:200]
        raise UserError(
            f"{argument}={path}: {file}cannot be written ({said}); give another path, or make room"
        ) from error
