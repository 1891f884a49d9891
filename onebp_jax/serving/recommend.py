"""Top-k lists and metrics of a finished run, as read by `onebp_jax.training.run_folder.read_run`."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.data import evaluation_pairs
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.pairs import in_sorted, row_places
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.errors import NEEDS_PYARROW, UserError, one_of
from onebp_jax.evaluation import ranking
from onebp_jax.evaluation.measure import measure
from onebp_jax.parallel import Layout, shard_tables, spread_top_k
from onebp_jax.training import run_folder
from onebp_jax.training.run_data import OTHER_DATA
from onebp_jax.training.run_folder import Trained
from onebp_jax.types import Array

SPLITS = ("test", "validation", "train")
SEEN = ("all", "train", "none")
# The number of users that are ranked at a time.
SLICE = 2**16
# Numbers of users and pairs up to this one are rounded up.
SMALL = 2**12


def check_length(k: object) -> None:
    """Raises `UserError` unless `k` is the length of a list."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise UserError(f"k={k!r}: expected a whole number, at least 1")


def check_switch(name: str, value: object) -> None:
    """Raises `UserError` unless a value is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise UserError(f"{name}={value!r}: expected True or False")


def recommend(
    run: Trained,
    rows: np.ndarray | None,
    k: int,
    seen: np.ndarray | None,
    layout: Layout | None = None,
    items: np.ndarray | None = None,
) -> pd.DataFrame:
    """The `k` best items of users, best first.

    Args:
      run: a finished run.
      rows: `int[n]`, user rows in any order; None for all users.
      k: the length of each list.
      seen: `int[P, 2]`, (user row, item row) pairs to leave out; None to leave out nothing.
      layout: the devices that rank; None for one device.
      items: `int[c]`, the item rows to rank, in any order; None for all items.

    Returns:
      A frame with the columns user, rank (from 1), item and score, with the original ids. A user with fewer than `k` items left
      gets a shorter list.

    Raises:
      UserError: `k` is below 1, or there are no items to rank.
    """
    check_length(k)
    rows = np.arange(len(run.user)) if rows is None else rows
    items = np.arange(len(run.item)) if items is None else np.unique(items)
    if not len(items):
        raise UserError("items=[]: expected at least one item to rank; leave it out for all items")
    seen = _among(np.zeros((0, 2), np.int64) if seen is None else seen, rows, items)
    (item,) = shard_tables(layout, run.item[items])
    found = [
        _lists(run, item, (len(items), k), rows[at : at + SLICE], seen, layout)
        for at in range(0, max(1, len(rows)), SLICE)
    ]
    scores, ids = (np.concatenate(column) for column in zip(*found, strict=True))
    user, rank = np.nonzero(ids < len(items))
    return pd.DataFrame(
        {
            "user": run.user_ids[rows[user]],
            "rank": rank + 1,
            "item": run.item_ids[items[ids[user, rank]]],
            "score": scores[user, rank],
        }
    )


def say_unknown(run: Trained) -> None:
    """Warns of users of whom nothing is known: all scores of such a user are 0."""
    if nothing := int((~run.user.any(1)).sum()):
        logging.warning("nothing is known of %d user(s): their lists are in the order of the items", nothing)


def _among(seen: np.ndarray, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
    """The pairs of these users and (ascending) items, sorted by user, with places in `items` as items."""
    seen = seen[np.isin(seen[:, 0], rows) & in_sorted(seen[:, 1], items)]
    seen = seen[np.argsort(seen[:, 0], kind="stable")]
    return np.stack([seen[:, 0], np.searchsorted(items, seen[:, 1])], 1)


def _lists(
    run: Trained, item: Array, sizes: tuple[int, int], rows: np.ndarray, seen: np.ndarray, layout: Layout | None
):
    """`[scores f32[n, k], places int[n, k]]` of the users `rows int[n]`; `sizes`: items, `k`; `seen` as `_among` returns it."""
    num_items, k = sizes
    count = len(rows)
    rows = np.resize(rows, _rounded(count))
    starts, ends = (np.searchsorted(seen[:, 0], rows, side) for side in ("left", "right"))
    lengths = ends - starts
    left_out = np.stack([np.repeat(np.arange(len(rows)), lengths), seen[row_places(starts, lengths), 1]], 1)
    plan = ranking.plan(len(rows), num_items, left_out)
    plan = plan._replace(seen=_with_rounded_sizes(plan.seen))
    (user,) = shard_tables(layout, run.user[rows])
    top_k = spread_top_k(layout, np.arange(len(rows))) if layout else ranking.top_k
    return [np.asarray(part)[:count] for part in top_k(user, item, plan, k)]


def _rounded(size: int) -> int:
    """The next power of two of a small size: so users who are asked for one by one share a compiled program."""
    return 1 << (size - 1).bit_length() if 0 < size <= SMALL else size


def _with_rounded_sizes(seen: ranking.Seen) -> ranking.Seen:
    """The pairs of a plan with padding at their end, which belongs to no row."""
    width = _rounded(seen.width)
    more = _rounded(len(seen.rows) - seen.width + width) - len(seen.rows)
    rows, item_ids = (jnp.pad(part, (0, more), constant_values=-1) for part in (seen.rows, seen.item_ids))
    return ranking.Seen(rows, item_ids, seen.starts, width)


def write_lists(lists: pd.DataFrame, path: str | Path | None) -> None:
    """Writes the lists of `recommend` or of `similar_items` and `similar_users`, or prints them as CSV.

    Args:
      lists: a frame of one of them.
      path: its ending chooses the format: `.csv`, `.parquet` or `.jsonl` (one line per user); None to print.

    Raises:
      UserError: the ending is another one, or Parquet is asked for without pyarrow.
    """
    if path is None:
        lists.to_csv(sys.stdout, index=False, float_format="%.6f")
        return
    path = Path(path)
    if (ending := path.suffix.lower()) not in WRITERS:
        raise UserError(f"out={path}: expected a name that ends in {', '.join(WRITERS)}")
    try:
        run_folder.write_atomically(path, lambda file: WRITERS[ending](lists, file))
    except ImportError as error:
        raise UserError(f"out={path}: {NEEDS_PYARROW}, or choose another format") from error


def as_jsonl(lists: pd.DataFrame) -> str:
    """One JSON object per list and line: `{"user": .., "items": [..], "scores": [..]}`, with `titles` where there are some.

    Lists of similar items or users have `item` or `user`, and `similar`.
    """
    asked, _, found, *_ = list(lists)
    lines = []
    for one, group in lists.groupby(asked, sort=False):
        values = {"items" if found == "item" else found: group[found].tolist()}
        values["scores"] = [round(score, 6) for score in group["score"].tolist()]
        if "title" in group:
            values["titles"] = group["title"].tolist()
        lines.append(json.dumps({asked: one} | values, ensure_ascii=False) + "\n")
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
      which: "all", "train" (without the test pairs, but with those of validation) or "none".
      rows: the users who get lists; None for all.

    Returns:
      `int[P, 2]`, or None for "none".

    Raises:
      UserError: `which` is another word.
    """
    if which not in SEEN:
        raise UserError(f"exclude={which!r}: expected {one_of(which, SEEN)}")
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
        Refitted vectors have seen the test part: then the metrics are those of the honest run, as in `result.json`.
      layout: the devices that rank; None for one device.

    Returns:
      Metric -> value.

    Raises:
      UserError: `split` is another word, or the split is empty.
    """
    if split not in SPLITS:
        raise UserError(f"split={split!r}: expected {one_of(split, SPLITS)}")
    if split == "test" and dataset.split.startswith(OTHER_DATA) and not len(dataset.test):
        raise UserError(
            f"{dataset.name}: nothing is left to measure: all its pairs were trained on, or are of users or items that the "
            "model does not know"
        )
    if run.result.get("refit") and split != "train" and not dataset.split.startswith(OTHER_DATA):
        if split == "test" and run.result["metrics"]:
            logging.info("%s", run.result["refit"]["says"])
            return run.result["metrics"]
        raise UserError(
            f"split={split}: the vectors are refitted on all pairs, so there is nothing to measure; for new pairs, give "
            "dataset=PATH"
        )
    seen, wanted = evaluation_pairs.split_of(run.config, dataset, split)
    if not len(wanted):
        raise UserError(f"the {split} split of {dataset.name} is empty: there is nothing to measure")
    user, item = shard_tables(layout, run.user, run.item)
    return measure(dataset, seen, wanted, user, item, partial(spread_top_k, layout) if layout else None)
