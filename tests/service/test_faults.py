"""What goes wrong beside a request: races of threads, clients that leave, files that are taken away, errors of the service."""

from __future__ import annotations

import queue
import shutil
import threading

import numpy as np
import pandas as pd
import pytest
from service.conftest import ITEMS, running
from service.test_replica import state, undisturbed, wait

from onebp_jax import Recommender
from onebp_jax.service import snapshots
from onebp_jax.service.jobs import Job, Jobs, Swap
from onebp_jax.service.log import EVENT, EventLog, Record
from onebp_jax.service.model import Model
from onebp_jax.training.files import read_npz, write_npz


def small_run(frame: pd.DataFrame, folder) -> None:
    """A run on these users and items."""
    options = {"spectral_dim": 2}
    model = Recommender(
        "onebp_spectral", dim=2, epochs=1, batch_size=4, split="none", validation_fraction=0.3, options=options
    )
    model.fit(frame).save(folder)


def test_a_job_that_looks_at_the_model_comes_first_in_its_transaction_whenever_it_arrives(monkeypatch):
    """A merge that came right behind an event read the model without the event, and the event was lost."""
    jobs, first, merge = Jobs(), Job(lambda *_: []), Job(lambda *_: [], alone=True)

    def late(waiting):
        if not merge.answer.running() and jobs._held is None:
            jobs.add(merge)
        return queue.Queue.get(waiting, block=False)

    jobs.add(first)
    monkeypatch.setattr(queue.Queue, "get_nowait", late)
    assert jobs.take(0.1) == ([first], None) and len(jobs) == 1
    assert jobs.take(0.1) == ([merge], None) and len(jobs) == 0


def test_what_nobody_waits_for_is_left_out_and_what_has_begun_goes_on(service):
    jobs, gone, other, swap = Jobs(), Job(lambda *_: []), Job(lambda *_: []), Swap(service.replica.model, 0)
    for job in (gone, other):
        jobs.add(job)
    jobs.add_last(swap)
    assert gone.answer.cancel() and swap.answer.cancel()
    assert jobs.take(0.1) == ([other], None) and not other.answer.cancel()
    assert jobs.take(0.01) == ([], None)
    began, go_on = threading.Event(), threading.Event()

    def make(*_):
        began.set()
        go_on.wait(10)
        return [Record(EVENT, "7", "i3")]

    answer = service.replica.submit(Job(make))
    began.wait(10)
    answer.cancel()
    go_on.set()
    assert answer.result(10).seq == 1 and service.post("/events", [{"user": 7, "item": "i4"}])["seq"] == 2


def test_a_log_that_does_not_answer_is_said(service, monkeypatch):
    """A server that stands still: requests do not pile up behind it, and all is well when it goes on."""
    monkeypatch.setattr("onebp_jax.service.replica.STUCK", 0.2)
    go_on = threading.Event()
    answer = service.replica.submit(Job(lambda *_: [Record(EVENT, "7", "i3")] if go_on.wait(20) else []))
    wait(lambda: service.client.get("/health/ready").status_code == 503)
    refused = service.client.post("/events", json=[{"user": 7, "item": "i4"}])
    assert refused.status_code == 503 and "it has not answered for" in refused.json()["detail"]
    assert service.get("/recommend/100")["items"]
    go_on.set()
    assert answer.result(10).seq == 1
    wait(lambda: service.client.get("/health/ready").status_code == 200)


def test_an_error_of_the_service_leaves_nobody_waiting(service, monkeypatch):
    """Jobs, those that wait, a reload, and all that come later are answered."""

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("onebp_jax.service.model.Model.apply", broken)
    answers = [service.client.post("/events", json=[{"user": 7, "item": "i3"}]) for _ in range(3)]
    answers.append(service.client.get("/health/ready"))
    assert {answer.status_code for answer in answers} == {503}
    assert all("an error in the service" in answer.json()["detail"] for answer in answers)
    monkeypatch.undo()
    assert service.client.post("/reload").status_code == 503
    assert service.get("/recommend/100")["items"]


def test_a_merge_keeps_the_events_of_items_that_come_later(run_folder, log, tmp_path):
    """An item that is not in the run, then a run that has it."""
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    with running(log, folder) as service:
        service.post(
            "/events", [{"user": 7, "item": "i3", "type": "view"}, {"user": 7, "item": "later", "type": "buy"}]
        )
        assert service.post("/users/merge", {"from": 7, "into": 8})["moved"] == 1
        service.post("/events", [{"user": 9, "item": "later"}])
        assert service.post("/users/merge", {"from": 9, "into": 8})["moved"] == 0
        assert not service.get("/users/9")["known"]
        rows = [("i3", user) for user in range(100, 110)] + [("later", user) for user in range(105, 115)]
        frame = pd.DataFrame(rows, columns=["item", "user"])
        shutil.rmtree(folder)
        small_run(frame, folder)
        service.post("/reload", None)
        assert [one["item"] for one in service.get("/users/8")["history"]] == ["i3", "later"]
        records = [record for part in service.replica.log.after(0) for record in part if record.user == "8"]
        assert [record.type for record in records] == ["view", "buy", None]
        shutil.rmtree(folder)
        shutil.copytree(run_folder, folder)
        service.post("/reload", None)  # and back
        assert [one["item"] for one in service.get("/users/8")["history"]] == ["i3"]


def test_records_count_once_whatever_is_reloaded(service):
    service.post("/events", [{"user": 7, "item": "i3"}, {"user": 7, "item": "i3"}])
    assert service.client.delete("/users/9").status_code == 200
    before = service.get("/status")["events"]
    service.post("/reload", None)
    assert service.get("/status")["events"] == before == 2


@pytest.mark.parametrize("ending", ["", "-wal"])
def test_a_file_that_is_taken_away_is_noticed(service, ending, tmp_path):
    """SQLite goes on writing to a file that has no name any more: what was answered would be gone after a stop."""
    service.post("/events", [{"user": 7, "item": "i3"}])
    path = tmp_path / f"events.db{ending}"
    path.rename(tmp_path / "away")
    for put in (None, b"another file"):
        if put:
            path.write_bytes(put)
        answer = service.client.post("/events", json=[{"user": 7, "item": "i4"}])
        assert answer.status_code == 503 and "its file was removed or replaced" in answer.json()["detail"]
        assert service.client.get("/health/ready").status_code == 503
    (tmp_path / "away").rename(path)
    assert service.post("/events", [{"user": 7, "item": "i4"}])["seq"] == 2
    assert service.get("/health/ready") == {"status": "ok"}


def test_another_log_in_the_same_database_is_noticed(run_folder, any_log):
    import sqlalchemy as sa

    with running(any_log, run_folder) as service:
        service.post("/events", [{"user": 7, "item": "i3"}])
        with service.replica.log._engine.begin() as connection:
            connection.execute(sa.text("UPDATE onebp_head SET log = 'other'"))
        answer = service.client.post("/events", json=[{"user": 7, "item": "i4"}])
        assert answer.status_code == 503 and "another log took its place" in answer.json()["detail"]


def test_a_user_who_is_forgotten_while_a_snapshot_waits_is_in_none(run_folder, log, tmp_path, monkeypatch):
    """A snapshot is taken, the user is forgotten, and only then it is written."""
    path, threads = tmp_path / "snapshot.npz", []
    monkeypatch.setattr("onebp_jax.service.replica.SNAPSHOT_EVERY", 1)
    start = threading.Thread.start
    monkeypatch.setattr(
        threading.Thread, "start", lambda it: threads.append(it) if it.name == "snapshot" else start(it)
    )
    with running(log, run_folder, snapshot=path) as service:
        service.post("/events", [{"user": 7, "item": "i3"}])
        wait(lambda: threads)
        assert service.client.delete("/users/7").status_code == 200
        start(threads[0])
        threads[0].join()
        assert not path.exists()


def _change(name: str, value: object):
    def change(arrays: dict) -> None:
        arrays[name] = arrays[name].copy()
        arrays[name][(0,) * arrays[name].ndim] = value

    return change


def _shape(arrays: dict) -> None:
    arrays["sums"] = arrays["sums"][:, :, 1:]


def _negative(arrays: dict) -> None:
    arrays["lengths"] = -arrays["lengths"]


DAMAGED = {
    "NaN": _change("sums", np.nan),
    "weight": _change("weights", np.inf),
    "time": _change("times", np.nan),
    "item": _change("items", ITEMS),
    "row": _change("rows", 10**6),
    "row below 0": _change("rows", -1),
    "shape": _shape,
    "lengths": _negative,
    "head": lambda arrays: arrays.update(head=np.frombuffer(b"[]", np.uint8)),
    "no sums": lambda arrays: arrays.pop("sums"),
}


def test_a_snapshot_that_cannot_be_is_not_used(run_folder, log, tmp_path):
    path = tmp_path / "snapshot.npz"
    with running(log, run_folder, snapshot=path) as service:
        service.post("/events", [{"user": user, "item": f"i{user % 5}"} for user in (7, 8, 101, 102)])
        live = state(service.replica.model)
    good, opened, model = read_npz(path), EventLog(log), Model(run_folder)
    assert snapshots.restore(path, Model(run_folder), opened)
    for name, damage in DAMAGED.items():
        arrays = dict(good)
        damage(arrays)
        write_npz(path, arrays)
        assert not snapshots.restore(path, model, opened), name
        assert model.seq == 0 and not len(model.live)
    opened.close()
    assert undisturbed(log, run_folder, path) == live


def test_an_item_that_no_run_of_this_kind_can_know_is_refused(log, tmp_path):
    small_run(pd.DataFrame({"user": [1, 2, 3] * 4, "item": [10, 20, 30, 40] * 3}), tmp_path / "run")
    with running(log, tmp_path / "run") as service:
        refused = service.client.post("/events", json=[{"user": 1, "item": 20}, {"user": 1, "item": "shoes"}])
        assert refused.status_code == 422
        assert refused.json()["detail"] == "item='shoes': expected an integer, as the ids of the run are"
        assert service.get("/status")["events"] == 0
        answer = service.post("/events", [{"user": 1, "item": "20"}, {"user": 5, "item": 50}])
        assert (answer["accepted"], answer["unknown_items"]) == (2, 1)
        assert service.client.delete("/users/1").json()["forgotten"]
        status = service.get("/status")
        assert (status["events"], status["seq"]) == (2, 3)  # forgetting is no event


def test_a_run_of_other_ids_under_the_log(run_folder, log, tmp_path):
    """Users with text ids under a log of integers, and the other way round: nothing stops, nothing is lost."""
    frame = pd.DataFrame({"user": ["ann", "bob", "7"] * 4, "item": ["i1", "i2", "i3", "i4"] * 3})
    folder = tmp_path / "run"
    small_run(frame, folder)
    with running(log, run_folder) as service, running(log, folder) as other:
        service.post("/events", [{"user": 8, "item": "i3"}])
        other.post("/events", [{"user": "carol", "item": "i4"}, {"user": "8", "item": "i1"}])
        wait(lambda: service.replica.model.seq == 3)
        assert [one["item"] for one in other.get("/users/8")["history"]] == ["i3", "i1"]
        assert [one["item"] for one in service.get("/users/8")["history"]] == ["i3", "i1"]
        assert service.client.get("/users/carol").status_code == 422
        assert service.post("/events", [{"user": 8, "item": "i5"}])["seq"] == 4
