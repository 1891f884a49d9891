"""Helpers of the tests that start programs as a user would: a small config, a finished process, a folder's bytes."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    "--config=configs/quickstart.py",
    "--config.synthetic.num_users=120",
    "--config.synthetic.num_items=90",
    "--config.batch_size=256",
    "--config.dim=8",
)


def command(program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"launch.{program}", *arguments]


# Programs that tests start compile the same things again and again: they share a cache, made anew by each process of the tests.
_COMPILED = tempfile.mkdtemp(prefix="onebp-tests-")
atexit.register(shutil.rmtree, _COMPILED, ignore_errors=True)


def environment(**extra: str) -> dict[str, str]:
    cache = {"JAX_COMPILATION_CACHE_DIR": _COMPILED, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2"}
    return os.environ | cache | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)} | extra


def run(program: str, *arguments: str, **extra: str) -> subprocess.CompletedProcess:
    """Runs a program to its end; never raises, the caller looks at `returncode`, `stdout`, `stderr`."""
    return subprocess.run(
        command(program, *arguments), cwd=ROOT, env=environment(**extra), capture_output=True, text=True, timeout=300
    )


def assert_one_line(process: subprocess.CompletedProcess, status: int, *words: str) -> None:
    """The process ended with `status` and one line on standard error that holds all `words`."""
    lines = [line for line in process.stderr.splitlines() if not line.startswith(("WARNING", "INFO", "epoch "))]
    assert process.returncode == status, process.stderr
    assert len(lines) == 1 and lines[0].startswith("error: "), process.stderr
    for word in words:
        assert word in lines[0], lines[0]


def tables(workdir: Path) -> list[np.ndarray]:
    with np.load(workdir / "embeddings.npz") as found:
        return [found[name] for name in ("user", "item")]
