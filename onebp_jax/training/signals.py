"""Signals that ask a run to stop: noted, so that it can save itself first."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def caught_signals() -> Iterator[list[int]]:
    """Collects SIGTERM and Ctrl-C instead of dying at once; a second one acts as usual."""
    caught, previous = [], {}

    def note(number, frame):
        del frame
        caught.append(number)
        signal.signal(number, previous[number])

    # Outside the main thread signals belong to somebody else.
    with contextlib.suppress(ValueError):
        for number in (signal.SIGTERM, signal.SIGINT):
            previous[number] = signal.signal(number, note)
    try:
        yield caught
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
