"""The two protocols: how the evaluations of a run become one result.

`honest` (the default): some training pairs of each user are held out for validation. ONE epoch is chosen by validation
NDCG@20 with patience, and the test set is read once, at that epoch.

`paper_oracle`: every evaluation reads the TEST set, and each metric at each k keeps its own best epoch. The paper's tables
were made this way. It selects on the test set, so it is biased upwards: use it only to compare with those tables, and label it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from onebp_jax.evaluation.metrics import ACCURACY

CRITERION = "NDCG@20"
SELECTION = {
    "honest": "one epoch, chosen on validation NDCG@20; test read once",
    "paper_oracle": "each metric at its own best epoch ON THE TEST SET (paper_oracle: biased upwards, for parity only)",
}


class Selection(NamedTuple):
    """What the evaluations so far have selected.

    Attributes:
      epoch: the chosen epoch; 0 before the first evaluation. value: its `CRITERION`, None without one.
      since: evaluations since then without a better value.
      oracle: metric -> `[best value, its epoch]`, for each accuracy metric; the first of equal values wins.
    """

    epoch: int
    value: float | None
    since: int
    oracle: dict[str, list]


def start() -> Selection:
    """The selection before the first evaluation."""
    return Selection(epoch=0, value=None, since=0, oracle={})


def record(selection: Selection, epoch: int, metrics: dict[str, float]) -> tuple[Selection, bool]:
    """Adds one evaluation; returns the new selection and whether `epoch` is the best so far by `CRITERION`.

    Without metrics the last epoch is chosen.
    """
    if not metrics:
        return selection._replace(epoch=epoch), True
    oracle = dict(selection.oracle)
    for name, value in metrics.items():
        counts = name.split("@")[0] in ACCURACY and math.isfinite(value)
        if counts and (name not in oracle or value > oracle[name][0]):
            oracle[name] = [value, epoch]
    value = metrics[CRITERION]
    if math.isfinite(value) and (selection.value is None or value > selection.value):
        return Selection(epoch, value, 0, oracle), True
    return selection._replace(since=selection.since + 1, oracle=oracle), False
