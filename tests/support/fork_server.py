"""A warm process that forks itself for each program that a test starts: what the programs import is loaded once.

    python tests/support/fork_server.py SOCKET        (started by `programs.py`; SOCKET is the number of an open descriptor)

Requests and answers are one JSON message each. "start" with the descriptors of standard output and standard error gives the
new process's id; "poll" with an id gives its exit status, or null while it runs. The server and its programs end when the other
end of the socket closes. It computes nothing itself: a process with JAX's threads cannot be forked.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import threading
from typing import NoReturn

MAX_MESSAGE = 2**18


def serve(connection: socket.socket) -> None:
    """Answers until the other end closes."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, MAX_MESSAGE, 2)
        if not message:
            return
        request = json.loads(message)
        if "poll" in request:
            found, status = os.waitpid(request["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if found else None
        else:
            answer = os.fork()
            if answer == 0:
                connection.close()
                become(request["start"], *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        connection.send(json.dumps(answer).encode())


def become(request: dict, output: int, error: int) -> NoReturn:
    """Turns this process into `python -m MODULE ARGUMENTS`, with the given environment and descriptors."""
    for given, standard in ((output, 1), (error, 2)):
        os.dup2(given, standard)
        os.close(given)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.path[0] = request["folder"]
    set_jax(request["jax"])
    sys.argv = [request["module"], *request["arguments"]]
    status = 0
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status & 0xFF)


def set_jax(options: dict[str, str]) -> None:
    """Options of JAX that differ from the server's: JAX read its environment when it was imported."""
    import jax

    for name, value in options.items():
        old = getattr(jax.config, name)
        jax.config.update(name, value if old is None else type(old)(value))


def load() -> None:
    """Imports what programs import, except modules that define flags."""
    for name in ("pandas", "pyarrow.parquet", "ml_collections.config_flags", "orbax.checkpoint"):
        importlib.import_module(name)
    for name in ("cli.program", "cli.devices", "training.train", "serving"):
        importlib.import_module(f"onebp_jax.{name}")


if __name__ == "__main__":
    os.setsid()  # Ctrl-C at the terminal is for the tests
    sys.path[0] = os.getcwd()
    load()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # as in conftest.py
    try:
        serve(socket.socket(fileno=int(sys.argv[1])))
    finally:
        os.killpg(0, signal.SIGKILL)  # the programs that still run
