"""The house rules that a machine can check: who imports whom, small modules, lint, honest configs, a README that runs."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys

import pytest
from support import imports
from support.programs import ROOT

from onebp_jax.config import check_config
from onebp_jax.config.by_size import choose_by_size
from onebp_jax.data import generate
from onebp_jax.methods.build import build_method
from onebp_jax.training import runner

PACKAGE = ROOT / "onebp_jax"
MODULES = sorted(PACKAGE.rglob("*.py"))
# Rooms of the package, lowest floor first. A room imports rooms of lower floors only.
FLOORS = (
    ("compat", "errors"),
    ("types",),
    ("ops", "data"),
    ("config", "updaters", "encoders", "samplers", "losses", "engine", "evaluation", "preparation"),
    ("methods", "parallel"),
    ("training",),
    ("experiments",),
    ("analysis",),
    ("reports",),
    ("serving", "benchmarks", "cli"),
    ("service",),
)


def test_every_room_has_a_floor_and_three_modules_lie_loose():
    loose = {path.stem for path in PACKAGE.glob("*.py")}
    assert loose == {"__init__", "types", "errors"}
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders | loose - {"__init__"} == {room for floor in FLOORS for room in floor}


def test_rooms_import_lower_floors_only():
    floor = {f"onebp_jax.{room}": number for number, rooms in enumerate(FLOORS) for room in rooms}
    floor["launch"] = len(FLOORS)
    wrong = [
        f"{room} imports {other}"
        for room, wanted in imports.rooms(imports.modules()).items()
        for other in wanted
        if floor[other] >= floor[room]
    ]
    assert not wrong


def test_no_module_imports_itself_in_a_circle():
    assert imports.circles(imports.modules()) == []


@pytest.mark.parametrize("room", ["updaters", "encoders", "samplers", "losses"])
def test_parts_know_types_and_ops_only(room):
    allowed = {"onebp_jax.types", "onebp_jax.ops", "onebp_jax.compat"}
    assert imports.rooms(imports.modules())[f"onebp_jax.{room}"] <= allowed


def test_serving_loads_no_training_loop():
    code = "import sys, onebp_jax.serving; sys.exit(any(name in sys.modules for name in sys.argv[1:]))"
    loop = [f"onebp_jax.training.{name}" for name in ("runner", "train", "feed", "checkpoint")]
    assert subprocess.run([sys.executable, "-c", code, *loop], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_small_and_say_what_they_are(path):
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"
    # The contract room is mostly docstrings, and the methods are meant to be on one page.
    assert len(text.splitlines()) <= (320 if path.name in ("types.py", "named.py", "program.py") else 250), (
        f"{path} has grown: split it"
    )


def test_every_public_function_has_a_docstring():
    missing = []
    for path in MODULES:
        tree = ast.parse(path.read_text())
        for node in tree.body:
            public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if public and not ast.get_docstring(node):
                missing.append(f"{path.relative_to(ROOT)}:{node.name}")
    assert not missing


def linted() -> list[str]:
    """The Python files that git tracks; where there is no git, the folders of the project. Scratch files do not count."""
    command = ["git", "ls-files", "--", "*.py", "*.ipynb"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        listed = []
    # A file that was deleted stays on the list until the commit.
    return [path for path in listed if (ROOT / path).exists()] or ["onebp_jax", "launch", "configs", "tests", "docs"]


@pytest.mark.parametrize("arguments", [("check",), ("format", "--check")], ids=" ".join)
def test_lint(arguments):
    command = [sys.executable, "-m", "ruff", *arguments, "--force-exclude", *linted()]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.py")), ids=lambda path: path.stem)
def test_every_config_parses_trains_and_says_what_to_expect(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for word in ("Command:", "Hardware:", "Time:", "Score:"):
        assert word in module.__doc__, f"{path.name} does not say its {word}"
    config = module.get_config()
    check_config(config)
    # The config's own method and fields on a small stand-in for its data; of one width, so that equal programs compile once.
    config.batch_size, config.dim = 64, 8
    dataset = generate(num_users=40, num_items=50, seed=1)
    choose_by_size(config, dataset)
    job, run = runner.prepare(config, build_method(config), dataset)
    run = job.advance(run, 2)
    assert run.step == 2 and runner.is_finite(run)
