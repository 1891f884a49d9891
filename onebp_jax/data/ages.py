"""The order of each user's events, where it is known."""

from __future__ import annotations

import numpy as np

from onebp_jax.data.dataset import Dataset


def ages(config, dataset: Dataset, pairs: np.ndarray) -> np.ndarray | None:
    """How many pairs of the same user came after each pair.

    Args:
      pairs: `int[P, 2]`, some of `dataset.train`, in its order.

    Returns:
      `i32[P]`, 0 for each user's last pair; of equal times, the later one in the file is the later one. None if the order is not
      known: the split is not by time, and `validation` does not say that the file is in the order of time.
    """
    if dataset.train_times is not None:
        number = lambda of: of[:, 0].astype(np.int64) * dataset.num_items + of[:, 1]
        known = number(dataset.train)
        order = np.argsort(known)
        times = dataset.train_times[order[np.searchsorted(known, number(pairs), sorter=order)]]
    elif config.validation == "last":
        times = np.arange(len(pairs))
    else:
        return None
    order = np.lexsort((times, pairs[:, 0]))
    users = pairs[order, 0]
    made = np.empty(len(pairs), np.int32)
    made[order] = np.cumsum(np.bincount(users))[users] - 1 - np.arange(len(pairs))
    return made
