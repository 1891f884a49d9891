"""`Recommender.report`: the page of `onebp report` about a fitted recommender, beside other runs on the same data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from onebp_jax.data.paths import as_path
from onebp_jax.errors import UserError
from onebp_jax.reports.report import write_report
from onebp_jax.serving.genres import genres_of_run
from onebp_jax.training.folder_kinds import folders_of_runs


def report(
    workdir: Path,
    out: str | os.PathLike,
    beside: Sequence[str | os.PathLike] = (),
    items: pd.DataFrame | str | os.PathLike | None = None,
    types: int = 6,
) -> Path:
    """Writes the page (HTML), and returns its path; a folder with its numbers and pictures lies beside it.

    Args:
      workdir: the folder of the run. out: the file of the page.
      beside: folders of other runs on the same data and split, or of `onebp compare`.
      items: a file or frame with ids and genres of items; None: the `items.csv` of the run or of its data set, if there is one.
      types: how many clusters of items the figures of genres have; 0: without these figures.

    Raises:
      UserError: runs that cannot be read or do not belong together, a file that cannot be written, or the extra `analysis` is
        missing.
    """
    page = as_path(out, "out")
    if page.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"out={page}: expected a name that ends in .html, .htm")
    if not page.parent.is_dir():
        raise UserError(f"out={page}: {page.parent} is not a folder: make it first")
    if isinstance(beside, str | os.PathLike) or not isinstance(beside, Sequence):
        raise UserError(f"beside={beside!r:.80}: expected a list of folders")
    others = folders_of_runs([str(as_path(folder, "beside")) for folder in beside])
    given = [repr(str(out))]
    given += [f"beside={[str(folder) for folder in beside]!r}"] if beside else []
    given += (
        ["items=items" if isinstance(items, pd.DataFrame) else f"items={str(items)!r}"] if items is not None else []
    )
    given += [f"types={types}"] if types != 6 else []
    command = f"Recommender.load({str(workdir)!r}).report({', '.join(given)})"
    write_report([str(workdir), *others], page, command, genres_of_run(workdir, items), types, said="beside")
    return page
