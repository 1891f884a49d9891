"""Signals that ask a run to stop. They are noted, so that the run can save itself first."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def caught_signals() -> Iterator[list[int]]:
    """Collects SIGTERM and Ctrl-C instead of ending at once. A second one acts as usual."""
    caught, previous = [], {}

    def note(number, frame):
        del frame
        caught.append(number)
        signal.signal(number, previous[number])

    # Signals can be set in the main thread only.
    with contextlib.suppress(ValueError):
        for number in (signal.SIGTERM, signal.SIGINT):
            previous[number] = signal.signal(number, note)
    try:
        yield caught
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
