"""The exceptions that users read, the exit status of each, and the nearest known name for a misspelt one."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Collection, Iterable

NEEDS_PYARROW = "Parquet needs pyarrow: python -m pip install 'onebp-jax[serving]'"


class UserError(ValueError):
    """Bad input: an argument, a config field, a data file or a folder.

    The message is one line that says what was given, what was expected and what to do. It names arguments and config fields
    (`data_dir=...`), not flags; the programs put flags in their place. The programs print the message on standard error and
    exit with status 2, without a traceback. They print the `choices`, one possible value per line, on standard output.
    """

    def __init__(self, message: str, choices: tuple[str, ...] = ()):
        super().__init__(message)
        self.choices = choices


def nearest(name: object, known: Iterable[str]) -> str:
    """`" (did you mean 'x'?)"` if some known name is close to this one, else an empty string."""
    close = difflib.get_close_matches(str(name), list(known), 1, 0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


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


class RunFailed(RuntimeError):
    """A run cannot go on (a loss that is not finite, lost data); one line, exit status 1."""


class Interrupted(Exception):
    """A signal stopped the run after its state was saved; `number` is the signal's, the exit status `128 + number`."""

    def __init__(self, number: int, message: str):
        super().__init__(message)
        self.number = number
