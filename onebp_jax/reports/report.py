"""A report: reads runs, makes numbers and pictures, and writes the page with its folder of CSV and SVG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from absl import logging

from onebp_jax.analysis import pictures as analysis_pictures
from onebp_jax.analysis.genres import Genres
from onebp_jax.errors import UserError
from onebp_jax.reports import accuracy_section, genres_section, listed, lists_section, making, making_section
from onebp_jax.reports.numbers import numbers
from onebp_jax.reports.page import page
from onebp_jax.reports.runs import read
from onebp_jax.reports.words import counted
from onebp_jax.training.files import write_atomically


def write_report(
    folders: Sequence[str],
    out: Path,
    command: str,
    genres: Genres | None = None,
    types: int = 6,
    bases: Mapping[str, dict] = MappingProxyType({}),
    said: str = "runs",
) -> Path:
    """Writes the page `out` and, beside it, the folder of its numbers (CSV) and pictures (SVG).

    Args:
      folders: of finished runs on the same data. command: what made the page. genres: of the items, if they are known.
      types: how many clusters of items, if there are genres; 0: no figures of genres and types. bases: see `making.command`.
      said: what a message calls the folders.

    Returns:
      The folder: `report_files` for `report.html`.

    Raises:
      UserError: runs that cannot be read or compared, a place that cannot be written, a wrong number of types, or matplotlib is
        missing.
    """
    analysis_pictures.plotting()  # without the extra, this is said before any work
    if isinstance(types, bool) or not isinstance(types, int) or types < 0 or types == 1:
        raise UserError(f"types={types!r}: expected a whole number from 2, or 0 for no figures of genres and types")
    folder = out.with_name(f"{out.stem}_files")
    if out.is_dir() or (folder.exists() and not folder.is_dir()):
        raise UserError(f"out={out}: {out if out.is_dir() else folder} is in the way: give another name")
    found = read(folders, max(listed.KS), said)
    if genres is not None and types >= found.dataset.num_items:
        raise UserError(f"types={types}: expected fewer than the {found.dataset.num_items} items")
    if genres is None and types:
        logging.info("no genres of the items are known, so the page has no figures of them (items=FILE gives them)")
    told = numbers(found, genres)
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("*.csv"), *folder.glob("*.svg"), folder / "analysis.md"]:
        old.unlink(missing_ok=True)  # of an earlier page
    for name, frame in told.frames().items():
        write_atomically(
            folder / f"{name}.csv", lambda file, frame=frame: frame.to_csv(file, index=False, float_format="%.6g")
        )
    data, seeds = found.dataset, sorted({run.seed for run in found.runs})
    pairs = (
        f"{len(data.train):,} training and {len(data.test):,} test pairs"
        if found.tested
        else f"{len(data.train):,} pairs"
    )
    about = [
        f"{data.num_users:,} users, {data.num_items:,} items, {pairs}; split: {data.split}. "
        f"{counted(len(found.runs), 'run')} of {counted(len(found.names), 'method')}, seed{'s' * (len(seeds) > 1)} "
        f"{', '.join(map(str, seeds))}.",
    ]
    shown = [
        accuracy_section.summary(found, told),
        accuracy_section.section(found, told, folder),
        making_section.curves(found, told, folder),
        lists_section.section(found, told, folder),
        genres_section.section(found, genres, types, folder, command),
        making_section.speed(found, told, folder),
        making_section.how(found, [making.command(run, bases) for run in found.runs], command, folder.name),
    ]
    text = page(f"Report on {Path(data.name).name}", about, shown)
    write_atomically(out, lambda file: file.write(text.encode()))
    return folder
