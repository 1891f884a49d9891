"""The programs, started as a user starts them: from a warm process (`fork_server.py`), or cold by Python itself.

A warm start costs a tenth of a second, a cold one two seconds of imports. Each program starts cold once, in
`tests/launch/test_launch.py`.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from support import compiled

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    "--config=configs/quickstart.py",
    "--config.synthetic.num_users=120",
    "--config.synthetic.num_items=90",
    "--config.batch_size=256",
    "--config.dim=8",
)
# For processes that will be killed, and several at a time: they must not write half an entry, nor read half of one.
READS_COMPILED = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1e9"}
# Variables that are looked up when they are needed, not when a module is imported. A change in any other one means a cold start.
LOOKED_UP = {"NPROC", "ONEBP_DATA_DIR", "XDG_CACHE_HOME", "HOME", "PYTEST_CURRENT_TEST"}


def command(program: str, *arguments: str) -> list[str]:
    """The command line of a cold start; `onebp` is the command of that name."""
    return [sys.executable, "-m", _module(program), *arguments]


def _module(program: str) -> str:
    return "onebp_jax.cli.main" if program == "onebp" else f"launch.{program}"


def environment(**extra: str) -> dict[str, str]:
    """The environment of a program: what the tests have, the CPU, the folder of compiled programs, and `extra`."""
    cache = {name.upper(): str(value) for name, value in compiled.settings().items()}
    return os.environ | cache | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)} | extra


def run(program: str, *arguments: str, cold: bool = False, **extra: str) -> subprocess.CompletedProcess:
    """Runs a program to its end; never raises, the caller looks at `returncode`, `stdout`, `stderr`."""
    process = start(program, *arguments, cold=cold, **extra)
    output, error = process.communicate(timeout=300)
    return subprocess.CompletedProcess(command(program, *arguments), process.returncode, output, error)


def start(program: str, *arguments: str, cold: bool = False, **extra: str) -> Started:
    """Starts a program and returns at once."""
    wanted, files = environment(**extra), _output_files()
    if not cold and hasattr(os, "fork") and sys.platform == "linux":
        with _STARTING:
            server = _server()
        changed = {
            name
            for name in wanted.keys() | server.environment.keys()
            if server.environment.get(name) != wanted.get(name)
        }
        jax_options = {name.lower(): wanted[name] for name in changed if name.startswith("JAX_") and name in wanted}
        if changed <= LOOKED_UP | {name.upper() for name in jax_options}:
            request = {
                "module": _module(program),
                "arguments": arguments,
                "environment": wanted,
                "folder": str(ROOT),
                "jax": jax_options,
            }
            return Started(server.ask({"start": request}, files), server.poll, files)
    return _start_cold(command(program, *arguments), wanted, files)


def start_code(code: str, *arguments: str) -> Started:
    """Starts `python -c CODE ARGUMENTS`, cold."""
    return _start_cold([sys.executable, "-c", code, *arguments], environment(), _output_files())


def _start_cold(command: list[str], environment: dict[str, str], files) -> Started:
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=files[0], stderr=files[1])
    return Started(process.pid, lambda _: process.poll(), files)


def _output_files():
    return [tempfile.TemporaryFile() for _ in range(2)]


class Started:
    """A program that was started; as `subprocess.Popen`, with its output in files."""

    def __init__(self, pid: int, status, files):
        self.pid, self.returncode = pid, None
        self._status, self._files, self._said = status, files, ["", ""]

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        if self.returncode is None:
            status = self._status(self.pid)
            if status is not None:
                self._said = [self.said(0), self.said(1)]
                for file in self._files:
                    file.close()
                self.returncode = status
        return self.returncode

    def wait(self, timeout: float) -> int:
        """The exit status; a program that takes longer is killed."""
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                self.send_signal(signal.SIGKILL)
                raise subprocess.TimeoutExpired(f"process {self.pid}, which said: {self.said(1)}", timeout)
            time.sleep(0.01)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def said(self, of: int = 1) -> str:
        """What it has written so far: to standard output (0) or standard error (1)."""
        if self.returncode is not None:
            return self._said[of]
        descriptor = self._files[of].fileno()
        # Not `read`: the place in the file is the program's too.
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode()

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Its whole output, standard and error, once it has ended."""
        self.wait(timeout)
        return self.said(0), self.said(1)


class _Server:
    """The warm process of this process of the tests."""

    def __init__(self):
        self.environment = environment()
        self._lock = threading.Lock()
        self._connection, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fork_server.py")), str(other.fileno())],
            cwd=ROOT,
            # Threads cannot be forked.
            env=self.environment | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            pass_fds=[other.fileno()],
            stdin=subprocess.DEVNULL,
        )
        other.close()
        atexit.register(self.close)

    def ask(self, message: dict, files=()):
        """The answer to a message; `files` go with it."""
        with self._lock:
            socket.send_fds(self._connection, [json.dumps(message).encode()], [file.fileno() for file in files])
            answer = self._connection.recv(2**10)
        assert answer, "the warm process has ended: what it wrote is in the captured standard error"
        return json.loads(answer)

    def poll(self, pid: int) -> int | None:
        return self.ask({"poll": pid})

    def close(self) -> None:
        self._connection.close()
        self._process.wait()


_STARTING = threading.Lock()


@functools.cache
def _server() -> _Server:
    return _Server()


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
