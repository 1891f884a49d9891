"""The genres of a run's items, out of a file of items."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from onebp_jax.analysis.genres import Genres, genres_of
from onebp_jax.errors import UserError
from onebp_jax.serving.items import ITEMS_FILE, catalogue_items, read_items
from onebp_jax.training import run_folder


def genres_of_run(
    workdir: str | Path,
    source: pd.DataFrame | str | os.PathLike | None = None,
    data_dir: str | os.PathLike | None = None,
) -> Genres | None:
    """The genres of the items of a run; None if none are known.

    Args:
      workdir: its folder. source: a file or frame with ids and a column genres, genre, category or group; None for the
        `items.csv` of the run, or else that of its data set. data_dir: the data root, for sets of the catalogue.

    Raises:
      UserError: the given file has no such column, or no item has a genre.
    """
    run = run_folder.read_run(workdir, "runs")
    own = Path(workdir) / ITEMS_FILE
    known = own if own.exists() else catalogue_items(run.config, data_dir)
    found, given = (known, False) if source is None else (source, True)
    items = None if found is None else read_items(found, run)
    if items is not None and items.cells is not None and (given or any(items.cells)):
        return genres_of(items.cells, items.rows, len(run.item_ids))
    if given:
        name = "the frame" if isinstance(source, pd.DataFrame) else source
        raise UserError(
            f"items: {name} has no column genres, genre, category or group: add one, such as Comedy|Romance"
        )
    return None
