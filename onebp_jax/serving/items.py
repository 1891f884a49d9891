"""A file of items: the ones that may be recommended, and their titles."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.data.catalogue import NAMES, PUBLISHED_IDS, data_folders
from onebp_jax.data.feature_files import read_by_id
from onebp_jax.data.matched_ids import say_matched_kinds
from onebp_jax.data.paths import as_path
from onebp_jax.errors import UserError, no_such
from onebp_jax.serving.ids import row_index
from onebp_jax.training.run_folder import Trained, write_atomically

# The column of titles, in any case.
TITLE = ("title", "name")
# The column of groups, in any case; of several in a cell the first counts.
GROUP = ("genres", "genre", "category", "group")
# Items and titles that are saved with a run.
ITEMS_FILE = "items.csv"


class Items(NamedTuple):
    """Items of a run.

    Attributes:
      rows: `int[c]`, their rows in the item table, in the order of the file.
      titles: `[c]`, the title of each; None if the file has no titles.
      groups: `[c]`, the group of each, such as a genre, "" if there is none; None if the file has no groups.
      cells: `[c]`, all groups of each as the file writes them, `Comedy|Romance`; None if the file has no groups.
    """

    rows: np.ndarray
    titles: np.ndarray | None
    groups: np.ndarray | None = None
    cells: np.ndarray | None = None


def read_items(source: str | os.PathLike | pd.DataFrame, run: Trained) -> Items:
    """`items_of` for a finished run, which knows the items."""
    return items_of(source, run.config, run.item_ids)


def items_of(source: str | os.PathLike | pd.DataFrame, config, item_ids: np.ndarray) -> Items:
    """Reads the items that a file lists.

    Args:
      source: a CSV, TSV or Parquet file, or a frame, with one row per item. It has the ids in a column of the run's
        `item_column` or of a usual name (item, item_id, ..), and may have a column title or name. If the run is on a set of the
        catalogue with published ids, a column `orig_id` comes first.
      config, item_ids: of the run, and the original ids by row.

    Returns:
      The items that the run knows. What else differs is said in one line.

    Raises:
      UserError: there is no such file or no column of ids, an id is missing or twice, or the run knows none of the ids.
    """
    name = _name(source)
    source = source if isinstance(source, pd.DataFrame) else as_path(source, "items")
    if isinstance(source, Path) and not source.exists():
        raise UserError(f"items={source}: {no_such('file', source)}")
    ids, frame = read_by_id(source, "item", _id_column(config, item_ids))
    if isinstance(source, pd.DataFrame):  # a text file says no types
        say_matched_kinds(f"{name}: its ids", item_ids, ids)
    index = row_index(item_ids)
    rows = np.array([index.get(str(one), -1) for one in ids.tolist()], np.int64)
    known = rows >= 0
    if not known.any():
        raise UserError(
            f"{name}: none of its {len(ids)} ids is an item of the run, such as {item_ids[0]}; check the ids"
        )
    if len(known) != known.sum() or known.sum() < len(item_ids):
        logging.info(
            "%s: %d of the run's %d items are in it, %d of its rows are items that the run does not know",
            *(name, known.sum(), len(item_ids), len(known) - known.sum()),
        )
    titles, groups = (_texts(frame, names, known) for names in (TITLE, GROUP))
    if titles is None:
        logging.info("%s: it has no column title or name, so lists have no titles", name)
    first = None if groups is None else np.array([re.split(r"[|,;]", text)[0].strip() for text in groups], object)
    return Items(rows[known], titles, first, groups)


def _texts(frame: pd.DataFrame, names: tuple[str, ...], known: np.ndarray) -> np.ndarray | None:
    """The first column with one of these names, as text; None if there is none."""
    column = next((one for wanted in names for one in frame if str(one).lower() == wanted), None)
    return None if column is None else frame[column].fillna("").astype(str).to_numpy(object)[known]


def _name(source: object) -> str:
    return "the frame of items" if isinstance(source, pd.DataFrame) else str(source)


def _id_column(config, item_ids: np.ndarray) -> str | None:
    """The column of ids in a file of items; None for the usual names."""
    if config.item_column:
        return str(config.item_column)
    # Runs made before the catalogue had published ids are numbered from 0.
    numbered = item_ids.dtype == np.int64 and bool((item_ids == np.arange(len(item_ids))).all())
    return PUBLISHED_IDS if config.dataset in NAMES and not numbered else None


def known_titles(workdir: str | Path, run: Trained) -> Items | None:
    """The titles that a run knows of: `items.csv` in its folder, else the file of `config.item_features`; None if there are none.

    Args:
      workdir: the folder of the run. run: as it was read back.
    """
    own, features = Path(workdir) / ITEMS_FILE, str(run.config.item_features)
    if own.exists():
        return read_items(own, run)
    if features in ("", "auto"):
        return None
    try:
        if (
            _id_column(run.config, run.item_ids) == PUBLISHED_IDS
            and PUBLISHED_IDS not in read_by_id(Path(features).expanduser(), "item", None)[1]
        ):
            raise UserError(f"{features} has no column {PUBLISHED_IDS}")
        return read_items(Path(features).expanduser(), run)
    except UserError as error:
        logging.warning("lists have no titles: %s", error)
        return None


def catalogue_items(config, data_dir: str | os.PathLike | None) -> Path | None:
    """The file of items of a set of the catalogue, if the run is on one and its folder has such a file."""
    if config.dataset not in NAMES:
        return None
    found = (folder / str(config.dataset) / "items.csv" for folder in data_folders(data_dir).values())
    return next((path for path in found if path.is_file()), None)


def items_to_keep(source: str | os.PathLike | pd.DataFrame, config, item_ids: np.ndarray) -> pd.DataFrame:
    """The file `items.csv` of a run: the items of a file or frame that the run knows, their titles, and groups if there are some.

    Raises:
      UserError: as `items_of`, or there are no titles.
    """
    items = items_of(source, config, item_ids)
    if items.titles is None:
        raise UserError(f"items: {_name(source)} has no column title or name, which lists would show: leave items out")
    groups = {} if items.groups is None else {"group": items.groups}
    return pd.DataFrame({"item": item_ids[items.rows], "title": items.titles} | groups)


def write_items(workdir: Path, frame: pd.DataFrame) -> None:
    """Writes the frame of `items_to_keep` into the folder of a run."""
    write_atomically(Path(workdir) / ITEMS_FILE, lambda file: frame.to_csv(file, index=False))


def with_titles(lists: pd.DataFrame, items: Items | None, item_ids: np.ndarray, column: str = "item") -> pd.DataFrame:
    """Lists with a last column `title`; an item without a title has an empty text.

    Args:
      lists: a frame with original item ids in `column`. items: their titles, or None. item_ids: the original ids of the run, by
        row. column: the column of items.
    """
    if items is None or items.titles is None:
        return lists
    titles = dict(zip(item_ids[items.rows].tolist(), items.titles, strict=True))
    return lists.assign(title=[titles.get(one, "") for one in lists[column].tolist()])
