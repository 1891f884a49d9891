"""Whether the several vectors of a user are in use: which of them scores best for each item that he touched."""

from __future__ import annotations

import numpy as np

# Pairs that are looked at at a time.
CHUNK = 65536


def interest_usage(user: np.ndarray, item: np.ndarray, pairs: np.ndarray) -> dict[str, float]:
    """How a user's items spread over his vectors, as means over the users who have any.

    Args:
      user: `f32[M, K, d]`. item: `f32[N, d]`. pairs: `int[P, 2]`, (user, item), as a rule those of training.

    Returns:
      `entropy`, that of the shares of a user's items by the vector that scores best for them, over `log K`: 1 where all are
      in use alike, 0 where one takes all; `dead`, the share of vectors that are the best for none of their user's items.

    Raises:
      ValueError: one vector a user, for which there is nothing to measure.
    """
    if user.ndim != 3 or user.shape[1] < 2:
        raise ValueError(f"expected several vectors a user, [M, K, d], got {user.shape}")
    counts = np.zeros(user.shape[:2])
    for start in range(0, len(pairs), CHUNK):
        users, items = pairs[start : start + CHUNK].T
        best = np.einsum("pkd,pd->pk", user[users], item[items]).argmax(1)
        np.add.at(counts, (users, best), 1)
    counts = counts[counts.sum(1) > 0]
    share = counts / counts.sum(1, keepdims=True)
    entropy = -np.sum(share * np.log(np.where(share > 0, share, 1)), axis=1) / np.log(user.shape[1])
    return {"entropy": float(entropy.mean()), "dead": float((counts == 0).mean())}
