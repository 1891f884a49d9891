"""A small run, and a service over it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
import uvicorn
from support import postgres

from onebp_jax import Recommender
from onebp_jax.service.app import make_app
from onebp_jax.service.guards import Limits
from onebp_jax.service.log import EventLog
from onebp_jax.service.model import Model
from onebp_jax.service.ranker import Ranker
from onebp_jax.service.replica import Replica
from onebp_jax.service.server import configured

USERS, ITEMS = 40, 30
NO_LIMITS = Limits()
# A title that would do harm if a page took it for HTML.
HOSTILE = "<img src=x onerror=alert(1)>"
GROUPS = ["Drama", "Comedy", "Science fiction"]


def history_of(user: int) -> list[str]:
    """Some items of a user, in order."""
    return [f"i{item}" for item in np.random.default_rng(user).permutation(ITEMS)[:10]]


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory) -> Path:
    """A run whose users weigh recent events more, with titles and groups. Its users are 100 .. 139."""
    rows = [(user, item, time) for user in range(100, 100 + USERS) for time, item in enumerate(history_of(user))]
    frame = pd.DataFrame(rows, columns=["user", "item", "time"])
    titles = [HOSTILE, *(f"Title {item}" for item in range(1, ITEMS))]
    items = pd.DataFrame({"item": [f"i{item}" for item in range(ITEMS)], "title": titles})
    items = items.assign(genres=[f"{GROUPS[item % 3]}|Other" for item in range(ITEMS)])
    options = {"spectral_dim": 5, "half_life": 2.0, "lasting": 0.1}
    model = Recommender("onebp_spectral", dim=6, epochs=2, batch_size=16, split="time", options=options)
    model.fit(frame, items=items)
    folder = tmp_path_factory.mktemp("run") / "run"
    model.save(folder)
    return folder


@dataclass
class Service:
    """A service that runs in this process."""

    url: str
    client: httpx.Client
    replica: Replica
    log: str

    def post(self, path: str, body: object) -> dict:
        """The answer to a request that is expected to go well."""
        answer = self.client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def get(self, path: str, **query: object) -> dict:
        """The answer to a request that is expected to go well."""
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextlib.contextmanager
def running(log: str, folder: Path, limits: Limits = NO_LIMITS, snapshot: Path | None = None) -> Iterator[Service]:
    """A service over a run folder; those with the same log share it."""
    replica, ranker = Replica(EventLog(log), Model(folder), snapshot, poll=0.02), Ranker()
    app = make_app(replica, ranker, lambda: Model(folder), limits)
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = uvicorn.Server(configured(app))
    replica.start()
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        with httpx.Client(base_url=url, timeout=30) as client:
            yield Service(url, client, replica, log)
    finally:
        server.should_exit = True
        thread.join()
        ranker.stop()
        replica.stop()


@pytest.fixture
def log(tmp_path) -> str:
    """The URL of a new log."""
    return f"sqlite:///{tmp_path}/events.db"


@pytest.fixture
def service(run_folder, log) -> Iterator[Service]:
    """A service without token."""
    with running(log, run_folder) as service:
        yield service


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a database of a real server."""
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def any_log(request, tmp_path) -> str:
    """The URL of a new log of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/events.db"
    url = request.getfixturevalue("postgresql")
    postgres.empty(url)
    return url
