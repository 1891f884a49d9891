"""The flag `--config`, its overrides, and what to say where the file or an override is at fault."""

from __future__ import annotations

import os
import re
import traceback
from pathlib import Path

import ml_collections
from absl import flags
from ml_collections import config_flags

from onebp_jax.config import OPTIONS, check_config, default_config, nearest
from onebp_jax.errors import UserError

_START = "see configs/quickstart.py"
_NO_FILE = "no such file; the configs of this project are in configs/"


def define_config() -> None:
    """`--config=FILE.py` with `--config.FIELD=VALUE` overrides."""
    config_flags.DEFINE_config_file("config", None, "A file of configs/; its fields are set by --config.FIELD=VALUE.")


def read_config():
    """The checked configuration of `--config` and its overrides; raises `UserError`."""
    given = flags.FLAGS["config"]
    if not given.present:
        raise UserError("--config is missing, for example --config=configs/quickstart.py")
    name = config_flags.get_config_filename(given)
    try:
        # A file that cannot be loaded raises its error at the first use.
        getattr(given.value, "fields", None)
    except OSError as error:
        if not Path(name).is_file():
            raise UserError(f"--config={name}: {_NO_FILE}") from error
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
    _check_overrides(argv)
    try:
        rest = flags.FLAGS(argv)
    except flags.UnrecognizedFlagError as error:
        near = nearest(error.flagname, flags.FLAGS)
        raise UserError(f"unknown flag --{error.flagname}{near}; --help lists them") from error
    except (Exception, SystemExit) as error:
        if found := _wrong_in_file(error, argv):
            raise UserError(found) from error
        expected = flags.Error | OSError | AttributeError | KeyError | TypeError | ValueError | ImportError
        if not isinstance(error, expected):
            raise
        raise UserError(f"bad flags: {error.args[0] if isinstance(error, KeyError) else error}") from error
    if len(rest) > 1:
        raise UserError(f"unexpected argument {rest[1]!r}: flags are written --name=value; --help lists them")


def _check_overrides(argv: list[str]) -> None:
    """Raises `UserError` for `--config.FIELD=VALUE` with an unknown field or option."""
    for argument in argv[1:]:
        name, given, _ = argument.lstrip("-").partition("=")
        if not argument.startswith("--config.") or not given:
            continue
        field, _, option = name.removeprefix("config.").partition(".")
        if field not in default_config():
            raise UserError(f"unknown config field {field!r}{nearest(field, default_config())}")
        if field == "options" and option and option not in OPTIONS:
            known = ", ".join(OPTIONS)
            raise UserError(f"unknown option {option!r}{nearest(option, OPTIONS)}: expected one of {known}")


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
    if not Path(given).is_file():
        return f"--config={given}: {_NO_FILE}"
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
