"""Starts and stops the service: one process, an event loop, a thread for the log and one for lists."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn
from absl import logging
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from onebp_jax.errors import UserError
from onebp_jax.service.app import make_app
from onebp_jax.service.guards import Limits
from onebp_jax.service.log import EventLog, LogUnavailable
from onebp_jax.service.model import Model
from onebp_jax.service.ranker import Ranker
from onebp_jax.service.replica import Replica

# Seconds within which the head of a request must be here, and its bytes; seconds within which requests may end at a stop.
_HEAD, _MOST_HEAD, _GRACE = 10, 2**16, 10
# Connections that may wait to be taken.
_WAITING = 2048
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


class _Protocol(HttpToolsProtocol):
    """Connections that send nothing, or a head that is slow or large, are closed."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._heads, self._head = 0, 0  # how many have begun; bytes of the present one, -1 when it is complete
        self.loop.call_later(_HEAD, self._close_if_in_head, 0)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head >= 0:
            self._head += len(data)
            if self._head > _MOST_HEAD:
                self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._heads, self._head = self._heads + 1, 0
        self.loop.call_later(_HEAD, self._close_if_in_head, self._heads)

    def on_headers_complete(self) -> None:
        self._head = -1
        super().on_headers_complete()

    def _close_if_in_head(self, number: int) -> None:
        if self._heads == number and self._head >= 0 and not self.transport.is_closing():
            self.transport.close()


class _Server(uvicorn.Server):
    """The first signal asks for a graceful stop, the second ends requests that wait."""

    def __init__(self, config: uvicorn.Config):
        super().__init__(config)
        self.signal: int | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        yield

    def _stop(self, number: int) -> None:
        self.force_exit, self.should_exit, self.signal = self.should_exit, True, number


def check_address(host: str, token: str | None) -> None:
    """Raises `UserError` for an address that others can reach, unless a token is needed."""
    if not token and not is_loopback(host):
        raise UserError(f"host={host}: others can reach this address: give a token, or host=127.0.0.1")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(
    load: Callable[[], Model],
    events: str,
    host: str,
    port: int,
    limits: Limits,
    snapshot: Path | None,
    log_requests: bool,
) -> int | None:
    """Serves until a signal comes, and returns its number.

    Args:
      load: reads the run. events: the URL of the log. snapshot: see `onebp_jax.service.snapshots`.

    Raises:
      UserError: the run, the log or the address cannot be used.
    """
    check_address(host, limits.token)
    listening = _listen(host, port)
    model = load()
    log = EventLog(events)
    try:
        replica = Replica(log, model, snapshot)
    except LogUnavailable as error:
        raise UserError(f"events: the log cannot be read: {error}") from error
    if is_loopback(host):
        limits = limits._replace(hosts=_LOOPBACK | {host})
    ranker = Ranker()
    app = make_app(replica, ranker, load, limits, log_requests)
    server = _Server(configured(app))
    gc.collect()
    gc.freeze()  # what is there now stays: a pass over it would make requests wait
    replica.start()
    listening.listen(_WAITING)
    logging.info("%s: %d users, %d items, record %d of the log", model.run.result["method"], len(model.user_ids),
                 len(model.item_ids), model.seq)  # fmt: skip
    logging.info("http://%s:%d", host, listening.getsockname()[1])
    asyncio.run(_run(server, app, listening))
    ranker.stop()
    replica.stop()
    logging.info("stopped at record %d; nothing is lost", replica.model.seq)
    return server.signal


def configured(app: FastAPI) -> uvicorn.Config:
    """How uvicorn serves the app."""
    return uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_GRACE,
        limit_concurrency=2000,
        backlog=_WAITING,
    )


async def _run(server: _Server, app, listening: socket.socket) -> None:
    if hasattr(signal, "SIGHUP"):
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, app)
    await server.serve(sockets=[listening])


_tasks: set[asyncio.Task] = set()


def _reload(app) -> None:
    async def reload() -> None:
        try:
            await app.state.reload()
        except Exception as error:  # whatever a damaged run folder raises: the present run stays
            logging.error("no reload: %s", getattr(error, "detail", error))

    task = asyncio.get_running_loop().create_task(reload())
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


def _listen(host: str, port: int) -> socket.socket:
    """Takes the address before anything else is done."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # Only sockets that say TCP send small answers without a delay.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        raise UserError(f"host={host}, port={port}: cannot be used: {error.strerror or error}") from error
    listening.set_inheritable(False)
    return listening
