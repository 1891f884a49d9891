"""Runs a notebook with plain Python: `python tests/support/notebook.py docs/your_data.ipynb` stores the outputs in it."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path


def run(path: Path) -> Iterator[tuple[dict, str]]:
    """Runs the code cells in order, in one namespace; yields each cell and what it printed."""
    names: dict = {"__name__": path.stem}
    for number, cell in enumerate(json.loads(path.read_text())["cells"]):
        if cell["cell_type"] == "code":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), names)
            yield cell, printed.getvalue()


def store(path: Path) -> None:
    """Writes the outputs of a run into the notebook."""
    notebook = json.loads(path.read_text())
    cells = {cell["id"]: cell for cell in notebook["cells"]}
    for count, (found, text) in enumerate(run(path), start=1):
        output = {"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)}
        cells[found["id"]].update(execution_count=count, outputs=[output] if text else [])
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    store(Path(sys.argv[1]))
