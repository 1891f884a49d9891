"""What the launch programs share: flags, one-line errors, exit statuses.

    0 done   1 the run failed   2 bad flags, config, data or folder   128 + n stopped by signal n
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

import jax
from absl import flags, logging
from ml_collections import config_flags

from onebp_jax import data
from onebp_jax.config import default_config, nearest
from onebp_jax.errors import Interrupted, RunFailed, UserError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


def define_config() -> flags.FlagHolder:
    """`--config=FILE.py` with `--config.FIELD=VALUE` overrides, and `--data_dir`."""
    define_data_dir()
    flags.DEFINE_string(
        "compilation_cache_dir", None, "Keep compiled programs in this folder, which must be one that only you can write to."
    )
    return config_flags.DEFINE_config_file(
        "config", None, "A file of configs/; any field of it is set by --config.FIELD=VALUE.", lock_config=True
    )


def define_data_dir() -> None:
    flags.DEFINE_string("data_dir", None, "Folder of the data sets; else $ONEBP_DATA_DIR, else a per-user cache folder.")


def load_data(config, data_dir: str | None) -> data.Dataset:
    """The data set that a config names."""
    columns = {name: config[name] or None for name in ("user_column", "item_column", "time_column")}
    options = {name: config[name] for name in ("split", "test_fraction", "split_seed")}
    return data.load(config.dataset, data_dir, synthetic=dict(config.synthetic), **options, **columns)


def need(flag: str, value, example: str):
    """`value`, or a `UserError` that shows how to give the flag."""
    if not value:
        raise UserError(f"--{flag} is missing, for example --{flag}={example}")
    return value


def run(main: Callable[[], None], doc: str) -> None:
    """Parses the flags and runs `main()`; ends the process with the status of the module's table."""
    logging.use_absl_handler()
    logging.set_verbosity(logging.WARNING)
    status = 0
    try:
        if {"--help", "-h", "-help", "--helpfull"} & set(sys.argv[1:]):
            _help(doc)
            return
        _parse(sys.argv)
        if "compilation_cache_dir" in flags.FLAGS and flags.FLAGS.compilation_cache_dir:
            jax.config.update("jax_compilation_cache_dir", flags.FLAGS.compilation_cache_dir)
        main()
    except UserError as error:
        status = _say(error, 2)
    except RunFailed as error:
        status = _say(error, 1)
    except Interrupted as error:
        status = _say(error, 128 + error.number)
    except KeyboardInterrupt:
        status = _say("stopped by SIGINT", 130)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        status = _say(f"cannot write {error.filename or ''}: {error.strerror}", 2)
    sys.exit(status)


def _say(error: object, status: int) -> int:
    print("error: " + " ".join(str(error).split()), file=sys.stderr, flush=True)
    return status


def _help(doc: str) -> None:
    print(doc.strip() + "\n\nFlags:\n" + flags.FLAGS.main_module_help().partition("\n")[2].rstrip())


def _parse(argv: list[str]) -> None:
    """Parses flags; whatever is wrong with them becomes a `UserError` that names the nearest known one."""
    for argument in argv[1:]:
        name, given, _ = argument.lstrip("-").partition("=")
        if argument.startswith("--config.") and given:
            field = name.removeprefix("config.").split(".")[0]
            if field not in default_config():
                raise UserError(f"unknown config field {field!r}{nearest(field, default_config())}")
    try:
        rest = flags.FLAGS(argv)
    except flags.UnrecognizedFlagError as error:
        raise UserError(f"unknown flag --{error.flagname}{nearest(error.flagname, flags.FLAGS)}; --help lists them") from error
    except (flags.Error, OSError, AttributeError, KeyError, TypeError, ValueError, SyntaxError, ImportError) as error:
        raise UserError(f"bad flags: {error}") from error
    if len(rest) > 1:
        raise UserError(f"unexpected argument {rest[1]!r}: flags are written --name=value; --help lists them")


