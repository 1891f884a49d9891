"""Events for TensorBoard, an option (`tensorboard=True`): the lines of `metrics.jsonl`, in a folder `tensorboard`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from onebp_jax.errors import UserError

Log = Callable[[dict], None]
MISSING = (
    "tensorboard=True: the package tensorboardX is missing: pip install 'onebp-jax[tensorboard]', or leave it False"
)


def check_tensorboard(config) -> None:
    """Raises `UserError` if a config asks for events and nothing can write them."""
    if config.tensorboard:
        _writer()


def _writer() -> type:
    try:
        from tensorboardX import SummaryWriter  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError(MISSING) from error
    return SummaryWriter


@contextlib.contextmanager
def event_log(folder: Path, wanted: bool, step: int) -> Iterator[Log]:
    """Yields `log(line)`, which writes the loss and the metrics of a line of `metrics.jsonl`; it does nothing unless `wanted`.

    Args:
      step: where the run goes on. Events of later steps, from before a crash, no longer count.
    """
    if not wanted:
        yield lambda line: None
        return
    with _writer()(str(folder / "tensorboard"), purge_step=step + 1) as writer:

        def log(line: dict) -> None:
            writer.add_scalar("train/loss", line["loss"], line["step"])
            for name, value in line["metrics"].items():
                writer.add_scalar(f"{line['split']}/{name}", value, line["step"])

        yield log
