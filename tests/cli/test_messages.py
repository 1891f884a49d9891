"""Messages of the library in the words of the command line."""

import ast
import re
import sys
from pathlib import Path

import pytest
from absl import flags
from ml_collections import config_flags

from onebp_jax.cli.messages import with_flags
from onebp_jax.config import OPTIONS
from onebp_jax.config.fields import FIELDS

ROOT = Path(__file__).resolve().parents[2]
# Arguments in Python that no program has.
IN_PYTHON = {
    "adjacency",
    "beside",
    "closeness",
    "data",
    "devices",
    "epoch_unit",
    "fraction",
    "layout",
    "n",
    "slope",
    "table",
    "test",
    "thresholds",
    "time",
}


@pytest.fixture
def define(monkeypatch):
    """Gives the program flags of its own, with or without `--config`."""

    def define(*names, config):
        own = flags.FlagValues()
        for name in names:
            kind = flags.DEFINE_bool if name.startswith("skip_") else flags.DEFINE_string
            kind(name, None, "", flag_values=own, module_name=sys.argv[0])
        if config:
            config_flags.DEFINE_config_file("config", flag_values=own)
            own.register_flag_by_module(sys.argv[0], own["config"])
        monkeypatch.setattr(flags, "FLAGS", own)

    return define


@pytest.mark.parametrize(
    ("message", "printed"),
    [
        ("k=0: expected at least 1", "--k=0: expected at least 1"),
        ("dim=0: expected at least 1", "--config.dim=0: expected at least 1"),
        ("options.margin=x: expected a number", "--config.options.margin=x: expected a number"),
        ("method='onebpp' is unknown", "--config.method='onebpp' is unknown"),
        # A flag of the program is meant rather than a field of the same name.
        ("dataset=x: no such set", "--dataset=x: no such set"),
        # Advice is translated too, also where the flag has another name than the argument.
        ("a device has its own rows only: use driver=jit", "a device has its own rows only: use --parallel=jit"),
        ("a stream has pairs: set stream_window=0", "a stream has pairs: set --config.stream_window=0"),
        (
            "read_test=False: expected protocol='honest', or dim=3",
            "{}read_test=False: expected {}protocol='honest', or {}dim=3",
        ),
        ("leave unknown ids out, or set skip_unknown=True", "leave unknown ids out, or set --skip_unknown"),
        ("set refit=True, or k=True", "set {}refit=True, or --k=True"),
        ("x.csv: min_rating=3 left out 5 of 10 rows", "x.csv: {}min_rating=3 left out 5 of 10 rows"),
        ("no user column; choose one with user_column", "no user column; choose one with {}user_column"),
        ("no times (another name: time_column)", "no times (another name: {}time_column)"),
        ("not UTF-8: if names look wrong, set encoding", "not UTF-8: if names look wrong, set {}encoding"),
        ("no given split; use split 'ratio', or k 3", "no given split; use {}split 'ratio', or k 3"),
        ("above max_bytes=3: raise options.max_bytes.", "above max_bytes=3: raise {}options.max_bytes."),
        ("num_negatives must be at least 1", "{}num_negatives must be at least 1"),
        ("k must be at least 1", "--k must be at least 1"),
        ("stream_window=4: split='time' is not", "{}stream_window=4: {}split='time' is not"),
        # What is quoted, what is in a path, and what is no flag stay.
        ("'onebp:dim=0': dim=0: expected at least 1", "'onebp:dim=0': dim=0: expected at least 1"),
        # A program has rows of several methods, or of one.
        ("spec='onebp:dim=0': dim=0: expected at least 1", "--methods='onebp:dim=0': dim=0: expected at least 1"),
        ("space='l2=0': expected values, as in 'l2=0|1'", "space='l2=0': expected values, as in 'l2=0|1'"),
        ("/runs/k=5/dim=3 holds another run", "/runs/k=5/dim=3 holds another run"),
        ("my_k=5 is unknown", "my_k=5 is unknown"),
        ("k.dim=3 is unknown", "k.dim=3 is unknown"),
        ("dataset.csv: cannot be read", "dataset.csv: cannot be read"),
        ("/runs/batch_size.csv: dim, 'use dim=3', \"set dim\"", "/runs/batch_size.csv: dim, 'use dim=3', \"set dim\""),
        (
            "expected one of batch_size, dim; the nearest: batch_size",
            "expected one of batch_size, dim; the nearest: batch_size",
        ),
        ("the file has batch_size, dim=3; set dim", "the file has batch_size, dim=3; set {}dim"),
        ("test_fraction=2: expected 0 <= test_fraction < 1", "{}test_fraction=2: expected 0 <= test_fraction < 1"),
        ("batch_size is 3 there and 4 here", "batch_size is 3 there and 4 here"),
        ("the k is 3 here and dim is 4 there", "the k is 3 here and dim is 4 there"),
    ],
)
def test_a_program_with_a_config(define, message, printed):
    define("k", "dataset", "parallel", "methods", "skip_unknown", config=True)
    assert with_flags(message) == printed.replace("{}", "--config.")


def test_a_program_without_a_config_has_no_fields(define):
    define("k", config=False)
    assert with_flags("dim=0: expected at least 1, or k=3") == "dim=0: expected at least 1, or --k=3"


def test_flags_of_other_packages_are_not_the_programs(define):
    define("k", config=True)
    flags.DEFINE_string("verbosity", None, "", flag_values=flags.FLAGS, module_name="absl.logging")
    assert with_flags("verbosity=3: expected less") == "verbosity=3: expected less"


def names_at_the_beginning() -> set[str]:
    """The names with which errors of the library begin: `name=...` or `name must be`."""
    found = set(FIELDS)
    for path in sorted((ROOT / "onebp_jax").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) in ("UserError", "RunFailed", "ValueError")
                and node.args
            ):
                parts = getattr(node.args[0], "values", [node.args[0]])
                first = parts[0].value if parts and isinstance(parts[0], ast.Constant) else ""
                found |= set(re.findall(r"^(\w+)(?:=| must be )", str(first)))
    return found


def flags_of_all_programs() -> set[str]:
    sources = "".join(path.read_text() for room in ("launch", "onebp_jax/cli") for path in (ROOT / room).glob("*.py"))
    return set(re.findall(r'(?:DEFINE_\w+|define_path)\(\s*"(\w+)"', sources))


def test_every_name_with_which_an_error_begins_becomes_a_flag(define):
    define(*flags_of_all_programs() - {"config"}, config=True)
    names = names_at_the_beginning()
    assert {"user_column", "rating_column", "split", "k", "out"} <= names
    kept = {name for name in names if not with_flags(f"{name}=x: expected y").startswith("--")}
    # `as_user_error` writes an option as `options.NAME`.
    assert kept - set(OPTIONS) == IN_PYTHON, (
        "a flag has another name: add it to _FLAGS_OF; no program has it: add it to IN_PYTHON"
    )


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_becomes_a_flag_in_advice(define, name):
    define(config=True)
    flag = f"--config.{name}"
    assert (
        with_flags(f"x.csv: no such; set {name}, or give {name}=1") == f"x.csv: no such; set {flag}, or give {flag}=1"
    )
    if "_" in name:
        assert with_flags(f"another with {name} (not {name})") == f"another with {flag} (not {flag})"
