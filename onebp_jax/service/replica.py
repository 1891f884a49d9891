"""One thread writes to the log and applies records, in the order of their numbers: its own, and those of other processes.

    jobs that wait -> one transaction (group commit) -> records on disk -> applied to the model -> answers

So whoever has an answer finds the event in the next list, and a stop at any point loses nothing that was answered.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import Future
from pathlib import Path

from absl import logging

from onebp_jax.errors import UserError
from onebp_jax.service import snapshots
from onebp_jax.service.jobs import END, IdTaken, Job, Jobs, Outcome, Swap
from onebp_jax.service.log import EVENT, FORGET, Appending, EventLog, LogUnavailable, Record
from onebp_jax.service.model import UNKNOWN, Model

# Seconds between looks at the log for records of other processes.
POLL = 0.2
# Seconds after which the log is said to be stuck: longer than a lock is waited for.
STUCK = 15.0
# Records between two snapshots.
SNAPSHOT_EVERY = 100_000


class Replica:
    """The model of this process, kept at the end of the log.

    Attributes:
      model: it is replaced when a run is swapped in. error: why the log could not be used the last time; None if it could.
      broken: why no job can be done any more.
      applied: how many events were applied since the start, by what became of them.
    """

    def __init__(self, log: EventLog, model: Model, snapshot: Path | None = None, poll: float = POLL):
        """Replays the log, from the snapshot if it fits. `start` begins to take jobs."""
        self.log, self.model = log, model
        self.error: str | None = None
        self.broken: str | None = None
        self.applied: Counter[str] = Counter()
        self._snapshot, self._poll = snapshot, poll
        self._jobs = Jobs()
        self._began: float | None = None  # when the thread began what it does now
        self._erased, self._writing = 0, threading.Lock()
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._at_snapshot = self.replay(model)

    def replay(self, model: Model) -> int:
        """Brings a model to the end of the log, which may grow meanwhile; the number of the last record that a snapshot gave."""
        began = time.perf_counter()
        if self._snapshot and snapshots.restore(self._snapshot, model, self.log):
            logging.info("%s: the users as they were after record %d", self._snapshot, model.seq)
        first, skipped = model.seq, 0
        for records in self.log.after(model.seq):
            skipped += sum(self._apply(model, record, model is self.model) == UNKNOWN for record in records)
        if model.seq > first:
            seconds = time.perf_counter() - began
            logging.info("%d records of the log replayed in %.1f s, %d of them erased or of items that the run does not know",
                         model.seq - first, seconds, skipped)  # fmt: skip
        return first

    def start(self) -> None:
        """Begins to take jobs."""
        self._thread.start()

    def submit(self, job: Job) -> Future:
        """Queues a job; raises `LogUnavailable` if too many wait, or the log is stuck."""
        if stuck := self._stuck():
            raise LogUnavailable(stuck)
        return self._jobs.add(job)

    def swap(self, model: Model) -> Future:
        """Puts a model in place of the present one. It is replayed here, by the caller, and catches up in the thread."""
        swap = Swap(model, self.replay(model))
        self._jobs.add_last(swap)
        return swap.answer

    def stop(self) -> None:
        """Finishes what is queued, and writes a snapshot."""
        self._jobs.add_last(END)
        self._thread.join()
        if self._snapshot and not self.broken and self.model.seq > self._at_snapshot:
            self._write_snapshot(snapshots.take(self.model), self._erased)
        self.log.close()

    @property
    def trouble(self) -> str | None:
        """Why the log cannot be used now; None if it can."""
        return self._stuck() or self.error

    def _stuck(self) -> str | None:
        began = self._began
        lasts = 0.0 if began is None else time.monotonic() - began
        return f"it has not answered for {lasts:.0f} seconds" if lasts > STUCK else None

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._jobs)

    def _work(self) -> None:
        while True:
            group, after = self._jobs.take(self._poll)
            answers = [job.answer for job in group] + ([after.answer] if isinstance(after, Swap) else [])
            self._began = time.monotonic()
            try:
                if self.broken:
                    raise LogUnavailable(self.broken)
                if group:
                    self._write(group)
                elif after is None:
                    self._follow()
                if isinstance(after, Swap):
                    self._swap_in(after)
            except LogUnavailable as error:
                self._failed(error, answers)
            except Exception:  # the model may be half changed: only a new start makes it whole
                logging.exception("the thread of the log does no more")
                self.broken = "an error in the service, see its log; restart it"
                self._failed(LogUnavailable(self.broken), answers)
            self._began = None
            if after is END:
                return
            if self._snapshot and not self.broken and self.model.seq - self._at_snapshot >= SNAPSHOT_EVERY:
                taken, self._at_snapshot = snapshots.take(self.model), self.model.seq
                threading.Thread(target=self._write_snapshot, args=(taken, self._erased), name="snapshot").start()

    def _write(self, group: list[Job]) -> None:
        with self.log.appending() as log:
            self._catch_up(log)
            done = self._outcomes(log, group)
        self.error = None
        for _, outcome in done:
            for record in outcome.written:
                outcome.became[self._apply(self.model, record)] += 1
            outcome.seq = self.model.seq
        for job, outcome in done:
            job.answer.set_result(outcome)

    def _catch_up(self, log: Appending) -> None:
        """Applies the records of other processes."""
        if log.seq < self.model.seq:
            raise LogUnavailable(
                f"it ends at record {log.seq}, and {self.model.seq} are known: an older copy took its place; restart the service"
            )
        for record in log.after(self.model.seq):
            self._apply(self.model, record)

    def _outcomes(self, log: Appending, group: list[Job]) -> list[tuple[Job, Outcome]]:
        """Writes the records of jobs whose ids are not in the log: of each job all or none."""
        made: list[tuple[Job, list[Record]]] = []
        for job in group:
            try:
                made.append((job, job.make(self.model, log)))
            except UserError as error:
                job.answer.set_exception(error)
        known = log.with_ids(record.id for _, records in made for record in records if record.id is not None)
        fresh: list[tuple[Job, list[Record], int]] = []
        for job, records in made:
            try:
                new, own = _fresh(records, known)
            except IdTaken as error:
                job.answer.set_exception(error)
                continue
            known |= own
            fresh.append((job, new, len(records) - len(new)))
        written = iter(log.append(record for _, records, _ in fresh for record in records))
        return [
            (job, Outcome(duplicates=duplicates, written=[next(written) for _ in records]))
            for job, records, duplicates in fresh
        ]

    def _follow(self) -> None:
        if self.log.seq() != self.model.seq:
            with self.log.appending() as log:
                self._catch_up(log)
        self.error = None

    def _failed(self, error: LogUnavailable, answers: list[Future]) -> None:
        if self.error is None:
            logging.error("the event log cannot be used: %s", error)
        self.error = str(error)
        for answer in answers:
            if not answer.done():
                answer.set_exception(error)

    def _apply(self, model: Model, record: Record, first: bool = True) -> str:
        """Applies a record; `first`: no other model of this process had it before."""
        try:
            became = model.apply(record)
        except UserError as error:  # an id that this run cannot have, of a process that serves another run
            logging.warning("record %d of the log is left out: %s", record.seq, error)
            became = UNKNOWN
        self.applied[became] += first and record.kind == EVENT
        if first and record.kind == FORGET and self._snapshot:
            self._erased += 1
            self._remove_snapshot()
        return became

    def _swap_in(self, swap: Swap) -> None:
        self._follow()
        for records in self.log.after(swap.model.seq):
            for record in records:
                self._apply(swap.model, record, record.seq > self.model.seq)
        self.model, self._at_snapshot = swap.model, swap.at_snapshot
        swap.answer.set_result(swap.model)

    def _write_snapshot(self, taken: snapshots.Snapshot, erased: int) -> None:
        """Writes a snapshot that was taken when so many users had been forgotten."""
        assert self._snapshot
        with self._writing:
            try:
                snapshots.write(self._snapshot, taken, self.log)
            except (OSError, LogUnavailable) as error:
                logging.warning("no snapshot: %s", error)
            if self._erased != erased:
                self._remove_snapshot()

    def _remove_snapshot(self) -> None:
        """It still holds what a user did who is forgotten now."""
        assert self._snapshot
        try:
            self._snapshot.unlink(missing_ok=True)
        except OSError as error:
            logging.warning("%s holds a user who is forgotten, and cannot be removed: %s", self._snapshot, error)


def _fresh(records: list[Record], known: dict[str, Record]) -> tuple[list[Record], dict[str, Record]]:
    """The records that are no duplicates, and those of them that have an id; raises `IdTaken`."""
    fresh, own = [], {}
    for record in records:
        earlier = None if record.id is None else own.get(record.id) or known.get(record.id)
        if earlier is None:
            fresh.append(record)
            if record.id is not None:
                own[record.id] = record
        elif earlier.user is not None and earlier.content != record.content:
            raise IdTaken(f"id={record.id!r} is that of another event: give each event its own id")
    return fresh, own
