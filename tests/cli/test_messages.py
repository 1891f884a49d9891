"""Messages of the library in the words of the command line."""

import sys

import pytest
from absl import flags
from ml_collections import config_flags

from onebp_jax.cli.messages import with_flags


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
        # What is quoted, what is in a path, and what is no flag stay.
        ("'onebp:dim=0': dim=0: expected at least 1", "'onebp:dim=0': dim=0: expected at least 1"),
        # A program has rows of several methods, or of one.
        ("spec='onebp:dim=0': dim=0: expected at least 1", "--methods='onebp:dim=0': dim=0: expected at least 1"),
        ("space='l2=0': expected values, as in 'l2=0|1'", "space='l2=0': expected values, as in 'l2=0|1'"),
        ("/runs/k=5/dim=3 holds another run", "/runs/k=5/dim=3 holds another run"),
        ("my_k=5 is unknown", "my_k=5 is unknown"),
        ("k.dim=3 is unknown", "k.dim=3 is unknown"),
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
