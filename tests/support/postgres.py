"""A PostgreSQL server for tests: the one that is installed, in a folder of its own, reached through a socket in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

# The server refuses to run as root.
NOBODY = 65534


def missing() -> str | None:
    """Why there can be no server; None if there can."""
    found = shutil.which("initdb") and shutil.which("postgres")
    return None if found else "no PostgreSQL on PATH: its programs initdb and postgres are needed"


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Runs a server; yields the URL of an empty database."""
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        as_user = {}
        if os.getuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
            as_user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        data = Path(folder) / "data"
        settings = {"stdout": subprocess.DEVNULL, "cwd": folder, "env": {**os.environ, "HOME": folder}, **as_user}
        subprocess.run(["initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N"], check=True, **settings)
        options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}"]
        process = subprocess.Popen(["postgres", "-D", data, *options], stderr=subprocess.DEVNULL, **settings)
        try:
            url = f"postgresql://postgres@/postgres?host={folder}"
            _wait(Path(folder), process)
            yield url
        finally:
            process.send_signal(signal.SIGINT)  # fast: it does not wait for clients
            process.wait()


def _wait(folder: Path, process: subprocess.Popen) -> None:
    import psycopg

    for _ in range(200):
        assert process.poll() is None, "the server has ended"
        try:
            psycopg.connect(host=str(folder), user="postgres", dbname="postgres").close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise TimeoutError("the server does not answer")


def empty(url: str) -> None:
    """Removes the tables of a log."""
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute("DROP TABLE IF EXISTS onebp_records, onebp_head")
