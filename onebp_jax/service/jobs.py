"""What the thread of the log has to do, in the order in which it was asked for."""

from __future__ import annotations

import queue
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from onebp_jax.service.log import Appending, LogUnavailable, Record
from onebp_jax.service.model import Model

# Jobs in one transaction; jobs that may wait.
GROUP, WAITING = 2000, 10_000


class IdTaken(Exception):
    """An event has the id of another event."""


@dataclass
class Job:
    """Something to write.

    Attributes:
      make: the records to write, of the log, and of the model as it is after all earlier ones. alone: it looks at the model, so
        nothing of the same transaction may come before it.
      answer: an `Outcome`.
    """

    make: Callable[[Model, Appending], list[Record]]
    alone: bool = False
    answer: Future = field(default_factory=Future)


@dataclass
class Outcome:
    """What a job came to: how many records were written, how many were in the log already, and what became of them."""

    seq: int = 0
    duplicates: int = 0
    written: list[Record] = field(default_factory=list)
    became: Counter[str] = field(default_factory=Counter)


@dataclass
class Swap:
    """A model that takes the place of the present one.

    Attributes:
      at_snapshot: the number of the last record that a snapshot holds.
    """

    model: Model
    at_snapshot: int
    answer: Future = field(default_factory=Future)


END = object()


class Jobs:
    """Jobs that wait."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Job | Swap | object] = queue.Queue(WAITING)
        self._held: Job | None = None  # taken, and not given out yet

    def __len__(self) -> int:
        return self._queue.qsize() + (self._held is not None)

    def add(self, job: Job) -> Future:
        """Queues a job; raises `LogUnavailable` if too many wait."""
        try:
            self._queue.put_nowait(job)
        except queue.Full:
            raise LogUnavailable(f"{WAITING} requests wait for it already") from None
        return job.answer

    def add_last(self, what: Swap | object) -> None:
        """Queues a swap, or `END`; waits if too much waits."""
        self._queue.put(what)

    def take(self, seconds: float) -> tuple[list[Job], Swap | object | None]:
        """Jobs for one transaction, and what comes after them: a swap, `END`, or None. It waits for so many seconds.

        What nobody waits for any more is left out; what is given out can no longer be cancelled.
        """
        group: list[Job] = []
        try:
            taken = self._held or self._queue.get(timeout=seconds)
            self._held = None
            while isinstance(taken, Job):
                if taken.alone and group:
                    self._held = taken
                    return group, None
                if taken.answer.set_running_or_notify_cancel():
                    group.append(taken)
                    if taken.alone or len(group) >= GROUP:
                        return group, None
                taken = self._queue.get_nowait()
            if isinstance(taken, Swap) and not taken.answer.set_running_or_notify_cancel():
                return group, None
            return group, taken
        except queue.Empty:
            return group, None
