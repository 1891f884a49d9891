"""Whether the several vectors of a user are in use: which of them scores best for each item that the user touched."""

from __future__ import annotations

import numpy as np

# Pairs per chunk.
CHUNK = 65536


def interest_usage(user: np.ndarray, item: np.ndarray, pairs: np.ndarray) -> dict[str, float]:
    """How the items of a user spread over the user's vectors; means over the users with pairs.

    Args:
      user: `f32[M, K, d]`. item: `f32[N, d]`. pairs: `int[P, 2]`, (user, item), usually the training pairs.

    Returns:
      `entropy`: each item of a user counts for the vector that scores best for it; the entropy of the vectors' shares, over
      `log K`. It is 1 if all vectors have equal shares and 0 if one vector has all items.
      `dead`: the share of vectors that score best for none of their user's items.

    Raises:
      ValueError: there is only one vector per user.
    """
    if user.ndim != 3 or user.shape[1] < 2:
        raise ValueError(f"expected several vectors per user, [M, K, d], got {user.shape}")
    counts = np.zeros(user.shape[:2])
    for start in range(0, len(pairs), CHUNK):
        users, items = pairs[start : start + CHUNK].T
        best = np.einsum("pkd,pd->pk", user[users], item[items]).argmax(1)
        np.add.at(counts, (users, best), 1)
    counts = counts[counts.sum(1) > 0]
    share = counts / counts.sum(1, keepdims=True)
    entropy = -np.sum(share * np.log(np.where(share > 0, share, 1)), axis=1) / np.log(user.shape[1])
    return {"entropy": float(entropy.mean()), "dead": float((counts == 0).mean())}
