"""Which rows of an interaction table count: repeated pairs, low ratings, users and items with few pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.data.pairs import to_pairs
from onebp_jax.errors import UserError

KEEPS = ("first", "last")


def deduplicate(frame: pd.DataFrame, keep: str = "first") -> tuple[pd.DataFrame, int]:
    """Keeps one row per (user, item) pair: the first or the last by the column time, without times by the order of the file.

    Returns the frame in its old order, and how many rows were dropped.
    """
    ordered = frame.sort_values("time", kind="stable") if "time" in frame else frame
    kept = frame.loc[ordered.drop_duplicates(["user", "item"], keep=keep).index.sort_values()]  # type: ignore[arg-type]
    return kept, len(frame) - len(kept)


def rated(name: str, frames: list[pd.DataFrame], least: float) -> list[pd.DataFrame]:
    """The rows whose rating is at least `least`; says how many are left out."""
    if not all("rating" in frame for frame in frames):
        raise UserError(f"min_rating={least:g}: {name} has no ratings; name their column with rating_column")
    kept = [frame.loc[frame["rating"] >= least] for frame in frames]
    before, after = sum(map(len, frames)), sum(map(len, kept))
    if not after:
        highest = max(frame["rating"].max() for frame in frames)
        raise UserError(f"min_rating={least:g}: no row of {name} is left, the highest rating is {highest:g}; lower it")
    logging.warning("%s: min_rating=%g left out %d of %d rows", name, least, before - after, before)
    return kept


def core(name: str, frames: list[pd.DataFrame], user_items: int, item_users: int) -> list[pd.DataFrame]:
    """The rows of users with at least `user_items` rows and of items with at least `item_users`, counted in the result.

    Leaving out an item can leave a user with too few, so it repeats until nothing changes (the k-core of the bipartite
    graph). Says how many rows, users and items are left out.
    """
    pairs = np.concatenate([to_pairs(frame) for frame in frames])
    keep = np.ones(len(pairs), bool)
    rounds = 0
    while True:
        enough = np.ones(len(pairs), bool)
        for column, least in ((0, user_items), (1, item_users)):
            counts = np.bincount(pairs[keep, column], minlength=int(pairs[:, column].max(initial=-1)) + 1)
            enough &= counts[pairs[:, column]] >= least
        if not (keep & ~enough).any():
            break
        keep &= enough
        rounds += 1
    asked = f"min_user_items={user_items}, min_item_users={item_users}"
    if not keep.any():
        raise UserError(f"{asked}: no row of {name} is left; lower them")
    users, items = (len(np.unique(pairs[:, c])) - len(np.unique(pairs[keep, c])) for c in (0, 1))
    logging.warning(
        "%s: %s left out %d of %d rows, %d users and %d items (in %d rounds)",
        *(name, asked, len(keep) - keep.sum(), len(keep), users, items, rounds),
    )
    ends = np.cumsum([len(frame) for frame in frames])[:-1]
    return [frame.loc[part] for frame, part in zip(frames, np.split(keep, ends), strict=True)]
