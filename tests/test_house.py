"""The house rules that a machine can check: who imports whom, small modules, lint, honest configs, a README that runs."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from programs import ROOT

from onebp_jax.config import check_config, default_config
from onebp_jax.data import generate
from onebp_jax.methods.build import build_method
from onebp_jax.training import runner

PACKAGE = ROOT / "onebp_jax"
MODULES = sorted(PACKAGE.rglob("*.py"))
PARTS = ("updaters", "encoders", "samplers", "losses")


def imports(path: Path) -> set[str]:
    """The modules of ours that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in ("onebp_jax", "launch", "configs")}


def test_types_imports_nothing_of_ours():
    assert imports(PACKAGE / "types.py") == set()


@pytest.mark.parametrize("room", PARTS)
def test_parts_import_types_rows_and_their_own_room_only(room):
    for path in (PACKAGE / room).glob("*.py"):
        for name in imports(path):
            assert name.startswith(
                ("onebp_jax.types", "onebp_jax.ops.rows", "onebp_jax.ops.geometry", f"onebp_jax.{room}")
            ), f"{path.name} imports {name}"


def test_nothing_imports_launch_or_configs():
    for path in MODULES:
        assert not {name for name in imports(path) if name.startswith(("launch", "configs"))}, path


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_small_and_say_what_they_are(path):
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"
    # The contract room is mostly docstrings, and the methods are meant to be on one page.
    assert len(text.splitlines()) <= (300 if path.name in ("types.py", "methods.py") else 250), (
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


def test_lint():
    for arguments in (["check"], ["format", "--check"]):
        process = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "."], cwd=ROOT, capture_output=True, text=True
        )
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
    # The config's own method and fields on a small stand-in for its data.
    config.batch_size = 64
    job, run = runner.prepare(config, build_method(config), generate(num_users=40, num_items=50, seed=1))
    run = job.advance(run, 2)
    assert run.step == 2 and runner.is_finite(run)


def test_the_readme_names_programs_configs_and_flags_that_exist():
    text = (ROOT / "README.md").read_text()
    for program in set(re.findall(r"launch\.(\w+)", text)):
        assert (ROOT / "launch" / f"{program}.py").exists(), program
    for config in set(re.findall(r"configs/(\w+)\.py", text)):
        assert (ROOT / "configs" / f"{config}.py").exists(), config
    for name in set(re.findall(r"--config\.(\w+)", text)) - {"FIELD"}:
        assert name in default_config(), name


def test_the_python_of_the_readme_runs():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
