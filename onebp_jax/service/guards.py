"""What a request must pass before it reaches the app: who asks, how much, how fast, what kind. Everything else is refused early.

A page of another site cannot use the service of a visitor's machine: the name of the host must be ours, bodies must be JSON,
which browsers send to other sites only where these allow it, and no site is allowed.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections import OrderedDict
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onebp_jax.service.telemetry import Telemetry

# Everybody may see these: they tell nothing of a user.
_OPEN = ("/health/", "/static/", "/docs", "/openapi.json")
_CSP = (
    "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
# Clients whose rate is remembered.
_CLIENTS = 10_000


class Limits(NamedTuple):
    """What the service asks of requests.

    Attributes:
      token: what a client must show; None for nothing.
      hosts: the names of the service, without port; empty for any.
      max_body: bytes. body_seconds: within which a body must be here.
      rate: requests a second of one client, with bursts of twice as many; 0: no limit.
    """

    token: str | None = None
    hosts: frozenset[str] = frozenset()
    max_body: int = 2**20
    body_seconds: float = 10.0
    rate: float = 0.0


class Guards:
    """ASGI middleware that refuses, measures, and adds security headers."""

    def __init__(self, app: ASGIApp, limits: Limits, telemetry: Telemetry):
        self._app, self._limits, self._telemetry = app, limits, telemetry
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close"})
                return
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is None and scope["method"] in ("POST", "PUT", "PATCH"):
                refusal, receive = await self._body(scope, receive)
            if refusal is not None:
                await _refuse(answer, *refusal)
                return
            await self._app(scope, receive, answer)
        except Exception as error:
            self._telemetry.line("error", route=_route(scope), error=repr(error)[:500])
            if status != 500:
                raise
            await _refuse(answer, 500, "an error in the service; its log says more")
        finally:
            self._telemetry.request(scope["method"], _route(scope), status, time.perf_counter() - began)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers, limits, path = Headers(scope=scope), self._limits, scope["path"]
        if limits.hosts and _name(headers.get("host", "")) not in limits.hosts:
            return 400, "Host: not a name of this service"
        if limits.hosts and "origin" in headers and _name(headers["origin"].partition("://")[2]) not in limits.hosts:
            return 400, "Origin: a page of another site"
        if not _is_utf8(scope.get("raw_path", b"")):
            return 400, "the path is not UTF-8"
        if limits.rate and not path.startswith("/health/") and not self._may(scope):
            return 429, f"more than {limits.rate:g} requests a second: wait and try again"
        if limits.token is None or path == "/" or path.startswith(_OPEN):
            return None
        kind, _, shown = headers.get("authorization", "").partition(" ")
        given = shown.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "")
        if hmac.compare_digest(given.encode("latin-1"), limits.token.encode()):
            return None
        return 401, "a token is needed: Authorization: Bearer TOKEN, or X-API-Key: TOKEN"

    def _may(self, scope: Scope) -> bool:
        """A bucket of tokens for each address."""
        address, now, rate = (scope.get("client") or ("",))[0], time.monotonic(), self._limits.rate
        left, at = self._buckets.pop(address, (2 * rate, now))
        left = min(2 * rate, left + (now - at) * rate)
        self._buckets[address] = (max(left - 1, 0.0) if left >= 1 else left, now)
        if len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)
        return left >= 1

    async def _body(self, scope: Scope, receive: Receive) -> tuple[tuple[int, str] | None, Receive]:
        """Reads the whole body, so that a slow or endless one goes no further."""
        headers, most = Headers(scope=scope), self._limits.max_body
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length[:20]) > most:
            return (413, f"the body is larger than {most} bytes"), receive
        body, more = bytearray(), True
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return (400, "the client has gone"), receive
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > most:
                        return (413, f"the body is larger than {most} bytes"), receive
        except TimeoutError:
            return (408, f"the body did not come within {self._limits.body_seconds:g} seconds"), receive
        if kind != "application/json" and body:
            return (415, "expected Content-Type: application/json"), receive
        whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def read() -> Message:
            return whole.pop() if whole else await receive()

        return None, read


def _name(host: str) -> str:
    """A host without its port."""
    return (host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host).lower()


def _is_utf8(path: bytes) -> bool:
    """Whether a path says one text; others would be taken for the same text with a replacement character."""
    try:
        return bool(unquote_to_bytes(path).decode()) or not path
    except UnicodeDecodeError:
        return False


def _route(scope: Scope) -> str:
    """The template of a path, such as /users/{user}."""
    return getattr(scope.get("route"), "path", None) or "none"


async def _refuse(send: Send, status: int, detail: str) -> None:
    body = json.dumps({"detail": detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status in (408, 413):
        headers.append((b"connection", b"close"))
    if status == 429:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
