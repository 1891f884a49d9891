"""Types in the lists of users: of one user (Fig. 7), and majority and minority types of all users (Fig. 8).

The types are given, `int[N]`. A user's majority type is the one of most of their training items (of equal ones the first), the
minority types are all others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from onebp_jax.analysis.latent_types import counts_of


def of_one_user(
    items: np.ndarray, train: np.ndarray, test: np.ndarray, of_item: np.ndarray, types: int
) -> pd.DataFrame:
    """The list of one user, type by type.

    Args:
      items: `int[k]`, the list. train, test: the items of the user. of_item: the types of all items, `types` of them.

    Returns:
      A frame with a row for each type: type, train and test (items of the user), listed, hits, share (of the list),
      P = hits / listed and R = hits / test, NaN where that is 0 / 0.
    """
    count = lambda chosen: np.bincount(of_item[chosen], minlength=types)
    items = items[items < len(of_item)]  # a short list ends with N
    listed, hits, wanted = count(items), count(np.intersect1d(items, test)), count(test)
    return pd.DataFrame(
        {
            "type": np.arange(types) + 1,
            "train": count(train),
            "test": wanted,
            "listed": listed,
            "hits": hits,
            "share": listed / max(1, len(items)),
            "P": _divided(hits, listed),
            "R": _divided(hits, wanted),
        }
    )


def of_all_users(
    lists: np.ndarray, train: np.ndarray, test: np.ndarray, of_item: np.ndarray, types: int, ks: Sequence[int]
) -> pd.DataFrame:
    """Majority and minority types in the lists of all users with test items.

    Args:
      lists: `int[M, K]`, best first, `N` where there are no more. train, test: `int[., 2]`, pairs. of_item: the types of all
        items, `types` of them. ks: lengths of lists, at most `K`.

    Returns:
      A frame with the columns k, metric, value and users (how many have a value); the mean is over these. The metrics: share_1
      (of the majority type in the list), share_2 .. (of the other types, by the user's own training items), and P and R of
      majority and minority. `k=0` has the shares in the training and in the test items: train_1 .., test_1 ...
    """
    num_users, num_items = len(lists), len(of_item)
    counts = counts_of(train, of_item, num_users, types)
    order = np.argsort(-counts, axis=1, kind="stable")
    users = np.unique(test[:, 0])
    by_rank = lambda table: np.take_along_axis(table, order, 1)[users]
    known = by_rank(counts)
    wanted = by_rank(counts_of(test, of_item, num_users, types))
    rows = []
    for part, table in (("train", known), ("test", wanted)):
        shares = _divided(table, table.sum(axis=1, keepdims=True))
        rows += [_mean(0, f"{part}_{rank + 1}", shares[:, rank]) for rank in range(types)]
    keys = np.sort(test[:, 0].astype(np.int64) * num_items + test[:, 1])
    for k in ks:
        pairs = np.stack([np.repeat(np.arange(num_users), k), lists[:, :k].ravel()], 1).astype(np.int64)
        pairs = pairs[pairs[:, 1] < num_items]
        hit = np.isin(pairs[:, 0] * num_items + pairs[:, 1], keys)
        listed, hits = (by_rank(counts_of(chosen, of_item, num_users, types)) for chosen in (pairs, pairs[hit]))
        shares = _divided(listed, listed.sum(axis=1, keepdims=True))
        rows += [_mean(k, f"share_{rank + 1}", shares[:, rank]) for rank in range(types)]
        for name, part in (("majority", slice(0, 1)), ("minority", slice(1, None))):
            found, shown, there = (table[:, part].sum(axis=1) for table in (hits, listed, wanted))
            rows += [
                _mean(k, f"P_{name}", _divided(found, shown)),
                _mean(k, f"R_{name}", _divided(found, there)),
            ]
    return pd.DataFrame(rows)


def _mean(k: int, metric: str, values: np.ndarray) -> dict:
    there = values[~np.isnan(values)]
    return {"k": k, "metric": metric, "value": there.mean() if len(there) else np.nan, "users": len(there)}


def _divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`a / b`, NaN where b is 0."""
    a, b = np.broadcast_arrays(a.astype(np.float64), b)
    return np.divide(a, b, out=np.full(a.shape, np.nan), where=b > 0)
