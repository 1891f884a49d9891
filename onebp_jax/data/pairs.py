"""NumPy operations on (user, item) pairs and on the rows of a CSR array."""

from __future__ import annotations

import numpy as np
import pandas as pd


def to_pairs(frame: pd.DataFrame) -> np.ndarray:
    """The columns user and item as `int32[P, 2]`."""
    return np.ascontiguousarray(frame[["user", "item"]].to_numpy(dtype=np.int32))


def pair_keys(pairs: np.ndarray) -> np.ndarray:
    """`int64[P]`: one number per pair, in the order of (user, item); `split_keys` undoes it."""
    return pairs[:, 0].astype(np.int64) << 32 | pairs[:, 1]


def split_keys(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The users and the items of `pair_keys`."""
    return keys >> 32, keys & 0xFFFFFFFF


def item_counts(pairs: np.ndarray, num_items: int) -> np.ndarray:
    """`int[N]`: how many of the pairs `int[P, 2]` each item has."""
    return np.bincount(pairs[:, 1], minlength=num_items)


def in_sorted(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """`bool`, of the shape of `values`: whether each is in the ascending array `ordered`; no second sort, unlike `np.isin`."""
    if not len(ordered):
        return np.zeros(values.shape, bool)
    return ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)] == values


def row_places(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """`int[sum of lengths]`: the places `starts[r] .. starts[r] + lengths[r] - 1` of each row, one row after another."""
    return np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
