"""What a run prints on standard error while it runs: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from tqdm import tqdm

Say = Callable[[int, float, str], None]


def duration(seconds: float) -> str:
    """A time in words: `0.52 -> "0.5s"`, `75 -> "1m15s"`, `7380 -> "2h03m"`."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


@contextlib.contextmanager
def progress(epochs: int, epoch_steps: int, step: int, every: float = 5.0) -> Iterator[Say]:
    """Yields `say(step, loss, note)`. Off a terminal it prints at most one line in `every` seconds, and the last line."""
    total = epochs * epoch_steps
    if sys.stderr.isatty():
        with tqdm(total=total, initial=step, unit="step", file=sys.stderr, dynamic_ncols=True) as bar:

            def show(step: int, loss: float, note: str) -> None:
                bar.set_postfix_str(f"loss {loss:.4f} {note}", refresh=False)
                bar.update(step - bar.n)

            yield show
        return
    started, first, spoke, pending = time.monotonic(), step, -every, ""

    def tell(step: int, loss: float, note: str) -> None:
        nonlocal spoke, pending
        now = time.monotonic()
        left = (now - started) / max(1, step - first) * (total - step)
        pending = f"epoch {step / epoch_steps:.5g}/{epochs}  loss {loss:.4f}  {note}  {duration(left)} left at most"
        if now - started - spoke >= every:
            print(pending, file=sys.stderr, flush=True)
            spoke, pending = now - started, ""

    try:
        yield tell
    finally:
        if pending:
            print(pending, file=sys.stderr, flush=True)
