"""Progress: readable times, few lines off a terminal, a bar on one."""

import io
import re
import sys
from types import SimpleNamespace

import pytest

from onebp_jax.training import progress as room


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"),
        (0.52, "0.5s"),
        (9.94, "9.9s"),
        (10, "10s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (75, "1m15s"),
        (3599.4, "59m59s"),
        (3599.6, "1h00m"),
        (7380, "2h03m"),
        (400_000, "111h06m"),
    ],
)
def test_duration(seconds, text):
    assert room.duration(seconds) == text


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until its `now` is changed."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(room, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def lines(capsys):
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_off_a_terminal_lines_are_throttled_and_the_last_one_is_printed(clock, capsys):
    with room.progress(epochs=10, epoch_steps=10, step=0, every=5.0) as say:
        for step in range(1, 101):
            clock.now += 0.3
            say(step, 1 / step, "note", None)
    # 30 seconds: one line at once, then one in five seconds (17 steps of 0.3), then the last.
    steps = [round(float(re.match(r"epoch ([\d.]+)/10 ", line)[1]) * 10) for line in lines(capsys)]
    assert steps == [1, 18, 35, 52, 69, 86, 100]


def test_what_a_line_says(clock, capsys):
    with room.progress(epochs=10, epoch_steps=10, step=0) as say:
        clock.now += 12
        say(25, 0.69314, "validation NDCG@20 0.1234", None)
    assert lines(capsys) == ["epoch 2.5/10  loss 0.6931  validation NDCG@20 0.1234  36s left"]


def test_a_line_is_printed_once(clock, capsys):
    with room.progress(epochs=1, epoch_steps=10, step=0) as say:
        clock.now += 1
        say(10, 0.5, "", None)
    assert len(lines(capsys)) == 1


def test_the_time_left_counts_from_where_the_run_went_on(clock, capsys):
    with room.progress(epochs=10, epoch_steps=10, step=90) as say:
        clock.now += 6
        say(92, 0.5, "", None)
    assert lines(capsys)[0].endswith(" 24s left")


@pytest.mark.parametrize("step", [0, 100])
def test_no_time_is_told_before_the_first_step_and_at_the_end(clock, capsys, step):
    with room.progress(epochs=10, epoch_steps=10, step=step) as say:
        say(step, 0.5, "", None)
        clock.now += 7
        say(100, 0.5, "", None)
    assert [line for line in lines(capsys) if "left" in line and "0.0s" not in line] == []


def test_a_slow_first_call_does_not_count_and_patience_bounds_the_time_from_below(clock, capsys):
    with room.progress(epochs=100, epoch_steps=1, step=0) as say:
        clock.now += 3  # the first evaluation is compiled
        say(1, 0.5, "", 21)
        for step in range(2, 12):
            clock.now += 1
            say(step, 0.5, "", step + 20)
    first, *others = lines(capsys)
    assert "left" not in first
    assert others[-1].endswith("20s to 1m29s left")


def test_patience_that_has_run_out_leaves_no_time(clock, capsys):
    with room.progress(epochs=100, epoch_steps=1, step=0) as say:
        clock.now += 9
        say(30, 0.5, "", 30)
    assert "left" not in lines(capsys)[0]


def test_the_last_line_is_printed_when_the_run_fails(clock, capsys):
    def failing():
        with room.progress(epochs=10, epoch_steps=10, step=0) as say:
            for step in (1, 2):
                clock.now += 1
                say(step, 0.5, "", None)
            raise RuntimeError("the run failed")

    with pytest.raises(RuntimeError, match="the run failed"):
        failing()
    assert [line.split("/")[0] for line in lines(capsys)] == ["epoch 0.1", "epoch 0.2"]


def test_nothing_is_printed_when_nothing_was_said(clock, capsys):
    with room.progress(epochs=10, epoch_steps=10, step=0):
        pass
    assert lines(capsys) == []


def test_a_bar_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with room.progress(epochs=2, epoch_steps=10, step=5) as say:
        say(10, 0.5, "half way", None)
        say(20, 0.25, "done", None)
    drawn = terminal.getvalue()
    assert "\r" in drawn
    assert "epoch 2/2" in drawn
    assert "loss 0.2500 done" in drawn
