"""The flag `--config`, its overrides, and what to say where the file or an override is at fault.

Its value is the path of a file, or the name of a config that is part of the package (`quickstart`).
"""

from __future__ import annotations

import os
import re
import runpy
import sys
import traceback
from pathlib import Path

import ml_collections
from absl import flags
from ml_collections import config_flags

from onebp_jax.cli.messages import own_flags
from onebp_jax.cli.shipped import shipped
from onebp_jax.config import OPTIONS, as_plain, check_config
from onebp_jax.config.fields import FIELDS
from onebp_jax.errors import UserError, nearest, no_such, one_of

_MISSING = "--config is missing, for example --config=quickstart"
_START = "start it from onebp_jax.config.default_config()"
# What Python says of a value that it cannot read, and what is said here.
_PLAIN = {
    "invalid literal for int()": "expected a whole number",
    "could not convert string to float": "expected a number",
    "Non-boolean argument to boolean flag": "expected True or False",
}


def define_config() -> None:
    """`--config=NAME` or `--config=FILE.py`, with `--config.FIELD=VALUE` overrides."""
    known = ", ".join(names())
    config_flags.DEFINE_config_file("config", None, f"The settings of the run: a file, or one of {known}.")


def names() -> list[str]:
    """The names of the configs that are part of the package."""
    return sorted(path.stem for path in shipped("configs").glob("[a-z]*.py"))


def plain_configs() -> dict[str, dict]:
    """The configs of the package by name, each as `config.json` would hold it."""
    return {name: as_plain(runpy.run_path(str(shipped("configs") / f"{name}.py"))["get_config"]()) for name in names()}


def find(given: str) -> str:
    """The path of the config that is given by its name or its path; raises `UserError` if there is none."""
    # Text after a colon is an argument of get_config.
    name, colon, argument = given.partition(":")
    path = Path(name).expanduser()
    if not path.is_file():
        if name not in names():
            if path.name != name or path.suffix:  # a path
                raise UserError(f"--config={given}: {no_such('file', path)}{nearest(path.stem, names())}")
            raise UserError(f"--config={given}: no such file, expected a path or {one_of(name, names())}")
        path = shipped("configs") / f"{name}.py"
    return f"{path}{colon}{argument}"


def read_config():
    """The checked configuration of `--config` and its overrides; raises `UserError`."""
    given = flags.FLAGS["config"]
    if not given.present:
        raise UserError(_MISSING)
    name = config_flags.get_config_filename(given)
    try:
        # A file that cannot be loaded raises its error at the first use.
        getattr(given.value, "fields", None)
    except OSError as error:
        first: BaseException = error
        while first.__cause__ is not None:
            first = first.__cause__
        raise UserError(f"cannot load --config={name}: {type(first).__name__}: {first}") from first
    _check_returned(name, given.value)
    check_config(flags.FLAGS.config)
    if flags.FLAGS.config.cpu_threads:
        # XLA reads this when it makes its CPU client, at the first computation. A value that the user has set stays.
        os.environ.setdefault("NPROC", str(flags.FLAGS.config.cpu_threads))
    return flags.FLAGS.config


def parse(argv: list[str]) -> None:
    """Parses all flags; raises `UserError`, with the nearest known name, for whatever is wrong with them."""
    if "config" in flags.FLAGS:
        argv = sys.argv[:] = _with_paths(argv)  # ml_collections reads the overrides out of sys.argv
        _check_overrides(argv)
    try:
        rest = flags.FLAGS(argv)
    except flags.UnrecognizedFlagError as error:
        if error.flagname.startswith("config.") and "config" in flags.FLAGS:
            raise UserError(_MISSING) from error
        near = nearest(error.flagname, own_flags())
        raise UserError(f"unknown flag --{error.flagname}{near}; --help lists them") from error
    except (Exception, SystemExit) as error:
        if found := _wrong_in_file(error, argv):
            raise UserError(found) from error
        expected = flags.Error | OSError | AttributeError | KeyError | TypeError | ValueError | ImportError
        if not isinstance(error, expected):
            raise
        raise UserError(_wrong_override(argv) or _plainly(error)) from error
    if len(rest) > 1:
        raise UserError(f"unexpected argument {rest[1]!r}: flags are written --name=value; --help lists them")


def _with_paths(argv: list[str]) -> list[str]:
    """The arguments with the path of a config in place of its name, and `--config` in front of its overrides."""
    first, rest, todo = [], [], argv[1:]
    while todo:
        flag, equals, value = todo.pop(0).partition("=")
        if flag not in ("--config", "-config") or not (equals or todo):
            rest.append(flag + equals + value)
        else:
            first.append(f"--config={find(value if equals else todo.pop(0))}")
    return [*argv[:1], *first, *rest]


def _overrides(argv: list[str]) -> list[tuple[str, str, str]]:
    """`(argument, field, name within the field)` of each `--config.FIELD...`."""
    found = []
    for argument in argv[1:]:
        if parts := re.match(r"--?(?:no)?config\.([^.=]+)\.?([^=]*)", argument):
            found.append((argument, *parts.groups()))
    return found


def _check_overrides(argv: list[str]) -> None:
    """Raises `UserError` for `--config.FIELD=VALUE` with an unknown field or option."""
    for argument, field, option in _overrides(argv):
        if field not in FIELDS:
            raise UserError(f"{argument}: unknown field, expected {one_of(field, FIELDS)}; --help lists them")
        if field == "options" and option and option not in OPTIONS:
            raise UserError(f"{argument}: unknown option, expected {one_of(option, OPTIONS)}; --help lists them")


def _wrong_override(argv: list[str]) -> str:
    """What to say of `--config.FIELD.NAME=VALUE` where the field has no parts, or none of that name; else an empty string."""
    for argument, field, name in _overrides(argv):
        known = FIELDS[field].default
        if name and not isinstance(known, dict):
            return f"{argument}: the field {field} has no parts, expected --config.{field}=VALUE"
        if name and isinstance(known, dict) and field != "options" and name not in known:
            return f"{argument}: {field} has no {name!r}, expected {one_of(name, known)}"
    return ""


def _plainly(error: BaseException) -> str:
    """The message of a flag that cannot be parsed, without Python's own words for it."""
    text = str(error).removeprefix("flag ")
    for found, said in _PLAIN.items():
        text = re.sub(rf"[('\"]*{re.escape(found)}.*", said, text)
    if choices := re.fullmatch(r"(--\w+=)(.*): value should be one of <(.*)>", text):
        text = f"{choices[1]}{choices[2]}: expected {one_of(choices[2], choices[3].split('|'))}"
    return text if text.startswith("--") else f"bad flags: {text}"


def _check_returned(name: str, value: object) -> None:
    if not isinstance(value, ml_collections.ConfigDict):
        raise UserError(f"--config={name}: get_config() returns {value!r:.80}, expected a config: {_START}")


def _wrong_in_file(error: BaseException, argv: list[str]) -> str:
    """What to say where the file of `--config` is at fault: its line and the first error of the chain; else an empty string."""
    # Text after a colon would be an argument of get_config.
    found = re.search(r"^--?config[=\n](([^:\n]*).*)", "\n".join(argv), re.MULTILINE)
    if found is None:
        return ""
    given, first = found[2], error
    while not isinstance(error, SystemExit) and first.__context__ is not None:
        first = first.__context__
    if isinstance(first, AttributeError) and str(first).endswith("has no attribute 'get_config'"):
        return f"--config={given}: the file has no function get_config, which returns the config: {_START}"
    frames = [(frame.f_code, line) for frame, line in traceback.walk_tb(first.__traceback__)]
    lines = [f"line {line}: " for code, line in frames if os.path.abspath(code.co_filename) == os.path.abspath(given)]
    while_loading = any(code.co_name == "_LoadConfigModule" for code, _ in frames)
    if isinstance(error, SystemExit) and lines:
        return f"--config={given}: {lines[-1]}sys.exit({error.code!r}) ends the program, expected a config: {_START}"
    if lines or while_loading or str(error).startswith(f"flag --config={given}"):
        return f"--config={given}: {''.join(lines[-1:])}{type(first).__name__}: {first}"
    if not isinstance(error, SystemExit | OSError):
        # An override fails on a value that is no config before `read_config` can look at it: run the file again.
        _check_returned(given, flags.FLAGS["config"].parser.parse(found[1]))
    return ""
