"""The pages that people read, for tests that hold them to the code."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

from onebp_jax.cli import main
from support.programs import ROOT

NOTEBOOK = ROOT / "docs" / "your_data.ipynb"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), NOTEBOOK]


def hooks():
    """The module docs/hooks.py."""
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text_of(path: Path) -> str:
    """The text of a page; of a notebook all cells."""
    if path.suffix != ".ipynb":
        return path.read_text()
    return "\n\n".join("".join(cell["source"]) for cell in json.loads(path.read_text())["cells"])


def python_blocks(path: Path) -> list[str]:
    """The Python blocks of a Markdown page."""
    return re.findall(r"^```python\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)


def commands(path: Path) -> list[tuple[str, str]]:
    """Each `onebp PROGRAM` of a page with the rest of its command."""
    joined = text_of(path).replace("\\\n", " ")
    return re.findall(rf"\bonebp ({'|'.join(main.PROGRAMS)})\b([^\n`]*)", joined)
