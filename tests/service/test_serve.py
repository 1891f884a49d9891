"""The program `onebp serve`: how it starts, stops and fails; and that a kill at any moment loses nothing."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from service.conftest import ITEMS
from service.test_replica import undisturbed
from support.programs import ROOT

KILLS = int(os.environ.get("ONEBP_TEST_KILLS", "3"))
# The program, with a snapshot after every fifth record.
OFTEN = """
from launch import serve
from onebp_jax.cli import program
from onebp_jax.service import replica
replica.SNAPSHOT_EVERY = 5
program.run(serve.main, serve.__doc__)
"""


class Running:
    """A service as a process."""

    def __init__(self, folder, log: str, *flags: str, program: tuple[str, str] = ("-m", "launch.serve")):
        command = [sys.executable, *program, f"--workdir={folder}", f"--events={log}", "--port=0", *flags]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        for _ in range(600):
            if found := re.search(r"http://\S+:(\d+)", "".join(self.lines)):
                self.port = int(found[1])
                return
            assert self.process.poll() is None, self.lines
            time.sleep(0.05)
        raise TimeoutError

    def _read(self) -> None:
        with self.process.stderr as stream:
            for line in stream:
                self.lines.append(line)

    def end(self, number: int) -> int:
        """Sends a signal; the status of the process."""
        self.process.send_signal(number)
        status = self.process.wait(30)
        self._reader.join()
        return status


def post(port: int, events: list[dict]) -> dict | None:
    """The answer; None if there was none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/events", json.dumps(events), {"content-type": "application/json"})
        answer = connection.getresponse()
        return json.loads(answer.read()) if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def test_kill_loses_nothing_that_was_answered_and_doubles_nothing(run_folder, log, tmp_path):
    """kill -9 under load, and while snapshots are written: clients send an event again, with its id, until it is answered."""
    snapshot = tmp_path / "snapshot.npz"
    run = lambda: Running(run_folder, log, f"--snapshot={snapshot}", program=("-c", OFTEN))
    answered: list[dict] = []
    said: list[str] = []
    port, over = [0], threading.Event()

    def client(number: int) -> None:
        for place in range(100_000):
            user = number * 1000 + place // ITEMS
            event = {"user": user, "item": f"i{place % ITEMS}", "id": f"{number}-{place}"}
            while (answer := post(port[0], [event])) is None:
                if over.is_set():
                    return
                time.sleep(0.01)
            assert answer["accepted"] + answer["duplicates"] == 1
            answered.append(event)
            if over.is_set():
                return

    service = run()
    port[0] = service.port
    clients = [threading.Thread(target=client, args=(number,)) for number in range(1, 5)]
    for thread in clients:
        thread.start()
    for kill in range(KILLS):
        time.sleep(0.1 + 0.37 * kill % 0.5)
        assert service.end(signal.SIGKILL) == -signal.SIGKILL
        service = run()
        said += service.lines
        port[0] = service.port
    over.set()
    for thread in clients:
        thread.join()
    assert service.end(signal.SIGTERM) == 128 + signal.SIGTERM
    users = undisturbed(log, run_folder)
    items = {item: row for row, item in enumerate(_items(run_folder))}
    for number in range(1, 5):
        sent = [event for event in answered if event["id"].startswith(f"{number}-")]
        for user in {event["user"] for event in sent}:
            wanted = [items[event["item"]] for event in sent if event["user"] == user]
            assert users[str(user)][0][: len(wanted)] == wanted  # each once, in order
            assert len(users[str(user)][0]) <= len(wanted) + 1  # one may have been written and not answered
    assert len(answered) > 10
    # A snapshot is whole, the old one or the new one, whenever the kill came.
    assert re.search("as they were after record [1-9]", "".join(said)) and "cannot be used" not in "".join(said)
    assert undisturbed(log, run_folder, snapshot) == users  # bit-equal


def _items(folder) -> list[str]:
    from onebp_jax.training.run_folder import read_run

    return read_run(folder).item_ids.tolist()


def test_signals(run_folder, log):
    service = Running(run_folder, log)
    assert post(service.port, [{"user": 7, "item": "i3"}])["seq"] == 1
    service.process.send_signal(signal.SIGHUP)
    assert post(service.port, [{"user": 7, "item": "i4"}])["seq"] == 2
    for _ in range(200):
        if "reloaded" in "".join(service.lines):
            break
        time.sleep(0.05)
    assert service.end(signal.SIGINT) == 130
    said = "".join(service.lines)
    assert "stopped at record 2" in said and '"event": "reloaded"' in said and "Traceback" not in said


def test_slow_clients_are_let_go(run_folder, log, monkeypatch):
    """A client that sends nothing, or a head without end, is closed; others are served meanwhile."""
    monkeypatch.setattr("onebp_jax.service.server._HEAD", 0.3)
    from service.conftest import running

    with running(log, run_folder) as service:
        port = int(service.url.rpartition(":")[2])
        silent, slow, second, large = (socket.create_connection(("127.0.0.1", port)) for _ in range(4))
        large.sendall(b"GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n" + b"x: y\r\n" * 20_000)
        second.sendall(b"GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        answer = b""
        while b'{"status":"ok"}' not in answer:
            answer += second.recv(1000)
        second.sendall(b"GET /health/live HTTP/1.1\r\nx: ")
        slow.sendall(b"GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ")
        assert service.get("/health/live") == {"status": "ok"}
        for connection in (silent, slow, second, large):
            connection.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1000) == b""
            connection.close()


FAILING = {
    "no run": (["--workdir=nowhere"], "--workdir=nowhere: no such folder"),
    "log": (["--events=mysql://a/b"], "--events=mysql://a/b: expected sqlite:///PATH"),
    "open to others": (["--host=0.0.0.0"], "--host=0.0.0.0: others can reach this address: give a token"),
    "port": (["--port=70000"], "port"),
    "snapshot": (["--snapshot=nowhere/x.npz"], "--snapshot=nowhere/x.npz: nowhere is not a folder"),
    "rate": (["--rate=nan"], "--rate=nan: expected a number"),
    "token with a blank": (["--token=a b"], "--token=..: expected letters, digits and signs, without blanks"),
    "empty token": (["--token="], "--token=: expected letters, digits and signs, without blanks"),
    "items": (["--items=nowhere.csv"], "--items=nowhere.csv: no such file"),
}


@pytest.mark.parametrize("flags, words", FAILING.values(), ids=FAILING)
def test_what_cannot_start_says_why_in_one_line(run_folder, log, flags, words):
    command = [sys.executable, "-m", "launch.serve", f"--workdir={run_folder}", f"--events={log}", "--port=0", *flags]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert process.returncode == 2 and words in process.stderr and "Traceback" not in process.stderr
    assert not os.path.exists(log.removeprefix("sqlite:///"))  # nothing is left behind


def test_an_address_in_use(run_folder, log):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "launch.serve", f"--workdir={run_folder}", f"--events={log}"]
        command.append(f"--port={taken.getsockname()[1]}")
        process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert process.returncode == 2 and "Address already in use" in process.stderr
