"""The nearest items of an item and the nearest users of a user, by their vectors."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pandas as pd

from onebp_jax.ops.geometry import ranked_by_dot, without_lengths
from onebp_jax.parallel import Layout
from onebp_jax.serving.recommend import check_length, recommend
from onebp_jax.training.run_folder import Trained


def similar_items(
    run: Trained, rows: np.ndarray | None, k: int, layout: Layout | None = None, items: np.ndarray | None = None
) -> pd.DataFrame:
    """The `k` most similar items of items, best first, without the item itself.

    The score is the cosine of two vectors. Where a method compares vectors by distance, it is minus the squared distance.

    Args:
      run: a finished run. rows: `int[n]`, item rows in any order; None for all items. k: the length of each list.
      layout: the devices that rank; None for one device.
      items: `int[c]`, the item rows that may be in a list; None for all.

    Returns:
      A frame with the columns item, rank (from 1), similar and score, with the original ids.
    """
    return _similar(run, run.item, run.item_ids, rows, k, layout, items).rename(
        columns={"user": "item", "item": "similar"}
    )


def similar_users(run: Trained, rows: np.ndarray | None, k: int, layout: Layout | None = None) -> pd.DataFrame:
    """The `k` most similar users of users, best first, without the user itself; as `similar_items`.

    Where users have several vectors, the best pair of vectors counts.

    Args:
      run: a finished run. rows: `int[n]`, user rows in any order; None for all users. k: the length of each list.
      layout: the devices that rank; None for one device.

    Returns:
      A frame with the columns user, rank (from 1), similar and score, with the original ids.
    """
    return _similar(run, run.user, run.user_ids, rows, k, layout).rename(columns={"item": "similar"})


def _similar(
    run: Trained,
    vectors: np.ndarray,
    ids: np.ndarray,
    rows: np.ndarray | None,
    k: int,
    layout: Layout | None,
    among: np.ndarray | None = None,
) -> pd.DataFrame:
    """Lists of a run in which the vectors are the users and the items too."""
    check_length(k)
    rows = np.arange(len(ids)) if rows is None else rows
    several = vectors.shape[1] if vectors.ndim == 3 else 1
    asking, asked = _comparable(vectors)
    asked = asked.reshape(len(ids) * several, -1)
    own = np.repeat(rows, several), (rows[:, None] * several + np.arange(several)).ravel()
    # Each of the `several` vectors of a row is an "item", so `k * several` of them belong to `k` rows or more.
    as_run = run._replace(user=asking, item=asked, user_ids=ids, item_ids=np.repeat(ids, several))
    lists = recommend(as_run, rows, k * several, np.stack(own, 1), layout, among)
    if several > 1:
        place = (lists["rank"] == 1).cumsum()  # a row that is asked for twice has two lists
        lists = lists.loc[~lists.assign(place=place).duplicated(["place", "item"])]
        lists = lists.assign(rank=lists.groupby(place, sort=False).cumcount() + 1)
        lists = lists.loc[lists["rank"] <= k].reset_index(drop=True)
    return lists


def _comparable(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(asking, asked)`: vectors whose dot product is the similarity."""
    places = without_lengths(vectors)
    if places is not None:
        asking, asked = ranked_by_dot(*[jnp.asarray(places)] * 2)
        return np.asarray(asking), np.asarray(asked)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    units = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return units, units
