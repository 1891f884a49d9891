"""The load generator of `onebp benchmark serving`: clients that ask, wait for the answer, and ask again."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

Request = tuple[str, str, object | None]


@dataclass
class Load:
    """What clients saw: milliseconds of each answer, and seconds in all."""

    milliseconds: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    failed: int = 0
    seconds: float = 0.0

    def row(self, events: int = 1) -> dict[str, float]:
        """Percentiles, and requests, or events, a second."""
        p50, p95, p99 = np.quantile(self.milliseconds, [0.5, 0.95, 0.99]).tolist()
        rate = events * len(self.milliseconds) / self.seconds
        return {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "per_second": rate, "failed": self.failed}


class _Client:
    """A connection that is kept, and as little else as possible: the load shares the machine with the service."""

    def __init__(self, port: int):
        self._port = port

    async def __aenter__(self) -> _Client:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def ask(self, method: str, path: str, body: object | None) -> tuple[int, bytes]:
        """Status and body."""
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        self._writer.write(head.encode() + f"content-length: {len(content)}\r\n\r\n".encode() + content)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        lines = answer.lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        return int(answer[9:12]), await self._reader.readexactly(length)


async def load(port: int, clients: int, seconds: float, requests: Callable[[int], Iterator[Request]]) -> Load:
    """So many clients at once for some seconds.

    Args:
      requests: of a client's number, what it asks for, without end.
    """
    made = Load()
    began = time.perf_counter()

    async def use(number: int) -> None:
        async with _Client(port) as client:
            for request in requests(number):
                asked = time.perf_counter()
                if asked - began > seconds:
                    return
                status, _ = await client.ask(*request)
                now = time.perf_counter()
                made.milliseconds.append(1000 * (now - asked))
                made.ended.append(now - began)
                made.failed += status != 200

    await asyncio.gather(*[use(number) for number in range(clients)])
    made.seconds = time.perf_counter() - began
    return made


def lists(user_ids: list, seed: int, n: int = 10) -> Callable[[int], Iterator[Request]]:
    """Lists of random users."""

    def of_client(number: int) -> Iterator[Request]:
        random = np.random.default_rng([seed, number])
        while True:
            yield "GET", f"/recommend/{user_ids[random.integers(len(user_ids))]}?n={n}", None

    return of_client


def events(user_ids: list, item_ids: list, seed: int, batch: int) -> Callable[[int], Iterator[Request]]:
    """Events of random users with random items, each with an id, some at a time."""

    def of_client(number: int) -> Iterator[Request]:
        random, count = np.random.default_rng([seed, number]), 0
        while True:
            users, items = random.integers(len(user_ids), size=batch), random.integers(len(item_ids), size=batch)
            pairs = enumerate(zip(users.tolist(), items.tolist(), strict=True), count)
            made = [{"user": user_ids[u], "item": item_ids[i], "id": f"{seed}-{number}-{k}"} for k, (u, i) in pairs]
            count += batch
            yield "POST", "/events", made

    return of_client


def mixed(first: Callable, second: Callable, every: int) -> Callable[[int], Iterator[Request]]:
    """Requests of the first kind, and one of the second after so many."""

    def of_client(number: int) -> Iterator[Request]:
        ones, others = first(number), second(number)
        while True:
            for _ in range(every):
                yield next(ones)
            yield next(others)

    return of_client


def resident_mb(process: int) -> float:
    """Megabytes of memory that a process holds (Linux); 0 where that cannot be read."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)
