"""Top-k lists and metrics of a finished run, as read by `onebp_jax.training.run_folder.read_run`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from onebp_jax.data import evaluation_pairs
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.pairs import row_places
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.errors import NEEDS_PYARROW, UserError
from onebp_jax.evaluation import ranking
from onebp_jax.evaluation.measure import measure
from onebp_jax.parallel import Layout, shard_tables, spread_top_k
from onebp_jax.training import run_folder
from onebp_jax.training.run_folder import Trained
from onebp_jax.types import Array

SPLITS = ("test", "validation", "train")
SEEN = ("train", "all", "none")
# The number of users that are ranked at a time.
SLICE = 2**16


def parse_ids(texts: Sequence[str], known: np.ndarray) -> np.ndarray:
    """The rows of ids that a person wrote.

    Args:
      texts: the ids as text.
      known: the original ids, by row.

    Returns:
      `int[n]`, the row of each text.

    Raises:
      UserError: an id is unknown.
    """
    row_of = {str(original): row for row, original in enumerate(known.tolist())}
    unknown = [text for text in texts if text not in row_of]
    if unknown:
        raise UserError(
            f"users={unknown[0]!r}: not an id of the run ({len(unknown)} of the {len(texts)} given ids are unknown)"
        )
    return np.array([row_of[text] for text in texts], np.int64)


def recommend(
    run: Trained, rows: np.ndarray | None, k: int, seen: np.ndarray | None, layout: Layout | None = None
) -> pd.DataFrame:
    """The `k` best items of users, best first.

    Args:
      run: a finished run.
      rows: `int[n]`, user rows in any order; None for all users.
      k: the length of each list.
      seen: `int[P, 2]`, (user row, item row) pairs to leave out; None to leave out nothing.
      layout: the devices that rank; None for one device.

    Returns:
      A frame with the columns user, rank (from 1), item and score, with the original ids. A user with fewer than `k` items left
      gets a shorter list.
    """
    rows = np.arange(len(run.user)) if rows is None else rows
    seen = np.zeros((0, 2), np.int64) if seen is None else seen
    seen = seen[np.argsort(seen[:, 0], kind="stable")]
    (item,) = shard_tables(layout, run.item)
    found = [_lists(run, item, rows[at : at + SLICE], k, seen, layout) for at in range(0, max(1, len(rows)), SLICE)]
    scores, ids = (np.concatenate(column) for column in zip(*found, strict=True))
    user, rank = np.nonzero(ids < len(run.item))
    return pd.DataFrame(
        {
            "user": run.user_ids[rows[user]],
            "rank": rank + 1,
            "item": run.item_ids[ids[user, rank]],
            "score": scores[user, rank],
        }
    )


def _lists(run: Trained, item: Array, rows: np.ndarray, k: int, seen: np.ndarray, layout: Layout | None):
    """`[scores f32[n, k], item rows int[n, k]]` of the users `rows int[n]`; `seen` is sorted by user."""
    starts, ends = (np.searchsorted(seen[:, 0], rows, side) for side in ("left", "right"))
    lengths = ends - starts
    left_out = np.stack([np.repeat(np.arange(len(rows)), lengths), seen[row_places(starts, lengths), 1]], 1)
    plan = ranking.plan(len(rows), len(run.item), left_out)
    (user,) = shard_tables(layout, run.user[rows])
    top_k = spread_top_k(layout, np.arange(len(rows))) if layout else ranking.top_k
    return [np.asarray(part) for part in top_k(user, item, plan, k)]


def write_lists(lists: pd.DataFrame, path: Path) -> None:
    """Writes the lists of `recommend`.

    Args:
      lists: a frame of `recommend`.
      path: its ending chooses the format: `.csv`, `.parquet` or `.jsonl` (one line per user).

    Raises:
      UserError: the ending is another one, or Parquet is asked for without pyarrow.
    """
    if path.suffix not in WRITERS:
        raise UserError(f"out={path}: expected a name that ends in {', '.join(WRITERS)}")
    try:
        run_folder.write_atomically(path, lambda file: WRITERS[path.suffix](lists, file))
    except ImportError as error:
        raise UserError(f"out={path}: {NEEDS_PYARROW}, or choose another format") from error


def as_jsonl(lists: pd.DataFrame) -> str:
    """One JSON object per user and line: `{"user": .., "items": [..], "scores": [..]}`."""
    lines = []
    for user, group in lists.groupby("user", sort=False):
        items, scores = group["item"].tolist(), [round(score, 6) for score in group["score"].tolist()]
        lines.append(json.dumps({"user": user, "items": items, "scores": scores}) + "\n")
    return "".join(lines)


WRITERS = {
    ".csv": lambda lists, file: lists.to_csv(file, index=False),
    ".parquet": lambda lists, file: lists.to_parquet(file, index=False),
    ".jsonl": lambda lists, file: file.write(as_jsonl(lists).encode()),
}


def seen_pairs(dataset: Dataset | StreamedDataset, which: str, rows: np.ndarray | None = None) -> np.ndarray | None:
    """The (user row, item row) pairs to leave out of lists.

    Args:
      dataset: what the run was trained on.
      which: "train" (includes the validation pairs), "all" (includes the test pairs too) or "none".
      rows: the users who get lists; None for all.

    Returns:
      `int[P, 2]`, or None for "none".

    Raises:
      UserError: `which` is another word.
    """
    if which not in SEEN:
        raise UserError(f"exclude={which}: expected one of {', '.join(SEEN)}")
    if which == "none":
        return None
    seen = evaluation_pairs.known_pairs(dataset, np.arange(dataset.num_users) if rows is None else np.unique(rows))
    return seen if which == "train" else np.concatenate([seen, dataset.test])


def evaluate(
    run: Trained, dataset: Dataset | StreamedDataset, split: str, layout: Layout | None = None
) -> dict[str, float]:
    """The metrics of a run on one split.

    Args:
      run: a finished run.
      dataset: what it was trained on.
      split: "test" (training items are left out of the lists), "validation" (as the run held it out) or "train" (the fit).
      layout: the devices that rank; None for one device.

    Returns:
      Metric -> value.

    Raises:
      UserError: `split` is another word, or the split is empty.
    """
    if split not in SPLITS:
        raise UserError(f"split={split}: expected one of {', '.join(SPLITS)}")
    seen, wanted = evaluation_pairs.split_of(run.config, dataset, split)
    if not len(wanted):
        raise UserError(f"the {split} split of {dataset.name} is empty: there is nothing to measure")
    user, item = shard_tables(layout, run.user, run.item)
    return measure(dataset, seen, wanted, user, item, partial(spread_top_k, layout) if layout else None)
