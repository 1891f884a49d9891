"""What the programs say of a config file that is at fault: one line with the file as given, its line and the first error."""

import sys

import pytest
from absl import flags
from ml_collections import config_flags

from onebp_jax.cli import config_flag
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
        "get_config() returns 7, expected a config: see configs/",
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
    with pytest.raises(UserError, match="^--config=configs/quickstrt.py: no such file; the configs of this project"):
        read("--config=configs/quickstrt.py", *overrides)


def test_a_value_at_fault_is_not_the_files(read, monkeypatch):
    monkeypatch.setenv("NPROC", "1")
    with pytest.raises(UserError, match="bad flags: flag --config.epochs=ten: invalid literal"):
        read("--config=configs/quickstart.py", "--config.epochs=ten")
    with pytest.raises(UserError, match="bad flags: flag --config.options.rank_weight=maybe"):
        read("--config=configs/quickstart.py", "--config.options.rank_weight=maybe")
    with pytest.raises(UserError, match="--config is missing, for example --config=configs/quickstart.py"):
        read()
    assert read("--config=configs/quickstart.py", "--config.epochs=7").epochs == 7
