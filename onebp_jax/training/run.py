"""What changes in a run (`Run`) and what stays the same (`Job`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from onebp_jax.evaluation.protocols import Selection
from onebp_jax.ops.fold import Fold
from onebp_jax.types import Array, Interactions, State


class Seconds(NamedTuple):
    """Wall time of a run so far, by what it was spent on; `prepare` is what came before the first step, without reading files."""

    train: float = 0.0
    eval: float = 0.0
    compile: float = 0.0
    prepare: float = 0.0


class Progress(NamedTuple):
    """What a run remembers beside its arrays, as plain numbers.

    Attributes:
      selection: what its evaluations have selected.
      epoch_loss: sum of the losses of the current epoch's examples so far, and the number of these examples.
      seconds: wall time.
    """

    selection: Selection
    epoch_loss: tuple[float, int] = (0.0, 0)
    seconds: Seconds = Seconds()

    def to_json(self) -> dict:
        """As JSON-able values, the way checkpoints hold it."""
        return {
            "selection": self.selection._asdict(),
            "epoch_loss": list(self.epoch_loss),
            "seconds": self.seconds._asdict(),
        }

    @classmethod
    def from_json(cls, saved: dict) -> Progress:
        """The progress that `to_json` wrote."""
        total, count = saved["epoch_loss"]
        return cls(Selection(**saved["selection"]), (total, count), Seconds(**saved["seconds"]))


class Run(NamedTuple):
    """All that a run has come to: its `state`, the `best` vectors so far, and its `progress`."""

    state: State
    best: tuple[Array, Array]
    progress: Progress

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self.state.step)


class Job(NamedTuple):
    """What stays the same in a run.

    Attributes:
      config: the configuration.
      data: the interactions on the devices.
      watched: the split that evaluations read, "validation" or "test"; empty for none, then the last epoch counts.
      epoch_steps: steps in an epoch. call_steps: most steps in a call.
      compile: `compile(run, length) -> run` makes the program of that many steps.
      advance: `advance(run, length) -> run` runs this program, and makes it first if need be.
      measure: `measure(user, item) -> metrics` on the watched split; no metrics without one.
      vectors: `vectors(state) -> (user, item)`, to rank and to keep.
      rank: what makes the `top_k` of vectors that lie on several devices, see `evaluator`; None for one device.
      fold: how a user grows event by event, see `Encoder.fold`; None where a user is no sum over events.
    """

    config: Any
    data: Interactions
    watched: str
    epoch_steps: int
    call_steps: int
    compile: Callable[[Run, int], Run]
    advance: Callable[[Run, int], Run]
    measure: Callable[[Array, Array], dict[str, float]]
    vectors: Callable[[State], tuple[Array, Array]]
    rank: Callable | None
    fold: Fold | None
