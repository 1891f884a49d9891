"""What every launch program does: flags, data, one-line errors, exit statuses.

0 done   1 the run failed   2 bad flags, config, data or folder   128 + n stopped by signal n
"""

from __future__ import annotations

import io
import os
import signal
import sys
import warnings
from collections.abc import Callable, Collection
from logging import WARNING, Formatter, LogRecord
from pathlib import Path
from typing import TypeVar

import jax
from absl import flags, logging

import onebp_jax
from onebp_jax import data
from onebp_jax.cli import config_flag, help
from onebp_jax.cli.config_flag import read_config
from onebp_jax.cli.messages import with_flags
from onebp_jax.data.configured import load_configured
from onebp_jax.data.fingerprint import fingerprint
from onebp_jax.errors import Interrupted, RunFailed, UserError, no_such
from onebp_jax.parallel import processes
from onebp_jax.training import run_data, run_folder

__all__ = [
    "check_out",
    "define_config",
    "define_data_dir",
    "define_path",
    "define_run_data",
    "load_data",
    "load_run_data",
    "need",
    "read_config",
    "run",
]


Value = TypeVar("Value")


def define_config() -> None:
    """`--config=FILE.py` with `--config.FIELD=VALUE` overrides, `--data_dir` and `--compilation_cache_dir`."""
    config_flag.define_config()
    define_data_dir()
    flags.DEFINE(
        _Path(),
        "compilation_cache_dir",
        None,
        "Keep compiled programs in this folder; nobody else may be able to write to it.",
    )


class _Path(flags.ArgumentParser):
    """A path, with `~` for the home folder: a shell does not expand it within `--flag=~/file`."""

    def parse(self, argument: str) -> str:
        if not argument:  # --flag=$VARIABLE with a variable that is not set
            raise ValueError("is empty, expected a path; or leave the flag out")
        return os.path.expanduser(argument)


class _Folder(_Path):
    """The path of a folder that is there."""

    def parse(self, argument: str) -> str:
        path = super().parse(argument)
        if not os.path.isdir(path):
            raise ValueError(no_such("folder", path))
        return path


def define_path(name: str, help: str) -> flags.FlagHolder:
    """A flag of the running program for the path of a file or folder; not given: None."""
    return flags.DEFINE(_Path(), name, None, help, module_name=sys.argv[0])


def define_data_dir() -> None:
    """`--data_dir`."""
    help = "Folder of the data sets; else $ONEBP_DATA_DIR, else a per-user cache folder."
    flags.DEFINE(_Folder(), "data_dir", None, help, module_name=sys.argv[0])


def need(flag: str, value: Value | None, example: str) -> Value:
    """`value`, or a `UserError` that shows how to give the flag."""
    if not value:
        raise UserError(f"--{flag} is missing, for example --{flag}={example}")
    return value


def check_out(*paths: str | None, endings: Collection[str] = ()) -> None:
    """Raises `UserError`, before any work, for an output file with another ending or in a folder that cannot be written to."""
    for path in filter(None, paths):
        if endings and Path(path).suffix.lower() not in endings:
            raise UserError(f"--out={path}: expected a name that ends in {', '.join(endings)}")
        folder = Path(path).parent
        if Path(path).is_dir():
            raise UserError(f"--out={path}: it is a folder, give a file in it")
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise UserError(f"--out={path}: {folder} is not a folder that can be written to")


def load_data(config, data_dir: str | None) -> data.Dataset | data.StreamedDataset:
    """The data set that a config names, with its training pairs in memory or streamed.

    If one of several processes cannot load it, all of them raise `UserError`.
    """
    return processes.each_does(lambda: load_configured(config, data_dir))


def define_run_data() -> None:
    """`--data_dir` and `--dataset`, for programs that read a finished run."""
    define_data_dir()
    define_path(
        "dataset",
        "Read this file or folder in place of the run's own data set. Of other data, all that the run was not trained on is "
        "its test part.",
    )


def load_run_data(workdir: str, run: run_folder.Trained, data_dir: str | None) -> data.Dataset | data.StreamedDataset:
    """The data set that a finished run was trained on: the copy in its folder, or else its source.

    It warns if the source is other data now. With `--dataset` other data take its place, see `run_data.with_pairs_of`.

    Raises:
      UserError: the run has no copy, and its source cannot be read or has changed.
    """
    own, given, folder = run_folder.read_dataset(workdir, run), flags.FLAGS.dataset, Path(workdir)
    config = run.config.copy_and_resolve_references()
    if given:
        config.dataset = given
    elif own and run_folder.source_is_untouched(folder):
        return own
    try:
        source = load_data(config, data_dir)
    except UserError as error:
        if given or not own:
            raise
        logging.warning("%s: cannot be read any more (%s): the run's own copy is used", config.dataset, error)
        return own
    if isinstance(source, data.Dataset):
        source = run_folder.as_then(folder, source)
    changed = run_folder.changes(folder, fingerprint(source))
    # Where nothing is held out, the data that are given may be those of the training, and this is to be said.
    if not changed and not (given and own and not len(own.test)):
        return own or source
    if not own:
        raise UserError(
            f"{changed}: give dataset=PATH, the data that the run in {workdir} was made on, or train it again"
        )
    if given:
        assert isinstance(source, data.Dataset)  # a run on a stream has no copy of its own
        return run_data.with_pairs_of(own, source)
    logging.warning(
        "%s: the run's own copy is used; --dataset=PATH reads other data, launch.train makes a new run", changed
    )
    return own


def run(main: Callable[[], None], doc: str | None) -> None:
    """Parses the flags and runs `main()`; ends the process with the status of the module's table.

    Args:
      doc: the program's own text, which `--help` prints.
    """
    _plain_logging(main)
    # Ids may be in any script, also where a terminal or a pipe has an old encoding. What is no text comes out as it came in.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    status = 0
    try:
        if {"--help", "-h", "-help", "--helpfull"} & {argument.partition("=")[0] for argument in sys.argv[1:]}:
            print(help.text(doc or ""))
        else:
            config_flag.parse(sys.argv)
            _keep_compiled_programs()
            main()
    except KeyboardInterrupt:
        _say("stopped by SIGINT", 130)
        sys.stdout.flush()
        os._exit(130)  # the compiler may run in other threads: an orderly end of the process can crash
    except BrokenPipeError:
        os._exit(128 + signal.SIGPIPE)  # the reader has gone, as in `| head`
    except Exception as error:
        found = _tell(error)
        if found is None:
            raise
        status = found
    if status and jax.distributed.is_initialized():
        processes.leave(status)
    sys.exit(status)


def _tell(error: Exception) -> int | None:
    """Prints the line of an error that a user can act on, and returns its exit status; None for any other error."""
    if isinstance(error, UserError):
        return _say(error, 2)
    if isinstance(error, RunFailed):
        return _say(error, 1)
    if isinstance(error, MemoryError | ValueError | jax.errors.JaxRuntimeError):
        if lost := processes.loss_of_another(error):
            processes.leave(_say(lost, 1), together=False)
        if "RESOURCE_EXHAUSTED" not in str(error) and not isinstance(error, MemoryError):
            return None
        lower = "lower dim, batch_size, num_negatives or the size of the data"
        return _say(f"out of memory: {lower} ({str(error)[:200]})", 1)
    if isinstance(error, Interrupted):
        return _say(error, 128 + error.number)
    if isinstance(error, OSError):
        return _say(f"cannot use {error.filename or 'a file'}: {error.strerror or error}", 2)
    return None


def _say(error: object, status: int) -> int:
    print("error: " + " ".join(with_flags(str(error)).split()), file=sys.stderr, flush=True)
    return status


def _keep_compiled_programs() -> None:
    """Applies `--compilation_cache_dir`, where the program has it."""
    if "compilation_cache_dir" in flags.FLAGS and (folder := flags.FLAGS.compilation_cache_dir):
        try:
            Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--compilation_cache_dir={folder}: cannot be made or used ({error.strerror})") from error
        jax.config.update("jax_compilation_cache_dir", flags.FLAGS.compilation_cache_dir)


class _InFlags(Formatter):
    """Lines of the log, our own with flags in place of names."""

    def __init__(self, ours: Callable[[LogRecord], bool]):
        super().__init__("%(levelname)s: %(message)s")
        self._ours = ours

    def format(self, record: LogRecord) -> str:
        line = super().format(record)
        return with_flags(line) if self._ours(record) else line


def _plain_logging(main: Callable[[], None]) -> None:
    """Shows our own messages, and warnings of other packages, as plain lines on standard error."""
    # The package and the program, wherever they lie: the folder of a checkout can have any name.
    package, program = os.path.dirname(onebp_jax.__file__) + os.sep, main.__code__.co_filename
    ours = lambda r: r.pathname.startswith(package) or r.pathname == program
    handler = logging.get_absl_handler()
    handler.setFormatter(_InFlags(ours))
    # Messages of these packages also come as exceptions, or we say them ourselves.
    silent = ("orbax", "config_flags")
    loud = lambda r: r.levelno >= WARNING and not any(name in r.pathname for name in silent)
    handler.addFilter(lambda r: ours(r) or loud(r))
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    # Python hides these warnings unless the old name stands in the program itself.
    warnings.filterwarnings("default", r"onebp_jax\.|the field \w+ of ", DeprecationWarning)
