"""`launch.train` killed or stopped at some moment, and the same command once more: it ends as if nothing had happened."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from support.programs import READS_COMPILED, SMALL, Started, run, start, tables

EPOCHS = 6
LONG = (
    *SMALL,
    f"--config.epochs={EPOCHS}",
    "--config.steps_per_call=3",
    "--config.checkpoint_seconds=0",
    "--config.patience=0",
    "--config.refit=True",
)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert run("train", *LONG, f"--workdir={workdir}").returncode == 0
    return workdir


def start_and_signal(workdir: Path, number: int, delay: float, phase: str = ".") -> Started:
    """Starts the long run, waits for the first checkpoint of a phase and a little more, and sends it a signal."""
    process = start("train", *LONG, f"--workdir={workdir}", **READS_COMPILED)
    deadline = time.monotonic() + 240
    while (
        not list((workdir / phase).glob("checkpoints/[0-9]*"))
        and process.poll() is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.02)
    time.sleep(delay)
    process.send_signal(number)
    process.wait(240)
    return process


@pytest.mark.parametrize("trial", [0, pytest.param(1, marks=pytest.mark.study)])
def test_kill_9_at_a_random_moment_and_resume(uninterrupted, tmp_path, trial):
    process = start_and_signal(tmp_path / "run", signal.SIGKILL, random.uniform(0, 0.5))
    assert process.returncode == -signal.SIGKILL, "the run ended before it could be killed"
    again = run("train", *LONG, f"--workdir={tmp_path / 'run'}", cold=True)
    assert again.returncode == 0, again.stderr
    assert_ends_as(uninterrupted, tmp_path / "run")


def test_kill_9_while_it_is_refitted_and_resume(uninterrupted, tmp_path):
    process = start_and_signal(tmp_path / "run", signal.SIGKILL, 0, "refit")
    assert process.returncode == -signal.SIGKILL, "the run ended before it could be killed"
    assert (tmp_path / "run" / "refit" / "checkpoints").exists() and not (tmp_path / "run" / "result.json").exists()
    assert run("train", *LONG, f"--workdir={tmp_path / 'run'}").returncode == 0
    assert_ends_as(uninterrupted, tmp_path / "run")


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.study)])
def test_a_signal_saves_exits_with_one_line_and_resumes(uninterrupted, tmp_path, number):
    process = start_and_signal(tmp_path / "run", number, 0.2)
    said = process.said()
    assert process.returncode == 128 + number, said
    assert "Traceback" not in said and signal.Signals(number).name in said.splitlines()[-1]
    assert run("train", *LONG, f"--workdir={tmp_path / 'run'}").returncode == 0
    assert_ends_as(uninterrupted, tmp_path / "run")


def assert_ends_as(one: Path, other: Path) -> None:
    for a, b in zip(tables(one), tables(other), strict=True):
        np.testing.assert_array_equal(a, b)
    results = [json.loads((folder / "result.json").read_text()) for folder in (one, other)]
    for result in results:
        del result["seconds"], result["refit"]["seconds"]
    assert results[0] == results[1]
    counts = [len((folder / "metrics.jsonl").read_text().splitlines()) for folder in (one, other)]
    assert counts[0] == counts[1] == EPOCHS
