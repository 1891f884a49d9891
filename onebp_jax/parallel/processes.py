"""Several processes, one run: how they find each other, what they must agree on, and what one of them does for all.

Every process runs the same program on its own devices. The first one, the lead, decides for all and writes what is not in parts;
checkpoints are written and read by each, in a folder that all see. With one process everything here is the identity.
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
from typing import NoReturn

import jax
import numpy as np
from absl import logging
from jax.experimental import multihost_utils

from onebp_jax.errors import UserError

# The processes wait so long for each other at the start.
WAIT_SECONDS = 300
# A process that died is noticed after so long, and the others are stopped.
HEARTBEAT_SECONDS = 20
# A process that fails waits so long for the others to fail with it.
_FAREWELL_SECONDS = 10


def join(coordinator: str, num_processes: int, process_id: int) -> None:
    """Connects this process with the others; before the first computation.

    Args:
      coordinator: `HOST:PORT` of the lead (process 0), or "auto" where a cluster scheduler (Slurm, a TPU pod, Open MPI) says all.
      num_processes, process_id: how many, and which of them this is, from 0.

    Raises:
      UserError: numbers that do not fit, an address that cannot be used, others that did not come.
    """
    if coordinator == "auto":
        given = {}
    else:
        host, _, port = coordinator.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise UserError(f"--coordinator={coordinator}: expected HOST:PORT, or auto")
        if num_processes < 1 or not 0 <= process_id < num_processes:
            raise UserError(
                f"--num_processes={num_processes} --process_id={process_id}: expected ids from 0 to the number less one"
            )
        given = {"coordinator_address": coordinator, "num_processes": num_processes, "process_id": process_id}
        logging.info("process %d waits for all %d at %s", process_id, num_processes, coordinator)
        try:
            # Of these JAX would end without a word.
            socket.getaddrinfo(host, int(port))
            if process_id:
                _wait_for_lead(host, int(port))
            else:
                socket.create_server(("", int(port))).close()
        except OSError as error:
            hint = " by another process 0, or another program" if error.errno == errno.EADDRINUSE else ""
            raise UserError(f"--coordinator={coordinator}: {error.strerror or error}{hint}") from error
    times = {"initialization_timeout": WAIT_SECONDS, "heartbeat_timeout_seconds": HEARTBEAT_SECONDS}
    try:
        with plain_interrupt():
            jax.distributed.initialize(**given, **times)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"--coordinator={coordinator}: {str(error)[:300]}") from error


@contextlib.contextmanager
def plain_interrupt() -> Iterator[None]:
    """Ctrl-C ends the process at once, inside a library as well that keeps Python waiting."""
    inside = contextlib.ExitStack()
    # Outside the main thread signals belong to somebody else.
    with contextlib.suppress(ValueError):
        inside.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.SIG_DFL))
    with inside:
        yield


def _wait_for_lead(host: str, port: int) -> None:
    """Returns once somebody listens there; raises OSError after `WAIT_SECONDS`."""
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
    """Ends a process of several that failed, with this status; where they fail together, when each of them has said why.

    In order, it would wait for the others, which may wait for this one; and without the lead the others are taken down at once.
    """
    from orbax.checkpoint import multihost

    sys.stdout.flush()
    if together:
        try:
            multihost.get_barrier_sync_fn()(key="onebp_leave", timeout_ms=1000 * _FAREWELL_SECONDS)
            if is_lead():
                time.sleep(1)  # it goes last
        except jax.errors.JaxRuntimeError:
            pass  # it failed alone
    os._exit(status)


def loss_of_another(error: Exception) -> str | None:
    """What to say of an error by which JAX tells, in several ways, that another process is gone; None for any other error."""
    if not jax.distributed.is_initialized() or not any(
        word in str(error) for word in ("Gloo", "barrier", "coordination")
    ):
        return None
    return (
        "a process of this run was lost (its own last line says why, if it had one): start all of them again, "
        f"the run goes on from its last checkpoint ({str(error)[:200]})"
    )


def is_lead() -> bool:
    """Whether this process writes for all."""
    return jax.process_index() == 0


def largest(number: int) -> int:
    """The largest of the processes' numbers; all of them must ask."""
    if jax.process_count() == 1:
        return number
    return int(multihost_utils.process_allgather(np.array(number, np.int32)).max())


def any_of(flag: bool) -> bool:
    """Whether the flag is true in some process; all of them must ask."""
    return bool(largest(flag))


def each_does(function: Callable):
    """`function()` of every process; where it raises `UserError` in some, all of them raise one."""
    value, error = None, None
    try:
        value = function()
    except UserError as found:
        error = found
    if any_of(error is not None):
        raise error or UserError("another process of this run cannot go on; its own line says why")
    return value


def plain_from_lead(value):
    """A JSON-able value of the lead, in every process."""
    if jax.process_count() == 1:
        return value
    text = np.frombuffer(json.dumps(value).encode(), np.uint8) if is_lead() else np.zeros(0, np.uint8)
    length = int(multihost_utils.broadcast_one_to_all(np.int64(len(text))))
    padded = np.zeros(length, np.uint8)
    padded[: len(text)] = text
    return json.loads(bytes(np.asarray(multihost_utils.broadcast_one_to_all(padded))))


def lead_does(function: Callable):
    """The JSON-able value that `function()` gives the lead, in every process; so is the `UserError` that it raises there."""
    told = [None, None]
    if is_lead():
        try:
            told[0] = function()
        except UserError as error:
            told[1] = str(error)
    value, error = plain_from_lead(told)
    if error is not None:
        raise UserError(error)
    return value


def check_same(what: dict) -> None:
    """Raises `UserError`, in all processes, unless each of them was given the same JSON-able values."""
    if jax.process_count() == 1:
        return
    mine = np.array([zlib.crc32(json.dumps(what[name], sort_keys=True).encode()) for name in what], np.uint32)
    everyone = multihost_utils.process_allgather(mine)
    differ = [name for name, column in zip(what, everyone.T, strict=True) if len(set(column.tolist())) > 1]
    if differ:
        raise UserError(f"the processes of this run differ in {', '.join(differ)}: give all of them the same command")
