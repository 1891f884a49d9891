"""The command `onebp`: what it lists, what it says of a misspelt program, and that it runs programs in any folder."""

import re
import subprocess
import sys

import pytest
from support.programs import ROOT, SMALL, run

from onebp_jax.cli import main


def onebp(*arguments: str) -> subprocess.CompletedProcess:
    """`onebp ARGUMENTS` for what it answers itself."""
    command = [sys.executable, "-m", "onebp_jax.cli.main", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_programs_are_those_of_launch():
    files = {path.stem for path in (ROOT / "launch").glob("[a-z]*.py")}
    assert {name.replace(" ", "_") for name in main.PROGRAMS} == files


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)])
def test_it_lists_each_program_in_a_line(arguments):
    process = onebp(*arguments)
    assert process.returncode == 0 and not process.stderr
    listed = re.findall(r"^  ((?:benchmark )?\w+)  +\w.*$", process.stdout, re.MULTILINE)
    assert listed == list(main.PROGRAMS)
    assert max(map(len, process.stdout.splitlines())) <= 100


def test_the_listing_loads_no_jax():
    code = "import sys; from onebp_jax.cli import main; main.main(); assert not {'jax', 'numpy', 'pandas'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == 0


def test_the_version():
    assert re.fullmatch(r"onebp_jax \d+\.\d+\.\d+\S*\n", onebp("--version").stdout)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["trian", "--workdir=x"], "unknown program 'trian' (did you mean 'train'?): onebp --help lists the programs"),
        (["xyzzy"], "unknown program 'xyzzy': onebp --help lists the programs"),
        (
            ["benchmark_step"],
            "unknown program 'benchmark_step' (did you mean 'benchmark step'?): onebp --help lists the",
        ),
        (["benchmark"], "onebp benchmark: expected one of step, ranking, quality, serving after benchmark"),
        (
            ["benchmark", "steep"],
            "onebp benchmark steep: expected one of step, ranking, quality, serving (did you mean 'step'?) after benchmark",
        ),
        (
            ["--workdir=x"],
            "--workdir=x: the program comes first, as in onebp train --workdir=x; onebp --help lists the",
        ),
    ],
)
def test_a_program_that_there_is_not(arguments, line):
    process = onebp(*arguments)
    assert process.returncode == 2 and not process.stdout
    assert process.stderr.startswith(f"error: {line}") and process.stderr.count("\n") == 1


def test_it_runs_a_program(tmp_path):
    process = run("onebp", "train", *SMALL, "--config.epochs=1", f"--workdir={tmp_path / 'run'}")
    assert process.returncode == 0, process.stderr
    assert "results in" in process.stdout and (tmp_path / "run" / "result.json").exists()


def test_a_program_of_two_words():
    process = run("onebp", "benchmark", "ranking", "--help")
    assert process.returncode == 0 and process.stdout.startswith("Times the top-k lists"), process.stderr


def test_modules_of_the_current_folder_are_found_but_hide_no_others(monkeypatch):
    started = []
    monkeypatch.setattr(main.runpy, "run_path", lambda file, run_name: started.append((file, run_name, *sys.argv)))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", ["onebp", "train", "--config=x", "word"])
    main.main()
    file = str(ROOT / "launch" / "train.py")
    assert started == [(file, "__main__", file, "--config=x", "word")] and sys.path[-1] == ""


def test_the_package_that_is_built_holds_launch_and_configs(monkeypatch):
    setuptools = pytest.importorskip("setuptools")
    asked = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(setuptools, "setup", lambda **given: asked.update(given))
    exec((ROOT / "setup.py").read_text(), {"__name__": "setup"})
    for folder in ("launch", "configs"):
        assert asked["package_dir"][f"onebp_jax.{folder}"] == folder
        assert f"onebp_jax.{folder}" in asked["packages"]
        # Subfolders and other files than Python's would be left out.
        assert [path for path in (ROOT / folder).iterdir() if path.suffix != ".py" and path.name != "__pycache__"] == []
    rooms = {f"onebp_jax.{path.parent.name}" for path in (ROOT / "onebp_jax").glob("*/__init__.py")}
    assert set(asked["packages"]) == {"onebp_jax", *rooms, "onebp_jax.launch", "onebp_jax.configs"}
