"""Several processes, one run: how they find each other, what they must agree on, and what one process does for all.

Every process runs the same program on its own devices. Process 0, the lead, decides for all and writes the files. Only
checkpoints are written and read by each process, in a folder that all see. With one process everything here is the identity.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

import jax
import numpy as np
from absl import logging
from jax.experimental import multihost_utils

from onebp_jax.errors import UserError

Value = TypeVar("Value")

# How long the processes wait for each other at the start.
WAIT_SECONDS = 300
# How long it takes to notice that a process died; then the others are stopped.
HEARTBEAT_SECONDS = 20
# How long a process that fails waits for the others to fail with it.
_FAREWELL_SECONDS = 10


def join(coordinator: str, num_processes: int, process_id: int) -> None:
    """Connects this process with the others. Call it before the first computation.

    Args:
      coordinator: `HOST:PORT` of process 0, or "auto" if a cluster scheduler (Slurm, a TPU pod, Open MPI) provides everything.
      num_processes, process_id: the number of processes, and the number of this one, from 0.

    Raises:
      UserError: numbers that do not fit, an address that cannot be used, or other processes that did not come.
    """
    if coordinator == "auto":
        given: dict[str, Any] = {}
    else:
        host, _, port = coordinator.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise UserError(f"coordinator={coordinator}: expected HOST:PORT, or auto")
        if num_processes < 1 or not 0 <= process_id < num_processes:
            raise UserError(
                f"process_id={process_id}: expected 0 to {num_processes - 1}, with num_processes={num_processes}"
            )
        given = {"coordinator_address": coordinator, "num_processes": num_processes, "process_id": process_id}
        logging.info("process %d waits for all %d at %s", process_id, num_processes, coordinator)
        try:
            # JAX would end without a word in these cases.
            socket.getaddrinfo(host, int(port))
            if process_id:
                _wait_for_lead(host, int(port))
            else:
                socket.create_server(("", int(port))).close()
        except OSError as error:
            hint = " by another process 0, or another program" if error.errno == errno.EADDRINUSE else ""
            raise UserError(f"coordinator={coordinator}: {error.strerror or error}{hint}") from error
    try:
        with plain_interrupt():
            jax.distributed.initialize(
                **given, initialization_timeout=WAIT_SECONDS, heartbeat_timeout_seconds=HEARTBEAT_SECONDS
            )
    except (RuntimeError, ValueError) as error:
        raise UserError(f"coordinator={coordinator}: {str(error)[:300]}") from error


@contextlib.contextmanager
def plain_interrupt() -> Iterator[None]:
    """Ctrl-C ends the process at once, even inside a library that keeps Python waiting."""
    inside = contextlib.ExitStack()
    # Signals can be set in the main thread only.
    with contextlib.suppress(ValueError):
        inside.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.SIG_DFL))
    with inside:
        yield


def _wait_for_lead(host: str, port: int) -> None:
    """Returns once a process listens there; raises OSError after `WAIT_SECONDS`."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return socket.create_connection((host, port), timeout=5).close()
        except OSError as error:
            if time.monotonic() > end:
                raise OSError(
                    f"process 0 did not come in {WAIT_SECONDS} seconds ({error.strerror or error})"
                ) from error
            time.sleep(0.2)


def leave(status: int, together: bool = True) -> NoReturn:
    """Ends this process of several with a status. If they fail `together`, each process first prints why.

    The usual exit would wait for the other processes, which may wait for this one. The lead ends last, because JAX ends the
    others in the middle of a sentence when the lead is gone.
    """
    from orbax.checkpoint import multihost

    sys.stdout.flush()
    if together:
        try:
            multihost.get_barrier_sync_fn()(key="onebp_leave", timeout_ms=1000 * _FAREWELL_SECONDS)
            if is_lead():
                time.sleep(1)  # the lead ends last
        except jax.errors.JaxRuntimeError:
            pass  # this process failed alone
    os._exit(status)


def loss_of_another(error: Exception) -> str | None:
    """The message for an error by which JAX reports that another process is gone; None for any other error."""
    if not jax.distributed.is_initialized() or not any(
        word in str(error) for word in ("Gloo", "barrier", "coordination")
    ):
        return None
    return (
        "a process of this run was lost (its own last line says why, if it had one): start all of them again, "
        f"the run goes on from its last checkpoint ({str(error)[:200]})"
    )


def is_lead() -> bool:
    """Whether this is process 0, which writes for all."""
    return jax.process_index() == 0


def largest(number: int) -> int:
    """The largest number of all processes. All of them must call this."""
    if jax.process_count() == 1:
        return number
    return int(multihost_utils.process_allgather(np.array(number, np.int32)).max())


def any_of(flag: bool) -> bool:
    """Whether the flag is true in some process. All of them must call this."""
    return bool(largest(flag))


def each_does(function: Callable[[], Value]) -> Value:
    """`function()` of this process. If it raises `UserError` in some process, all processes raise one."""
    values, error = [], None
    try:
        values.append(function())
    except UserError as found:
        error = found
    if any_of(error is not None):
        raise error or UserError("another process of this run cannot go on; its own line says why")
    return values[0]


def plain_from_lead(value):
    """A JSON-able value, sent from the lead to every process."""
    if jax.process_count() == 1:
        return value
    text = np.frombuffer(json.dumps(value).encode(), np.uint8) if is_lead() else np.zeros(0, np.uint8)
    length = int(multihost_utils.broadcast_one_to_all(np.int64(len(text))))
    padded = np.zeros(length, np.uint8)
    padded[: len(text)] = text
    return json.loads(bytes(np.asarray(multihost_utils.broadcast_one_to_all(padded))))


def lead_does(function: Callable):
    """Calls `function()` in the lead alone; every process gets its JSON-able value, or its `UserError`."""
    value, refusal = None, None
    if is_lead():
        try:
            value = function()
        except UserError as error:
            refusal = str(error)
    value, refusal = plain_from_lead([value, refusal])
    if refusal is not None:
        raise UserError(refusal)
    return value


def check_same(what: dict) -> None:
    """Raises `UserError` in all processes unless each of them was given the same JSON-able values."""
    if jax.process_count() == 1:
        return
    mine = np.array([zlib.crc32(json.dumps(what[name], sort_keys=True).encode()) for name in what], np.uint32)
    everyone = multihost_utils.process_allgather(mine)
    differ = [name for name, column in zip(what, everyone.T, strict=True) if len(set(column.tolist())) > 1]
    if differ:
        raise UserError(f"the processes of this run differ in {', '.join(differ)}: give all of them the same command")
