"""The two ways to turn a run's evaluations into one result.

`honest` (the default): part of each user's training items is held out for validation; ONE epoch is chosen by validation
NDCG@20 with patience, and the test set is read once, at that epoch.

`paper_oracle`: every evaluation reads the TEST set, and each metric at each k keeps its own best epoch. This is how the paper's
tables were made. It selects on the test set and is biased upwards: for parity with those tables only, always so labelled.
"""

from __future__ import annotations

import math

from onebp_jax.evaluation.metrics import ACCURACY

CRITERION = "NDCG@20"
SELECTION = {
    "honest": "one epoch, chosen on validation NDCG@20; test read once",
    "paper_oracle": "each metric at its own best epoch ON THE TEST SET (paper_oracle: biased upwards, for parity only)",
}


def start() -> dict:
    """The selection so far, as plain numbers that go into a checkpoint."""
    return {"epoch": 0, "value": None, "since": 0, "oracle": {}}


def record(selection: dict, epoch: int, metrics: dict[str, float]) -> tuple[dict, bool]:
    """Adds one evaluation; returns the new selection and whether `epoch` is the best so far by `CRITERION`.

    `oracle` maps each accuracy metric to `[best value, its epoch]`; the first of equal values wins. Without metrics there is
    nothing to choose by, and the last epoch counts.
    """
    if not metrics:
        return selection | {"epoch": epoch}, True
    oracle = dict(selection["oracle"])
    for name, value in metrics.items():
        counts = name.split("@")[0] in ACCURACY and math.isfinite(value)
        if counts and (name not in oracle or value > oracle[name][0]):
            oracle[name] = [value, epoch]
    value = metrics[CRITERION]
    if math.isfinite(value) and (selection["value"] is None or value > selection["value"]):
        return {"epoch": epoch, "value": value, "since": 0, "oracle": oracle}, True
    return selection | {"since": selection["since"] + 1, "oracle": oracle}, False
