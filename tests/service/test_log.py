"""The event log: numbered without gaps, ids once, nothing lost, on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

import contextlib
import sqlite3
import threading

import pytest

from onebp_jax.errors import UserError
from onebp_jax.service.log import ERASED, EVENT, FORGET, EventLog, LogUnavailable, Record


@pytest.fixture
def open_log():
    """Opens logs, and closes them in the end."""
    with contextlib.ExitStack() as stack:

        def opens(url: str) -> EventLog:
            log = EventLog(url)
            stack.callback(log.close)
            return log

        yield opens


def read(log: EventLog, seq: int = 0) -> list[Record]:
    return [record for part in log.after(seq) for record in part]


def event(user: str, item: str, id: str | None = None) -> Record:
    return Record(EVENT, user, item, id, 1.5, -2.0, "view")


def test_records_come_back_in_order_and_survive(open_log, any_log):
    log = open_log(any_log)
    assert log.seq() == 0 and read(log) == []
    with log.appending() as appending:
        written = appending.append([event("u", "i1", "a"), Record(EVENT, "ü", "日本")])
        assert appending.with_ids(["a", "b"]) == {"a": written[0]}
    assert [record.seq for record in written] == [1, 2]
    again = open_log(any_log)
    assert again.name == log.name and again.seq() == 2 and read(again) == written and read(again, 1) == written[1:]
    assert read(again)[1].time is None and read(again)[0].weight == -2.0


def test_what_fails_leaves_nothing(open_log, any_log):
    log = open_log(any_log)
    with pytest.raises(ZeroDivisionError), log.appending() as appending:
        appending.append([event("u", "i1")])
        raise ZeroDivisionError
    assert log.seq() == 0 and read(log) == []
    with pytest.raises(LogUnavailable), log.appending() as appending:
        appending.append([event("u", "i1", "a"), event("u", "i2", "a")])  # the database itself refuses an id twice
    assert log.seq() == 0 and read(log) == []


def test_a_user_who_is_forgotten_leaves_no_trace_but_the_name(open_log, any_log):
    log = open_log(any_log)
    with log.appending() as appending:
        appending.append([event("u", "i1", "a"), event("v", "i1"), Record(FORGET, "u"), event("u", "i2")])
    records = read(log)
    assert [record.kind for record in records] == [ERASED, EVENT, FORGET, EVENT]
    assert (records[0].user, records[0].item, records[0].id, records[0].seq) == (None, None, "a", 1)
    assert records[1].item == "i1" and records[3].item == "i2"


def test_many_writers_leave_no_gap_and_a_reader_misses_none(open_log, any_log):
    """A reader that follows while others write sees each number once, in order."""
    logs = [open_log(any_log) for _ in range(4)]
    seen: list[int] = []

    def write(number: int) -> None:
        for place in range(15):
            with logs[number].appending() as appending:
                appending.append([event(f"u{number}", f"i{place}", f"{number}-{place}-{k}") for k in range(3)])

    def follow() -> None:
        log = open_log(any_log)
        while len(seen) < 3 * 3 * 15:
            seen.extend(record.seq for record in read(log, seen[-1] if seen else 0))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    threads.append(threading.Thread(target=follow))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen == list(range(1, 3 * 3 * 15 + 1))
    of_one = [record.id for record in read(logs[3]) if record.user == "u0"]
    assert of_one == [f"0-{place}-{k}" for place in range(15) for k in range(3)]


@pytest.mark.parametrize(
    "url, words",
    [
        ("events.db", "not a URL, expected sqlite:///PATH"),
        ("sqlite://", "a log in memory would be lost"),
        ("mysql://u:secret@h/d", "mysql://u:***@h/d: expected sqlite:///PATH"),
        ("sqlite:////nowhere/events.db", "cannot be opened: unable to open database file"),
        ("postgresql://u:secret@127.0.0.1:1/d", "cannot be opened"),
    ],
)
def test_urls(open_log, url, words):
    with pytest.raises(UserError, match="events=") as raised:
        open_log(url)
    assert words in str(raised.value) and "secret" not in str(raised.value) and "\n" not in str(raised.value)


def test_damage_is_said(open_log, tmp_path, log):
    opened = open_log(log)
    with opened.appending() as appending:
        appending.append([event(f"u{k}", "i" * 100) for k in range(2000)])
    opened.close()
    path = tmp_path / "events.db"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b"\xff" * 5000 + whole[len(whole) // 2 + 5000 :])
    with pytest.raises(UserError, match="damaged|cannot be opened"):
        open_log(log)
    path.write_bytes(b"this is no database at all" * 100)
    with pytest.raises(UserError, match="file is not a database"):
        open_log(log)


def test_a_newer_log_is_refused(open_log, tmp_path, log):
    open_log(log).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "events.db")) as connection, connection:
        connection.execute("UPDATE onebp_head SET version = 2")
    with pytest.raises(UserError, match="a log of version 2, expected 1"):
        open_log(log)


def test_a_full_disk_is_said_and_writing_goes_on_later(open_log, tmp_path, log):
    """The database may not grow: what SQLite says then is what it says of a full disk."""
    opened = open_log(log)
    with opened._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LogUnavailable, match="database or disk is full"), opened.appending() as appending:
        appending.append([event("u" * 100, "i", str(k)) for k in range(1000)])
    assert opened.seq() == 0 and read(opened) == []
    with opened._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 100000")
    with opened.appending() as appending:
        appending.append([event("u", "i")])
    assert opened.seq() == 1


def test_a_lock_of_another_program_is_waited_for(open_log, tmp_path, log):
    opened = open_log(log)
    other = sqlite3.connect(tmp_path / "events.db", check_same_thread=False, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.3, lambda: other.execute("COMMIT")).start()
    with opened.appending() as appending:
        appending.append([event("u", "i")])
    assert opened.seq() == 1
    other.close()
