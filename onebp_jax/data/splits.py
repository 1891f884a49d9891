"""Splits of (user, item) pairs, per user, deterministic.

A random split is a function of the *set* of pairs and the seed: the order of the file does not change it. Every user
keeps at least one pair. Both parts keep the order of the file. `round` is Python's (halves go to the even number).

Source of the proportions: the released splits of the OneBP paper (https://arxiv.org/abs/2403.18227). On the MovieLens
sets their test parts have round(n / 5) of the n pairs of every user.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from onebp_jax.errors import UserError

# Each purpose has its own random numbers, so a test split and a validation split with the same seed are independent.
RATIO, LEAVE_ONE_OUT, VALIDATION, SYNTHETIC, EVALUATION, ROW_GROUPS, WINDOW = range(7)
# The beginning of the sentence that describes a split by one point in time for all users.
ALL_TRAIN = "none, all pairs are train"
ONE_CUT = "one cut in time"


def per_user_ratio(
    pairs: np.ndarray, fraction: float, seed: int, times: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Holds out `round(n * fraction)` of the n pairs of every user.

    Args:
      pairs: `int32[P, 2]`, columns user and item, no pair twice.
      fraction: in [0, 1).
      seed: non-negative; has no effect if times are given.
      times: `[P]` or None. If given, the latest pairs are held out; of equal times, the later ones in the file.
    Returns:
      (kept, held_out), `int32[P - T, 2]` and `int32[T, 2]`.

    >>> kept, held_out = per_user_ratio(np.array([[0, 5], [0, 6], [0, 7]], np.int32), 0.4, seed=0, times=[3, 1, 2])
    >>> kept.tolist(), held_out.tolist()
    ([[0, 6], [0, 7]], [[0, 5]])
    """
    counts = _counts(pairs, fraction)
    return _hold_out(pairs, np.rint(counts * fraction), _keys(pairs, seed, RATIO, times))


def leave_one_out(pairs: np.ndarray, seed: int, times: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Holds out one pair of every user with two or more: the latest if times are given, else a random one.

    Arguments and returns as in `per_user_ratio`.
    """
    return _hold_out(pairs, np.ones_like(_counts(pairs)), _keys(pairs, seed, LEAVE_ONE_OUT, times))


def one_cut(pairs: np.ndarray, fraction: float, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Holds out the latest pairs of all users together: those at or after one point in time.

    Pairs of equal time stay together, so the share held out is the nearest possible to `fraction`, and no pair that is kept is
    as late as one that is held out. A user may keep no pair. Arguments and returns as in `per_user_ratio`.

    Raises:
      UserError: all pairs have the same time.

    >>> kept, held_out = one_cut(np.array([[0, 5], [1, 6], [0, 7]], np.int32), 0.4, times=[3, 1, 2])
    >>> kept.tolist(), held_out.tolist()
    ([[1, 6], [0, 7]], [[0, 5]])
    """
    _counts(pairs, fraction)
    times = _keys(pairs, 0, RATIO, times)
    count = round(len(pairs) * fraction)
    if not count:
        return pairs, pairs[:0]
    cut = np.partition(times, -count)[-count]
    late = [times >= cut, times > cut]
    if late[0].all() and not late[1].any():
        raise UserError(
            f"one cut in time: all {len(pairs)} pairs have the same time; split by 'ratio', or give other times"
        )
    held_out = min(late, key=lambda held: (held.all() or not held.any(), abs(int(held.sum()) - count)))
    return pairs[~held_out], pairs[held_out]


def tied_users(pairs: np.ndarray, times: np.ndarray, is_kept: np.ndarray) -> tuple[int, int]:
    """How many users have their latest kept and their earliest held-out pair at the same time, and how many have both."""
    ends = [
        pd.Series(times[part]).groupby(pairs[part, 0]).agg(which)
        for part, which in ((is_kept, "max"), (~is_kept, "min"))
    ]
    kept, held_out = ends[0].align(ends[1], join="inner")
    return int(np.count_nonzero(kept.to_numpy() == held_out.to_numpy())), len(kept)


def hold_out_validation(
    pairs: np.ndarray, fraction: float, seed: int, times: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Holds out `round(n * fraction)` train pairs of every user, but at least 1 if the user has 5 or more.

    Arguments and returns as in `per_user_ratio`; a fraction of 0 holds out nothing.
    """
    counts = _counts(pairs, fraction)
    at_least = (counts >= 5) & (fraction > 0)
    return _hold_out(pairs, np.maximum(np.rint(counts * fraction), at_least), _keys(pairs, seed, VALIDATION, times))


def of_some_users(pairs: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The pairs of `count` random users with pairs; all pairs if `count` is 0 or at least the number of such users."""
    users = np.unique(pairs[:, 0])
    if not count or count >= len(users):
        return pairs
    return pairs[np.isin(pairs[:, 0], generator(seed, EVALUATION).choice(users, count, replace=False))]


def generator(seed: int, purpose: int, *numbers: int) -> np.random.Generator:
    """The random numbers of one purpose, and of further `numbers` such as the epoch (always equally many per purpose)."""
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise UserError(f"seed={seed!r}: expected an integer of 0 or more; choose another")
    return np.random.Generator(np.random.PCG64([int(seed), purpose, *numbers]))


def _counts(pairs: np.ndarray, fraction: float = 0.0) -> np.ndarray:
    """Checks the arguments and returns the pairs of each user, `[max user + 1]`."""
    if not 0 <= fraction < 1:
        raise UserError(
            f"fraction={fraction}: expected 0 <= fraction < 1; 0.2 holds out a fifth of the pairs of each user"
        )
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu" or (pairs < 0).any():
        raise UserError(
            f"pairs have shape {pairs.shape} and type {pairs.dtype}, expected [P, 2] integers of 0 or more, "
            "columns user and item; pass Dataset.train"
        )
    return np.bincount(pairs[:, 0])


def _keys(pairs: np.ndarray, seed: int, purpose: int, times: np.ndarray | None = None) -> np.ndarray:
    """The sort keys of the pairs `[P]`; the last pairs of each user are held out."""
    if times is not None:
        times = np.asarray(times)
        if times.shape != (len(pairs),) or np.isnan(times).any():
            raise UserError(f"times have shape {times.shape}, expected {(len(pairs),)} without NaN; give one per pair")
        return times
    keys = np.empty(len(pairs))
    keys[np.lexsort((pairs[:, 1], pairs[:, 0]))] = generator(seed, purpose).random(len(pairs))
    return keys


def _hold_out(pairs: np.ndarray, quotas: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Holds out the last `quotas[user]` pairs of every user in the order of the keys, but never all of them."""
    order = np.lexsort((keys, pairs[:, 0]))  # stable, so equal keys stay in the order of the file
    users = pairs[order, 0]
    counts = np.bincount(users, minlength=len(quotas))
    places_from_end = np.cumsum(counts)[users] - np.arange(len(pairs))  # 1 = the last pair of the user
    held_out = np.empty(len(pairs), bool)
    held_out[order] = places_from_end <= np.minimum(quotas, counts - 1)[users]
    return pairs[~held_out], pairs[held_out]
