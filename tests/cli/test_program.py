"""What the programs say of a config file that is at fault: one line with the file as given, its line and the first error."""

import sys

import pytest
from absl import flags
from ml_collections import config_flags
from support.programs import assert_one_line, run, start_code

from onebp_jax.cli import config_flag
from onebp_jax.config import OPTIONS
from onebp_jax.config.fields import FIELDS
from onebp_jax.errors import UserError

# The package of the flag loads files in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

BAD = {
    "empty": ("", "the file has no function get_config, which returns the config"),
    "other name": ("def config():\n    return 1\n", "the file has no function get_config"),
    "no function": ("get_config = 3\n", "TypeError: 'int' object is not callable"),
    "nothing returned": ("def get_config():\n    pass\n", "get_config() returns None, expected a config"),
    "a number returned": (
        "def get_config():\n    return 7\n",
        "get_config() returns 7, expected a config: start it from onebp_jax.config",
    ),
    "a dict returned": (
        "def get_config():\n    return {'dim': 3}\n",
        "get_config() returns {'dim': 3}, expected a config",
    ),
    "ends": (
        "import sys\n\ndef get_config():\n    sys.exit('no')\n",
        "line 4: sys.exit('no') ends the program, expected",
    ),
    "ends well": ("\nraise SystemExit\n", "line 2: sys.exit(None) ends the program, expected a config"),
    "argument": ("def get_config(size):\n    return size\n", "TypeError: get_config() missing 1 required"),
    "import": ("\nimport no_such_module\n", "line 2: ModuleNotFoundError: No module named 'no_such_module'"),
    "name": ("def get_config():\n    return undefined\n", "line 2: NameError: name 'undefined' is not defined"),
    "value": ("def get_config():\n\n    return int('x')\n", "line 3: ValueError: invalid literal"),
    "syntax": ("def get_config()\n", "SyntaxError: expected ':'"),
    "zero byte": ("def get_config():\n    return '\0'\n", "null bytes"),
}


@pytest.fixture
def read(monkeypatch):
    """`read_config` with flags of its own: what is left of a failed parse would meet the next test."""

    def run(*arguments):
        sys.modules.pop("config_config", None)  # what another file defined would still be there
        own = flags.FlagValues()
        config_flags.DEFINE_config_file("config", flag_values=own)
        monkeypatch.setattr(flags, "FLAGS", own)
        monkeypatch.setattr(sys, "argv", ["program", *arguments])
        config_flag.parse(sys.argv)
        return config_flag.read_config()

    return run


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("form", ["--config={}", "--config {}"])
@pytest.mark.parametrize("overrides", [(), ("--config.epochs=2",)])
def test_a_config_file_at_fault(read, name, form, overrides, tmp_path):
    text, words = BAD[name]
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(UserError) as caught:
        read(*form.format(tmp_path / "mine.py").split(" "), *overrides)
    message = str(caught.value)
    assert message.startswith(f"--config={tmp_path / 'mine.py'}: ") and words in message and "\n" not in message, (
        message
    )


@pytest.mark.parametrize("overrides", [(), ("--config.epochs=2",)])
def test_a_config_file_that_is_not_there(read, overrides):
    for given in ("configs/quickstrt.py", "quickstrt"):
        with pytest.raises(UserError, match=f"^--config={given}: no such file.+ .did you mean 'quickstart'"):
            read(f"--config={given}", *overrides)
    with pytest.raises(
        UserError, match="^--config=: no such file, expected a path or one of best_gowalla_paper, best_ml100k, "
    ):
        read("--config=", *overrides)
    with pytest.raises(
        UserError,
        match="^--config=tests/cli/test_progam.py: no such file; the nearest in .*/tests/cli: test_program.py, ",
    ):
        read("--config=tests/cli/test_progam.py", *overrides)


@pytest.mark.parametrize("form", ["--config={}", "-config={}", "--config {}"])
def test_a_config_by_its_name_is_that_of_the_package(read, form, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NPROC", "1")
    (tmp_path / "quickstart").mkdir()
    assert read(*form.format("quickstart").split(" "), "--config.dim=7").epochs == 200
    assert read("--config.dim=7", *form.format("quickstart").split(" ")).dim == 7
    own = "from onebp_jax.config import default_config\n\ndef get_config(epochs='3'):\n    config = default_config()\n"
    (tmp_path / "mine.py").write_text(own + "    config.epochs = int(epochs)\n    return config\n")
    assert read(*form.format("mine.py").split(" ")).epochs == 3
    assert read(*form.format("mine.py:9").split(" ")).epochs == 9
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read(*form.format("~/mine.py").split(" ")).epochs == 3


_FIELD = f"unknown field, expected one of {len(FIELDS)} names, the nearest: "
_OPTION = f"unknown option, expected one of {len(OPTIONS)} names, the nearest: "
# Override -> the beginning of the line.
WRONG = {
    "--config.epochs=ten": "--config.epochs=ten: expected a whole number",
    "--config.dim=1.5": "--config.dim=1.5: expected a whole number",
    "--config.beta=high": "--config.beta=high: expected a number",
    "--config.options.margin=wide": "--config.options.margin=wide: expected a number",
    "--config.options.rank_weight=maybe": "--config.options.rank_weight=maybe: expected True or False",
    "--config.epoch=3": f"--config.epoch=3: {_FIELD}epochs, ",
    "--config.epoch": f"--config.epoch: {_FIELD}epochs, ",
    "--noconfig.normalise": f"--noconfig.normalise: {_FIELD}normalize, ",
    "--config.xyzzy=3": f"--config.xyzzy=3: {_FIELD}",
    "--config.options.marg=3": f"--config.options.marg=3: {_OPTION}margin, ",
    "--config.synthetic.num_user=3": "--config.synthetic.num_user=3: synthetic has no 'num_user', expected one of num_users, ",
    "--config.synthetic.foo=3": "--config.synthetic.foo=3: synthetic has no 'foo', expected one of num_users, num_items",
    "--config.epochs.foo=3": "--config.epochs.foo=3: the field epochs has no parts, expected --config.epochs=VALUE",
}


@pytest.mark.parametrize("override", WRONG)
def test_an_override_at_fault_is_named_as_it_was_given(read, override):
    with pytest.raises(UserError) as caught:
        read("--config=quickstart", override)
    assert str(caught.value).startswith(WRONG[override])


def test_overrides_without_a_config(read, monkeypatch):
    monkeypatch.setenv("NPROC", "1")
    for given in ([], ["--config.epochs=3"]):
        with pytest.raises(UserError, match="^--config is missing, for example --config=quickstart"):
            read(*given)
    assert read("--config=configs/quickstart.py", "--config.epochs=7").epochs == 7


def test_a_choice_that_a_flag_does_not_have_and_a_cache_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    for given, said in (
        ("--tables=sharde", "--tables=sharde: expected one of replicated, sharded (did you mean 'sharded'?)"),
        ("--num_processes=0", "--num_processes=0: expected at least 1"),
        (f"--compilation_cache_dir={tmp_path / 'file' / 'x'}", "/file/x: cannot be made or used (Not a directory)"),
    ):
        assert_one_line(run("train", "--config=quickstart", f"--workdir={tmp_path / 'run'}", given), 2, said)


@pytest.mark.parametrize(
    ("program", "flag"),
    [
        ("recommend", "users_file"),
        ("recommend", "items"),
        ("evaluate", "dataset"),
        ("evaluate", "data_dir"),
        ("train", "init"),
        ("train", "compilation_cache_dir"),
    ],
)
def test_a_path_that_is_given_and_empty_is_refused(program, flag):
    """As where a shell's variable is not set: it must not mean "not given"."""
    said = f"error: --{flag}=: is empty, expected a path; or leave the flag out"
    assert_one_line(run(program, "--workdir=x", f"--{flag}="), 2, said)


def test_help_takes_no_notice_of_a_value():
    process = run("similar", "--help=1")
    assert process.returncode == 0 and "onebp similar --workdir" in process.stdout


def test_a_file_that_is_not_there_is_said_with_its_flag(tmp_path):
    later = f"--later={tmp_path / 'no.csv'}"
    assert_one_line(
        run("compare", "--config=quickstart", f"--workdir={tmp_path / 'runs'}", later), 2, "error: --later="
    )


def test_a_program_says_its_own_lines_wherever_it_lies():
    """The code has no path here; a checkout may lie in a folder of any name. What other packages inform of is not shown."""
    code = """
from absl import logging
from onebp_jax.cli import program

def main():
    logging.info("k=3 of the program")
    exec(compile("logging.info('of another package')", "/somewhere/else.py", "exec"))

program.run(main, "")
"""
    process = start_code(code)
    _, said = process.communicate(timeout=120)
    assert said == "INFO: k=3 of the program\n" and process.returncode == 0
