"""The user's own functions in a configuration: their names in `config.json`, and the error if one of them fails."""

from __future__ import annotations

import functools
import inspect
import site
import sysconfig
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path

from onebp_jax.errors import UserError

# Code below these folders belongs to a package, which its version identifies.
_PACKAGES = (str(Path(__file__).parents[1]), *sysconfig.get_paths().values(), *site.getsitepackages())


def callable_id(function: Callable) -> str:
    """`module:name`, and what distinguishes two functions of that name: their arguments, and a checksum of their source.

    Arguments are those of a `functools.partial`, and the numbers and texts that a closure holds. An object has the name of its
    class. A function of a package has no checksum. The functions that a function calls do not count.
    """
    if isinstance(function, functools.partial):
        given = [_value(value) for value in function.args]
        given += [f"{name}={_value(value)}" for name, value in function.keywords.items()]
        return f"{callable_id(function.func)}({', '.join(given)})"
    named = function if hasattr(function, "__qualname__") else type(function)
    text = f"{named.__module__}:{named.__qualname__}"
    remembered = inspect.getclosurevars(function).nonlocals if inspect.isfunction(function) else {}
    given = [f"{name}={_value(value)}" for name, value in remembered.items() if value is not function]
    if given:
        text += f"({', '.join(given)})"
    try:
        if not (inspect.getsourcefile(named) or "").startswith(_PACKAGES):
            text += f"#{zlib.crc32(inspect.getsource(named).encode()):08x}"
    except (OSError, TypeError):
        pass  # built in, or typed at a prompt
    return text


def _value(value) -> str:
    """A text that is short and the same in every process: a plain value itself, the type of anything else."""
    if isinstance(value, int | float | str | None):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_value, value))})"
    if isinstance(value, functools.partial) or (hasattr(value, "__qualname__") and not inspect.isfunction(value)):
        return callable_id(value)
    return getattr(value, "__qualname__", type(value).__qualname__)


def failed(what: str, error: Exception) -> UserError:
    """The error to raise when a function of the user raised one: a line, with the place in the user's file if there is one."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_PACKAGES)]
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return UserError(f"{what}: {type(error).__name__}: {' '.join(str(error).split())[:500]}{place}")


def call_user_function(what: str, kind: type | tuple[type, ...], function: Callable, *args, **options):
    """What a function of the user returns; raises `UserError`, naming `what`, if it fails or returns another kind of value."""
    try:
        value = function(*args, **options)
    except UserError:
        raise
    except Exception as error:
        raise failed(what, error) from error
    if not isinstance(value, kind):
        kinds = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
        raise UserError(f"{what} returned {str(value)[:100]!r}, which is no {kinds}")
    return value


def watched_loss(loss: Callable) -> Callable:
    """A loss of the user that raises ValueError, saying what it returned, if that is no array."""

    @functools.wraps(loss)
    def watched(*args, **extra):
        # A loss written for 0.1.0 reads the mask by its old name.
        per_row = loss(*args, **extra, hidden=extra.get("negative_mask"))
        if not hasattr(per_row, "shape"):
            found = "None" if per_row is None else f"a {type(per_row).__name__}"
            raise ValueError(f"the loss returned {found}, expected one number per row: an array [batch]")
        return per_row

    # `wraps` does not copy attributes of the class.
    watched.__dict__.update({name: getattr(loss, name) for name in ("geometry", "across_rows") if hasattr(loss, name)})
    return watched
