"""Intervals of means over users, by the bootstrap."""

from __future__ import annotations

import numpy as np

# Resamples, and how many where there are more users than `MANY`.
RESAMPLES, FEWER, MANY = 10_000, 1_000, 50_000
# Numbers in memory at a time.
_BLOCK = 2**23


def intervals(values: np.ndarray, level: float = 0.95, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The percentile bootstrap interval of the mean of each column.

    Users are drawn with replacement, the same ones for all columns. For a difference of two methods the values are the
    differences of each user, so the interval is a paired one. It says what other users would give; it does not say what
    other seeds would give.

    Args:
      values: `f64[users, columns]`, no NaN. level: the share of resamples inside. seed: of the draws.

    Returns:
      `(low f64[columns], high f64[columns])`.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13; paired by user as in Sakai, Evaluating
    Evaluation Metrics Based on the Bootstrap, SIGIR 2006.
    """
    count, random = len(values), np.random.default_rng(seed)
    resamples = RESAMPLES if count <= MANY else FEWER
    means, block = [], max(1, _BLOCK // max(1, count))
    for at in range(0, resamples, block):
        drawn = random.integers(0, count, (min(block, resamples - at), count))
        drawn += count * np.arange(len(drawn))[:, None]
        times = np.bincount(drawn.ravel(), minlength=len(drawn) * count).reshape(len(drawn), count)
        means.append(times @ values / count)
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high
