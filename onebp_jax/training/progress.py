"""What a run prints on standard error while it runs: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from tqdm import tqdm

Say = Callable[[int, float, str, int | None], None]


def duration(seconds: float) -> str:
    """A time in words: `0.52 -> "0.5s"`, `75 -> "1m15s"`, `7380 -> "2h03m"`."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


@contextlib.contextmanager
def progress(epochs: int, epoch_steps: int, step: int, every: float = 5.0) -> Iterator[Say]:
    """Yields `say(step, loss, note, earliest)`. Off a terminal it prints at most one line in `every` seconds, and the last line.

    `earliest` is the step at which patience runs out if nothing improves; None without patience.
    """
    left = _time_left(epochs * epoch_steps, step, every)
    if sys.stderr.isatty():
        form = "{percentage:3.0f}%|{bar}| epoch {n:.5g}/{total:.0f} [{elapsed}]{postfix}"
        with tqdm(
            total=epochs, initial=step / epoch_steps, file=sys.stderr, dynamic_ncols=True, bar_format=form
        ) as bar:

            def show(step: int, loss: float, note: str, earliest: int | None) -> None:
                bar.set_postfix_str(f"loss {loss:.4f} {note} {left(step, earliest)}", refresh=False)
                bar.update(step / epoch_steps - bar.n)

            yield show
        return
    started, spoke, pending = time.monotonic(), -every, ""

    def tell(step: int, loss: float, note: str, earliest: int | None) -> None:
        nonlocal spoke, pending
        now = time.monotonic() - started
        pending = f"epoch {step / epoch_steps:.5g}/{epochs}  loss {loss:.4f}  {note}  {left(step, earliest)}"
        if now - spoke >= every:
            print(pending.rstrip(), file=sys.stderr, flush=True)
            spoke, pending = now, ""

    try:
        yield tell
    finally:
        if pending:
            print(pending.rstrip(), file=sys.stderr, flush=True)


def _time_left(total: int, step: int, every: float) -> Callable[[int, int | None], str]:
    """`left(step, earliest)`, the time left as text: from when patience may run out to when all epochs are done.

    The first call is left out of the pace as soon as there is a second one: it makes the evaluation's programs.
    """
    begun = before = (time.monotonic(), step)

    def left(step: int, earliest: int | None) -> str:
        nonlocal begun, before
        now, last = time.monotonic(), total if earliest is None else earliest
        if step >= min(last, total):
            return ""
        if begun == before and step > begun[1]:  # the first call
            before = (now, step)
            if now - begun[0] < every:
                return ""
        since = before if step > before[1] else begun
        pace = (now - since[0]) / max(1, step - since[1])
        most = duration(pace * (total - step))
        least = duration(pace * (last - step))
        return f"{most} left" if least == most else f"{least} to {most} left"

    return left
