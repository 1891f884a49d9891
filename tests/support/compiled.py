"""The folder of compiled programs: what earlier runs of the tests compiled need not be compiled again.

Each process of the tests has a folder of its own, because JAX does not write an entry in one piece. The folder starts with links
to the kept entries; when the tests end, the new entries are kept. They lie in `.pytest_cache/compiled`, by the versions and the
CPU that they were compiled for. `$ONEBP_TEST_CACHE` names another folder; if it is empty, nothing is kept.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import os
import platform
import shutil
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

MAX_BYTES = 300 * 2**20
DAY = 24 * 3600
_ROOT = os.environ.get("ONEBP_TEST_CACHE", str(Path(__file__).resolve().parents[2] / ".pytest_cache" / "compiled"))


def machine() -> str:
    """A name for what compiled code depends on: the versions, and the instructions of the CPU."""
    cpu = []
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = sorted({line for line in lines if line.partition("\t")[0] in ("model name", "flags", "Features")})
    python = f"python{platform.python_version()}"
    text = "\n".join([platform.machine(), platform.processor(), version("jax"), version("jaxlib"), python, *cpu])
    return f"{python}-jax{version('jax')}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _store() -> Path:
    return Path(_ROOT) / machine()


@functools.cache
def folder() -> str:
    """This process's folder, with what was kept; removed when the process ends."""
    if not _ROOT:
        own = tempfile.mkdtemp(prefix="onebp-tests-")
    else:
        _store().mkdir(parents=True, exist_ok=True)
        for left in Path(_ROOT).glob("run-*"):  # by tests that were killed
            if time.time() - left.stat().st_mtime > DAY:
                shutil.rmtree(left, ignore_errors=True)
        own = tempfile.mkdtemp(prefix="run-", dir=_ROOT)
        _link_all(_store(), Path(own))
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    return own


def settings() -> dict[str, str | float]:
    """The settings of JAX that use the folder; as environment variables, programs take them in capitals."""
    return {
        "jax_compilation_cache_dir": folder(),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
        "jax_persistent_cache_enable_xla_caches": "none",  # their folder's path would be part of each entry's key
    }


def keep() -> None:
    """Keeps the new entries for later runs; beyond `MAX_BYTES` the oldest are deleted."""
    if not _ROOT:
        return
    _link_all(Path(folder()), _store())
    total = 0
    entries = [(path.stat(), path) for path in Path(_ROOT).glob("python*/*")]
    for status, path in sorted(entries, key=lambda entry: -entry[0].st_mtime):
        total += status.st_size
        if total > MAX_BYTES:
            path.unlink(missing_ok=True)


def _link_all(source: Path, target: Path) -> None:
    """Links every file that the target lacks; a file system without links keeps nothing."""
    for path in source.iterdir():
        with contextlib.suppress(OSError):
            os.link(path, target / path.name)
