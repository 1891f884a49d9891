"""Replay equals state: whatever the order of requests, processes, stops and snapshots, users are a function of run and log."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import threading
import time

import numpy as np
import pytest
from service.conftest import ITEMS, running

from onebp_jax import Recommender
from onebp_jax.service.log import EventLog
from onebp_jax.service.model import Model
from onebp_jax.service.replica import Replica


def state(model: Model) -> dict[str, tuple]:
    """All that a model knows of users with events."""
    new_ids, histories = model.live.events_since()
    names = [*model.user_ids, *new_ids]
    return {
        str(names[row]): (one.items, one.weights, one.times, sorted(one.others), one.sums.tobytes())
        for row, one in histories.items()
    }


def undisturbed(log: str, folder, snapshot=None) -> dict[str, tuple]:
    """The state of a model that reads a log from the start, or from a snapshot."""
    opened = EventLog(log)
    replica = Replica(opened, Model(folder), snapshot)
    opened.close()
    return state(replica.model)


def some_events(seed: int, count: int = 60) -> list[dict]:
    random = np.random.default_rng(seed)
    made = []
    for place in range(count):
        user, item = int(random.integers(95, 125)), f"i{random.integers(ITEMS)}"
        event = {"user": user, "item": item, "id": f"{seed}-{place}", "weight": float(random.choice([1, 1, 2.5, -1]))}
        made.append(event | ({"time": float(random.integers(20))} if place % 3 else {}))
    return made


def changes(service, seed: int) -> None:
    """A mixture of requests."""
    events = some_events(seed)
    for at in range(0, len(events), 7):
        service.post("/events", events[at : at + 7])
        if at % 21 == 0:
            service.post("/users/merge", {"from": events[at]["user"], "into": 7})
        if at % 28 == 0:
            assert service.client.delete(f"/users/{events[at + 1]['user']}").status_code == 200


def test_replay_gives_the_same_bits(run_folder, any_log):
    with running(any_log, run_folder) as service:
        changes(service, 1)
        live = state(service.replica.model)
    assert len(live) > 10 and undisturbed(any_log, run_folder) == live


def test_a_snapshot_saves_the_replay_and_changes_nothing(run_folder, log, tmp_path):
    path = tmp_path / "snapshot.npz"
    with running(log, run_folder, snapshot=path) as service:
        service.post("/events", some_events(1))
        first = service.replica.model.seq
    assert path.exists()
    with running(log, run_folder, snapshot=path) as service:
        service.post("/events", some_events(2))
        live = state(service.replica.model)
    expected = undisturbed(log, run_folder)
    assert live == expected and first < service.replica.model.seq
    assert undisturbed(log, run_folder, path) == expected
    opened = EventLog(log)
    kept = path.read_bytes()
    model = Replica(opened, Model(run_folder), path).model
    assert state(model) == expected
    # Damage, another log and another run: the log alone is enough.
    path.write_bytes(kept[: len(kept) // 2] + b"\0" * 100 + kept[len(kept) // 2 + 100 :])
    assert undisturbed(log, run_folder, path) == expected
    path.write_bytes(kept)
    other = f"sqlite:///{tmp_path}/other.db"
    assert undisturbed(other, run_folder, path) == {}
    opened.close()


def test_a_snapshot_of_a_log_that_went_on_in_another_way_is_not_used(run_folder, log, tmp_path):
    """Somebody put an old copy of the log in place, which has grown since: numbers of the snapshot mean other events there."""
    path = tmp_path / "snapshot.npz"
    with running(log, run_folder) as service:
        service.post("/events", some_events(1)[:5])
    shutil.copy(tmp_path / "events.db", tmp_path / "copy.db")
    with running(log, run_folder, snapshot=path) as service:
        service.post("/events", some_events(2))
    (tmp_path / "copy.db").replace(tmp_path / "events.db")
    with running(log, run_folder) as service:
        service.post("/events", some_events(3) + some_events(4))
    assert undisturbed(log, run_folder, path) == undisturbed(log, run_folder)


def test_a_snapshot_does_not_keep_who_is_forgotten(run_folder, log, tmp_path):
    path = tmp_path / "snapshot.npz"
    with running(log, run_folder, snapshot=path) as service:
        service.post("/events", [{"user": 7, "item": "i3"}])
    assert path.exists()
    with running(log, run_folder, snapshot=path) as service:
        assert service.client.delete("/users/7").json()["forgotten"]
        assert not path.exists()
    assert "7" not in undisturbed(log, run_folder, path)


def test_processes_share_a_log_and_see_each_other(run_folder, any_log):
    with running(any_log, run_folder) as first, running(any_log, run_folder) as second:
        first.post("/events", [{"user": 7, "item": "i3", "id": "a"}])
        wait(lambda: second.get("/users/7")["known"])
        assert second.get("/recommend/7")["items"] == first.get("/recommend/7")["items"]
        assert second.post("/events", [{"user": 7, "item": "i3", "id": "a"}])["duplicates"] == 1
        threads = [
            threading.Thread(target=changes, args=(service, seed))
            for seed, service in ((11, first), (12, second), (13, first))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seq = max(service.replica.model.seq for service in (first, second))
        wait(lambda: {service.replica.model.seq for service in (first, second)} == {seq})
        assert state(first.replica.model) == state(second.replica.model)
    assert state(first.replica.model) == undisturbed(any_log, run_folder)


def wait(true) -> None:
    """Waits until something is true, at most some seconds."""
    for _ in range(300):
        if true():
            return
        time.sleep(0.02)
    raise TimeoutError


def test_a_run_is_swapped_in_under_the_users_and_no_request_is_dropped(run_folder, log, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    other = Recommender.load(run_folder).partial_fit(epochs=1, workdir=tmp_path / "other")
    answers, stop = [], threading.Event()
    with running(log, folder) as service:
        service.post("/events", some_events(1))

        def ask() -> None:
            while not stop.is_set():
                answers.append(service.client.get("/recommend/100").status_code)

        thread = threading.Thread(target=ask)
        thread.start()
        before = service.get("/recommend/100")
        shutil.rmtree(folder)
        shutil.copytree(other.workdir, folder)
        # A method whose users are no sums is refused, and the old run stays.
        (folder / "fold.npz").rename(folder / "away")
        refused = service.client.post("/reload")
        assert refused.status_code == 409 and "the present run stays: " in refused.json()["detail"]
        assert service.get("/recommend/100")["items"] == before["items"]
        (folder / "away").rename(folder / "fold.npz")
        service.post("/reload", None)
        after = service.get("/recommend/100")
        stop.set()
        thread.join()
        service.post("/events", some_events(2))
        live = state(service.replica.model)
    assert after["items"] != before["items"] and after["seq"] == before["seq"]
    assert set(answers) == {200}
    assert undisturbed(log, folder) == live


def test_a_log_that_cannot_be_written_is_said_and_lists_go_on(run_folder, log, tmp_path):
    with running(log, run_folder) as service:
        service.post("/events", [{"user": 7, "item": "i3"}])
        blocked = sqlite3.connect(tmp_path / "events.db", isolation_level=None)
        blocked.execute("ALTER TABLE onebp_head RENAME TO away")
        answer = service.client.post("/events", json=[{"user": 7, "item": "i4", "id": "x"}])
        assert answer.status_code == 503 and "no such table: onebp_head" in answer.json()["detail"]
        assert "SELECT" not in answer.text
        assert service.client.get("/health/ready").status_code == 503
        assert service.client.get("/health/live").status_code == 200
        assert service.get("/recommend/7")["source"] == "user"
        blocked.execute("ALTER TABLE away RENAME TO onebp_head")
        blocked.close()
        assert service.post("/events", [{"user": 7, "item": "i4", "id": "x"}])["accepted"] == 1
        assert service.get("/health/ready") == {"status": "ok"}


def test_a_log_that_went_back_is_noticed(run_folder, log, tmp_path):
    """Somebody put an old copy in its place: its numbers would be given twice."""
    with running(log, run_folder) as service:
        service.post("/events", some_events(1))
        with contextlib.closing(sqlite3.connect(tmp_path / "events.db")) as connection, connection:
            connection.execute("DELETE FROM onebp_records WHERE seq > 5")
            connection.execute("UPDATE onebp_head SET seq = 5")
        answer = service.client.post("/events", json=[{"user": 7, "item": "i4"}])
        assert answer.status_code == 503 and "an older copy took its place" in answer.json()["detail"]


def test_a_clock_that_goes_back_changes_no_order(run_folder, log, monkeypatch):
    """Numbers order events, not the clock."""
    clock = iter(range(1000, 0, -1))
    monkeypatch.setattr("onebp_jax.service.log.time.time", lambda: float(next(clock)))
    with running(log, run_folder) as service:
        for item in ("i3", "i1", "i2"):
            service.post("/events", [{"user": 7, "item": item}])
        assert [one["item"] for one in service.get("/users/7")["history"]] == ["i3", "i1", "i2"]
        live = state(service.replica.model)
    assert undisturbed(log, run_folder) == live


@pytest.mark.parametrize("clients", [8])
def test_many_clients_read_their_own_writes(service, clients):
    failures = []

    def use(client: int) -> None:
        user, seen = 1000 + client, []
        for item in np.random.default_rng(client).permutation(ITEMS)[:12].tolist():
            service.post("/events", [{"user": user, "item": f"i{item}"}])
            seen.append(f"i{item}")
            made = service.get(f"/recommend/{user}", n=ITEMS)
            if {one["item"] for one in made["items"]} != {f"i{n}" for n in range(ITEMS)} - set(seen):
                failures.append((user, seen))

    threads = [threading.Thread(target=use, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
