"""Which code made a run: the version of the package, and a digest of the modules that decide its numbers."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
from pathlib import Path

# A run is a function of its configuration, its data and these.
ROOMS = ("types.py", "ops", "data", "config", "updaters", "encoders", "samplers", "losses", "engine", "evaluation")
ROOMS += ("methods", "parallel", "training")


@functools.cache
def code_version() -> str:
    """`VERSION-DIGEST`, as in `0.3.0-1a2b3c4d`. Comments, docstrings and blanks do not count, nor do programs and reports."""
    package, found = Path(__file__).parents[1], hashlib.sha256()
    for room in ROOMS:
        place = package / room
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            found.update(
                f"{path.relative_to(package).as_posix()}\n{_meaning(path.read_text(encoding='utf-8'))}\n".encode()
            )
    return f"{importlib.metadata.version('onebp-jax')}-{found.hexdigest()[:8]}"


def _meaning(text: str) -> str:
    """The text of a module without what does not run."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not node.body:
            continue
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            node.body[0] = ast.Pass()
    return ast.dump(tree)
