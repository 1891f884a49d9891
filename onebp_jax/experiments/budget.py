"""Runs within a time limit: a run that stands is read back, and one that would not end in time is not begun."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from onebp_jax.config import as_plain
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.training import run_folder
from onebp_jax.training.run import Seconds
from onebp_jax.training.train import train


class OutOfTime(Exception):
    """A run was not begun, because it would not end in time."""


class Budget:
    """Runs of one program.

    Attributes:
      stand, made, left: folders of runs that stood already, that were made now, and that were not begun.
      took: method -> the seconds of its longest run so far, those that stood included.
    """

    def __init__(self, hours: float | None = None, say: Callable = print, clock: Callable = time.monotonic):
        """Args: hours: None for no limit; they begin now. say: is told of each run. clock: seconds."""
        self._clock, self._say = clock, say
        self._end = None if hours is None else clock() + 3600 * hours
        self.stand: list[Path] = []
        self.made: list[Path] = []
        self.left: list[Path] = []
        self.took: dict[str, float] = {}

    def train(self, config, dataset: Dataset | StreamedDataset, folder: Path, layout=None) -> dict:
        """The result of a run, as `train` returns it; an unfinished run goes on.

        Raises:
          OutOfTime: the longest earlier run of the method, or of any method if there is none, would not fit into what is left.
        """
        method = str(as_plain(config)["method"])
        stands = run_folder.has_ended(folder, config)
        if not stands and self._is_late(method):
            self.left.append(folder)
            raise OutOfTime(str(folder))
        began = self._clock()
        result = train(config, dataset, folder, layout)
        spent = self._clock() - began
        if stands:
            spent = sum(result["seconds"].get(name, 0.0) for name in Seconds._fields)
        self.took[method] = max(spent, self.took.get(method, 0.0))
        known = self.stand if stands else self.made
        if folder not in (*self.stand, *self.made):
            known.append(folder)
            self._say(f"  {folder.name}: {'stands' if stands else f'{spent:.0f} s'}")
        return result

    def _is_late(self, method: str) -> bool:
        if self._end is None:
            return False
        expected = self.took.get(method, max(self.took.values(), default=0.0))
        return self._clock() + expected >= self._end
