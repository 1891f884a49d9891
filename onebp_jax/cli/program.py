"""What the launch programs share: flags, one-line errors, exit statuses.

0 done   1 the run failed   2 bad flags, config, data or folder   128 + n stopped by signal n
"""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Collection
from logging import WARNING, Formatter
from pathlib import Path

import jax
import ml_collections
from absl import flags, logging
from ml_collections import config_flags

from onebp_jax import data
from onebp_jax.config import OPTIONS, check_config, default_config, nearest
from onebp_jax.data.fingerprint import fingerprint
from onebp_jax.errors import Interrupted, RunFailed, UserError
from onebp_jax.methods.build import described
from onebp_jax.parallel import processes
from onebp_jax.training import run_folder

_START = "see configs/quickstart.py"
_NO_FILE = "no such file; the configs of this project are in configs/"


def define_config() -> None:
    """`--config=FILE.py` with `--config.FIELD=VALUE` overrides, `--data_dir` and `--compilation_cache_dir`."""
    config_flags.DEFINE_config_file("config", None, "A file of configs/; its fields are set by --config.FIELD=VALUE.")
    define_data_dir()
    flags.DEFINE_string(
        "compilation_cache_dir", None, "Keep compiled programs in this folder; nobody else may be able to write to it."
    )


def read_config():
    """The checked configuration of `--config` and its overrides; raises `UserError`."""
    given = flags.FLAGS["config"]
    need("config", given.present, "configs/quickstart.py")
    name = config_flags.get_config_filename(given)
    try:
        # A file that cannot be loaded says so at the first use.
        getattr(given.value, "fields", None)
    except OSError as error:
        if not Path(name).is_file():
            raise UserError(f"--config={name}: {_NO_FILE}") from error
        while error.__cause__ is not None:
            error = error.__cause__
        raise UserError(f"cannot load --config={name}: {type(error).__name__}: {error}") from error
    _check_returned(name, given.value)
    check_config(flags.FLAGS.config)
    if flags.FLAGS.config.cpu_threads:
        # XLA reads this when it makes its CPU client, at the first computation; what the user has set stays.
        os.environ.setdefault("NPROC", str(flags.FLAGS.config.cpu_threads))
    return flags.FLAGS.config


def _check_returned(name: str, value: object) -> None:
    if not isinstance(value, ml_collections.ConfigDict):
        raise UserError(f"--config={name}: get_config() returns {value!r:.80}, expected a config: {_START}")


def define_data_dir() -> None:
    """`--data_dir`."""
    flags.DEFINE_string(
        "data_dir", None, "Folder of the data sets; else $ONEBP_DATA_DIR, else a per-user cache folder."
    )


def check_out(*paths: str | None, endings: Collection[str] = ()) -> None:
    """Raises `UserError` for an output file of another ending, or whose folder cannot be written to: before the work."""
    for path in filter(None, paths):
        if endings and Path(path).suffix not in endings:
            raise UserError(f"--out={path}: expected a name that ends in {', '.join(endings)}")
        folder = Path(path).parent
        if Path(path).is_dir():
            raise UserError(f"cannot write {path}: it is a folder, give a file in it")
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise UserError(f"cannot write {path}: {folder} is not a folder that can be written to")


def load_data(config, data_dir: str | None) -> data.Dataset | data.StreamedDataset:
    """The data set that a config names, its training pairs in memory or streamed; of several processes all have it, or none."""
    return processes.each_does(lambda: _load_data(config, data_dir))


def _load_data(config, data_dir: str | None) -> data.Dataset | data.StreamedDataset:
    if not config.dataset:
        raise UserError("dataset is empty: give the name of a data set or a path")
    columns = {name: config[name] or None for name in ("user_column", "item_column", "time_column")}
    if config.stream_window:
        del columns["time_column"]
        return data.load_streamed(config.dataset, config.membership_bytes, **columns)
    options = {name: config[name] for name in ("split", "test_fraction", "split_seed")}
    features = {name: config[name] for name in ("user_features", "item_features")}
    features["feature_columns"] = data.parse_columns(config.feature_columns)
    dataset = data.load(config.dataset, data_dir, synthetic=dict(config.synthetic), **options, **columns, **features)
    if dataset.duplicates:
        logging.warning("%s: %d repeated (user, item) pairs were dropped", dataset.name, dataset.duplicates)
    return dataset


def load_run_data(workdir: str, run: run_folder.Trained, data_dir: str | None) -> data.Dataset | data.StreamedDataset:
    """The data set that a finished run was trained on; raises `UserError` if it is not the same any more."""
    dataset = load_data(run.config, data_dir)
    run_folder.check_data(Path(workdir), fingerprint(dataset))
    return dataset


def need(flag: str, value, example: str):
    """`value`, or a `UserError` that shows how to give the flag."""
    if not value:
        raise UserError(f"--{flag} is missing, for example --{flag}={example}")
    return value


def run(main: Callable[[], None], doc: str) -> None:
    """Parses the flags and runs `main()`; ends the process with the status of the module's table."""
    _plain_logging()
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
        print("\n".join(error.choices), end="\n" if error.choices else "")
    except RunFailed as error:
        status = _say(error, 1)
    except (MemoryError, ValueError, jax.errors.JaxRuntimeError) as error:
        if lost := processes.loss_of_another(error):
            processes.leave(_say(lost, 1), together=False)
        if "RESOURCE_EXHAUSTED" not in str(error) and not isinstance(error, MemoryError):
            raise
        lower = "lower dim, batch_size, num_negatives or the size of the data"
        status = _say(f"out of memory: {lower} ({str(error)[:200]})", 1)
    except Interrupted as error:
        status = _say(error, 128 + error.number)
    except KeyboardInterrupt:
        _say("stopped by SIGINT", 130)
        sys.stdout.flush()
        os._exit(130)  # the compiler may be at work in other threads: taking the process down in order can crash it
    except BrokenPipeError:
        os._exit(128 + signal.SIGPIPE)  # nobody reads on, `| head` for one
    except OSError as error:
        status = _say(f"cannot use {error.filename or 'a file'}: {error.strerror or error}", 2)
    if status and jax.distributed.is_initialized():
        processes.leave(status)
    sys.exit(status)


def _plain_logging() -> None:
    """Our own messages, and warnings of the packages, as plain lines on standard error."""
    handler = logging.get_absl_handler()
    handler.setFormatter(Formatter("%(levelname)s: %(message)s"))
    # What the storage layer and the package of the flag log comes back as an exception, or is said in our own words, anyway.
    silent = ("orbax", "config_flags")
    loud = lambda r: r.levelno >= WARNING and not any(name in r.pathname for name in silent)
    handler.addFilter(lambda r: "onebp_jax" in r.pathname or loud(r))
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)


def _say(error: object, status: int) -> int:
    print("error: " + " ".join(str(error).split()), file=sys.stderr, flush=True)
    return status


def _help(doc: str) -> None:
    """The program's own text, then the flags that it and this module define."""
    defined = flags.FLAGS.flags_by_module_dict()
    own = {
        flag.name: flag
        for module in ("__main__", sys.argv[0], __name__, "onebp_jax.cli.devices")
        for flag in defined.get(module, [])
    }
    lines = [f"  --{name}: {flag.help} (default: {flag.default})" for name, flag in sorted(own.items())]
    if "config" in own:
        lines += [
            "",
            "Methods, --config.method=NAME (options of a method, --config.options.OPTION=VALUE, in brackets):",
        ]
        lines += [f"  {line}" for line in described()]
    print("\n".join([doc.strip(), "", "Flags:", *lines]))


def _parse(argv: list[str]) -> None:
    """Parses flags; whatever is wrong with them becomes a `UserError` that names the nearest known one."""
    for argument in argv[1:]:
        name, given, _ = argument.lstrip("-").partition("=")
        if argument.startswith("--config.") and given:
            field = name.removeprefix("config.").split(".")[0]
            if field not in default_config():
                raise UserError(f"unknown config field {field!r}{nearest(field, default_config())}")
            option = name.removeprefix("config.options.")
            if option != name and option not in OPTIONS:
                known = ", ".join(OPTIONS)
                raise UserError(f"unknown option {option!r}{nearest(option, OPTIONS)}: expected one of {known}")
    try:
        rest = flags.FLAGS(argv)
    except flags.UnrecognizedFlagError as error:
        raise UserError(
            f"unknown flag --{error.flagname}{nearest(error.flagname, flags.FLAGS)}; --help lists them"
        ) from error
    except (Exception, SystemExit) as error:
        found = _wrong_in_file(error, argv)
        if found:
            raise UserError(found) from error
        if not isinstance(
            error, flags.Error | OSError | AttributeError | KeyError | TypeError | ValueError | ImportError
        ):
            raise
        raise UserError(f"bad flags: {error.args[0] if isinstance(error, KeyError) else error}") from error
    if len(rest) > 1:
        raise UserError(f"unexpected argument {rest[1]!r}: flags are written --name=value; --help lists them")


def _wrong_in_file(error: BaseException, argv: list[str]) -> str:
    """What to say where the file of `--config` is at fault: its line and the first error of the chain; else an empty string."""
    # What follows a colon would be an argument of get_config.
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
        # An override fails on what is no config before `read_config` can look at it: the file is run again.
        _check_returned(given, flags.FLAGS["config"].parser.parse(found[1]))
    return ""
