"""Several processes of this machine train what one does, and go on after one of them was killed."""

import signal
import socket
import time
from functools import partial

import numpy as np
import pytest
from support import programs
from support.programs import READS_COMPILED, SMALL, assert_one_line, run, start_code, tables

from onebp_jax.errors import UserError
from onebp_jax.parallel import processes

# Epochs of 10 steps: all calls have one length, so that there is one program to compile.
RUN = (
    *SMALL,
    "--config.epochs=2",
    "--config.eval_every=1",
    "--config.checkpoint_seconds=0",
    "--config.steps_per_call=5",
)


start_one = partial(programs.start, **READS_COMPILED)


def start(count, workdir, *more, last=()):
    """The processes of one training run, started; the last one with flags of its own."""
    return start_program(partial(start_one, "train"), count, *RUN, f"--workdir={workdir}", *more, last=last)


def free_address():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return f"localhost:{free.getsockname()[1]}"


def start_program(start, count, *shared, last=()):
    shared = (f"--coordinator={free_address()}", f"--num_processes={count}", *shared)
    return [
        start(*shared, f"--process_id={process}", *(last if process == count - 1 else ())) for process in range(count)
    ]


def end(processes):
    """Their exit statuses, when all have ended; what they said is in the message of a failure."""
    said = [process.communicate(timeout=240)[1] for process in processes]
    return [process.returncode for process in processes], "\n".join(said)


def assert_same_tables(one, other):
    for expected, found in zip(tables(one), tables(other), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_two_processes_train_what_one_does(tmp_path):
    assert run("train", *RUN, f"--workdir={tmp_path / 'one'}").returncode == 0
    statuses, said = end(start(2, tmp_path / "two", "--num_devices=2"))
    assert statuses == [0, 0], said
    assert_same_tables(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize(
    "other, words",
    [
        ("--config.dim=16", "error: the processes of this run differ in dim: give all"),
        ("--num_devices=4", "error: the processes of this run have 1, 2 devices: give all"),
        ("--tables=sharded", "error: the processes of this run differ in --tables: give all"),
    ],
)
def test_processes_that_differ_end_with_one_line(tmp_path, other, words):
    statuses, said = end(start(2, tmp_path / "two", "--num_devices=2", last=[other]))
    assert statuses == [2, 2] and said.count(words) == 2, said
    assert not (tmp_path / "two").exists()


SLOW = """
import time
from onebp_jax.cli import program, devices
from onebp_jax.errors import UserError
from onebp_jax.parallel import processes

devices.define_layout()

def main():
    devices.layout()
    time.sleep(0 if processes.is_lead() else 3)
    raise UserError("a bad file")

program.run(main, "")
"""


def test_the_lead_that_fails_lets_the_others_say_why():
    statuses, said = end(start_program(partial(start_code, SLOW), 2))
    assert statuses == [2, 2] and said.count("error: a bad file") == 2, said


@pytest.mark.study
def test_processes_that_meet_another_run_end_with_one_line(tmp_path):
    assert run("train", *RUN, "--config.dim=16", f"--workdir={tmp_path}").returncode == 0
    statuses, said = end(start(2, tmp_path, "--num_devices=2"))
    assert statuses == [2, 2] and said.count("dim is 16 there and 8 here; nothing was touched") == 2, said


def test_data_that_one_process_lacks_ends_all(tmp_path):
    statuses, said = end(start(2, tmp_path / "two", last=["--config.dataset=missing.csv"]))
    assert statuses == [2, 2], said
    assert said.count("error: ") == 2 and "missing.csv" in said and "another process of this run cannot go on" in said


@pytest.mark.study
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_stops_the_others_and_the_run_goes_on(tmp_path, killed):
    long = ("--config.epochs=60", "--config.steps_per_call=0")
    assert run("train", *RUN, *long, f"--workdir={tmp_path / 'one'}").returncode == 0
    long += ("--num_devices=4", "--tables=sharded")
    processes = start(2, tmp_path / "two", *long)
    while not list((tmp_path / "two").glob("checkpoints/[0-9]*")):
        assert all(process.poll() is None for process in processes)
        time.sleep(0.1)
    processes[killed].send_signal(signal.SIGKILL)
    statuses, said = end(processes)
    assert statuses[killed] == -signal.SIGKILL and statuses[1 - killed] != 0, said
    assert "another task died" in said or "a process of this run was lost" in said
    assert not (tmp_path / "two" / "result.json").exists()
    statuses, said = end(start(2, tmp_path / "two", *long))
    assert statuses == [0, 0], said
    assert_same_tables(tmp_path / "one", tmp_path / "two")


@pytest.mark.study
def test_a_run_goes_on_with_other_processes(tmp_path):
    """Four processes, the same run on one device, two processes again: each goes on where the one before was killed."""
    workdir = tmp_path / "many"
    long = ("--config.epochs=60", "--config.steps_per_call=0")
    assert run("train", *RUN, *long, f"--workdir={tmp_path / 'one'}").returncode == 0

    def killed_after(processes, step):
        while not any(int(path.name) >= step for path in workdir.glob("checkpoints/[0-9]*") if path.name.isdecimal()):
            assert all(process.poll() is None for process in processes), end(processes)
            time.sleep(0.05)
        processes[-1].send_signal(signal.SIGKILL)
        end(processes)
        assert not (workdir / "result.json").exists()
        return max(int(path.name) for path in workdir.glob("checkpoints/[0-9]*") if path.name.isdecimal())

    step = killed_after(start(4, workdir, *long, "--num_devices=4", "--tables=sharded"), 1)
    alone = start_one("train", *RUN, *long, f"--workdir={workdir}")
    step = killed_after([alone], step + 1)
    statuses, said = end(start(2, workdir, *long, "--num_devices=8", "--tables=sharded"))
    assert statuses == [0, 0], said
    assert_same_tables(tmp_path / "one", workdir)


def test_a_folder_that_not_all_see_is_refused(tmp_path):
    statuses, said = end(start(2, tmp_path / "two", "--num_devices=2", last=[f"--workdir={tmp_path / 'elsewhere'}"]))
    assert statuses == [2, 2] and said.count("not all processes see it: give a folder that they share") == 2, said


@pytest.mark.study
def test_two_processes_measure_and_recommend_as_one(tmp_path):
    assert run("train", *RUN, f"--workdir={tmp_path / 'one'}").returncode == 0
    workdir = f"--workdir={tmp_path / 'one'}"
    for program, more in (("evaluate", []), ("recommend", ["--k=5", "--users=0,7,3"])):
        expected = run(program, workdir, *more).stdout
        processes = start_program(partial(start_one, program), 2, workdir, *more, "--num_devices=4", "--tables=sharded")
        found = [process.communicate(timeout=240) for process in processes]
        assert [process.returncode for process in processes] == [0, 0], found
        assert found[0][0] == expected and found[1][0] == ""


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--num_processes=2"], ["--coordinator=HOST:PORT"]),
        (["--coordinator=here", "--num_processes=2"], ["--coordinator=here", "HOST:PORT"]),
        (["--coordinator=here:99999", "--num_processes=2"], ["--coordinator=here:99999", "HOST:PORT"]),
        (["--coordinator=localhost:1", "--num_processes=2", "--process_id=2"], ["--process_id=2"]),
        (["--coordinator=localhost:1234", "--process_id=1"], ["--num_processes"]),
        (["--process_id=1"], ["--process_id=1", "--coordinator=HOST:PORT"]),
        (["--coordinator=nohost.invalid:1234", "--num_processes=2", "--process_id=1"], ["nohost.invalid"]),
        (["--num_devices=3", "--num_processes=2"], ["--num_devices=3", "multiple"]),
    ],
)
def test_what_cannot_be_started_is_one_line(flags, words, tmp_path):
    assert_one_line(run("train", *SMALL, f"--workdir={tmp_path}", *flags), 2, *words)


def test_a_lead_that_does_not_come_is_waited_for_and_named(monkeypatch):
    monkeypatch.setattr(processes, "WAIT_SECONDS", 1)
    with pytest.raises(UserError, match=r"coordinator=localhost:\d+: process 0 did not come in 1 seconds"):
        processes.join(free_address(), 2, 1)


@pytest.mark.parametrize("process", [0, 1])
def test_ctrl_c_ends_a_process_that_waits_for_others(tmp_path, process):
    flags = (f"--coordinator={free_address()}", "--num_processes=2", f"--process_id={process}", f"--workdir={tmp_path}")
    waiting = start_one("train", *SMALL, *flags)
    while "waits for all 2" not in waiting.said():
        assert waiting.poll() is None, waiting.said()
        time.sleep(0.05)
    time.sleep(1)  # it is within the library now
    waiting.send_signal(signal.SIGINT)
    waiting.communicate(timeout=60)
    assert waiting.returncode in (130, -signal.SIGINT)
