"""The folder that `onebp prepare` writes: pairs of numbered ids, and two files that give the original ids back.

FOLDER/train/00000.parquet ..   columns user and item, int32: row numbers of the two files of ids; in random order
FOLDER/validation/, test/       the same; a part without pairs has no folder
FOLDER/users.parquet            columns row and id, in the order of the rows
FOLDER/items.parquet            the same
FOLDER/summary.json             what was read, the rules, what was left out
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from onebp_jax.data.ids import int64_or_text
from onebp_jax.errors import NEEDS_PYARROW, UserError

SUMMARY = "summary.json"
FORMAT = "onebp prepared folder 1"
PARTS = ("train", "validation", "test")
ID_FILES = ("users.parquet", "items.parquet")


class Prepared(NamedTuple):
    """What a prepared folder says of itself.

    Attributes:
      ids: the original ids of users and of items, `[M]` and `[N]`, int64 or text.
      split: a sentence that describes the split.
    """

    ids: tuple[np.ndarray, np.ndarray]
    split: str


def read_prepared(folder: Path) -> Prepared | None:
    """Reads the ids of a prepared folder; None if it is another folder.

    Raises:
      UserError: pyarrow is not installed, or a file of the folder is missing or damaged.
    """
    summary = _summary(folder)
    if summary is None:
        return None
    users, items = (_read_ids(folder / name) for name in ID_FILES)
    if (len(users), len(items)) != (summary["users"], summary["items"]):
        raise UserError(
            f"{folder}: the files of ids have {len(users)} users and {len(items)} items, {SUMMARY} says {summary['users']} and "
            f"{summary['items']}; prepare the folder again"
        )
    return Prepared((users, items), summary["split"])


def is_prepared(folder: Path) -> bool:
    """Whether the folder is a prepared one."""
    return _summary(folder) is not None


def _summary(folder: Path) -> dict | None:
    """What `summary.json` holds; None if the folder is not a prepared one."""
    try:
        summary = json.loads((folder / SUMMARY).read_text())
    except (OSError, ValueError):
        return None
    return summary if isinstance(summary, dict) and summary.get("format") == FORMAT else None


def _read_ids(path: Path) -> np.ndarray:
    try:
        return int64_or_text(pd.Index(pd.read_parquet(path, columns=["id"])["id"]))
    except ImportError as error:
        raise UserError(f"{path}: {NEEDS_PYARROW}") from error
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: cannot be read ({error!r}); prepare the folder again") from error
