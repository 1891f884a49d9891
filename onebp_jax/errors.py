"""The exceptions that users read, the exit status of each, and the nearest known name for a misspelt one."""

from __future__ import annotations

import difflib
import errno
import functools
import os
import re
import stat
from collections.abc import Callable, Collection, Iterable
from itertools import islice
from pathlib import Path

# More names are not listed in an error.
_FEW = 16
NEEDS_PYARROW = "Parquet needs pyarrow: python -m pip install 'onebp-jax[serving]'"


class UserError(ValueError):
    """Bad input: an argument, a config field, a data file or a folder.

    The message is one line that says what was given, what was expected and what to do. It names arguments and config fields
    (`data_dir=...`), not flags; the programs put flags in their place. The programs print the message on standard error and
    exit with status 2, without a traceback.
    """


def closest(name: object, known: Iterable[str], count: int, least: float = 0.0) -> list[str]:
    """At most `count` known names, the most alike first, whatever their case; each is alike by at least `least`, from 0 to 1."""
    by_lower = {one.lower(): one for one in known}
    return [by_lower[one] for one in difflib.get_close_matches(str(name).lower(), by_lower, count, least)]


def nearest(name: object, known: Iterable[str]) -> str:
    """`" (did you mean 'x'?)"` if some known name is close to this one, else an empty string."""
    close = closest(name, known, 1, 0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def one_of(name: object, known: Collection[str]) -> str:
    """What was expected in place of a name: `"one of a, b (did you mean 'a'?)"`; of many known names only the nearest."""
    if len(known) <= _FEW:
        return f"one of {', '.join(known)}{nearest(name, known)}"
    return f"one of {len(known)} names, the nearest: {', '.join(closest(name, known, 4))}"


def no_such(what: str, path: str | os.PathLike) -> str:
    """`"no such WHAT"` and the nearest names of the folder; of a link that leads nowhere or a pipe, what it is."""
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if path.is_symlink():
            where = "leads back to itself" if error.errno == errno.ELOOP else "does not exist"
            return f"a symbolic link to {os.readlink(path)}, which {where}"
    else:
        if stat.S_ISFIFO(mode):
            return f"a pipe, expected a {what}; write its data to a file first"
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return f"a device or a socket, expected a {what}"
        if what == "folder" and stat.S_ISREG(mode):
            return "a file, expected a folder"
    folder = Path(os.path.abspath(path)).parent
    try:
        names = sorted(entry.name for entry in islice(folder.iterdir(), 10_000))
    except OSError:
        return f"no such {what}: {folder} is not a folder that can be read"
    near = closest(path.name, names, 4)
    return f"no such {what}; " + (f"the nearest in {folder}: {', '.join(near)}" if near else f"{folder} is empty")


def as_user_error(function: Callable, options: Collection[str] = ()) -> Callable:
    """`function` with its ValueErrors turned into `UserError`; the name of an option at the start becomes `options.NAME`."""

    @functools.wraps(function)
    def called(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except UserError:
            raise
        except ValueError as error:
            name = re.split(r"\W", str(error), maxsplit=1)[0]
            raise UserError(f"options.{error}" if name in options else str(error)) from error

    return called


class NotFitted(UserError, AttributeError):
    """A recommender is used before `fit`. An `AttributeError` too, so that `hasattr` says which attributes there are."""


class RunFailed(RuntimeError):
    """A run cannot go on (a loss that is not finite, lost data); one line, exit status 1."""


class Interrupted(Exception):
    """A signal stopped the run after its state was saved; `number` is the signal's, the exit status `128 + number`."""

    def __init__(self, number: int, message: str):
        super().__init__(message)
        self.number = number
