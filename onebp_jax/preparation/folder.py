"""Writes the prepared folder, under another name until it is whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onebp_jax.data.prepared import PARTS, SUMMARY
from onebp_jax.errors import UserError
from onebp_jax.preparation import expressions
from onebp_jax.preparation.engines import Table

if TYPE_CHECKING:
    import pyarrow as pa

# A row group is what a stream reads at a time.
ROWS_OF_A_GROUP = 1 << 17


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to write to, which becomes `out` at the end; an error removes it.

    Raises:
      UserError: `out` exists, or the folder of another preparation of `out`.
    """
    partial = out.with_name(f"{out.name}.partial")
    if out.exists():
        raise UserError(f"out={out}: exists; give another name, or remove it first")
    try:
        partial.mkdir(parents=True)
    except FileExistsError as error:
        raise UserError(
            f"out={out}: {partial} is there, from a preparation that runs or was killed; wait for it, or remove that folder"
        ) from error
    try:
        yield partial
        _flush(partial)
        partial.rename(out)
        _flush(out.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_pairs(folder: Path, pairs: Table, counts: list[int], rows_per_file: int) -> None:
    """Writes the three parts as numbered files with the columns user and item.

    Each file is a query of its own, so memory holds the pairs of one file only.

    Args:
      pairs: user, item, place and part.
      counts: the pairs of each part.
    """
    for part, (name, count) in enumerate(zip(PARTS, counts, strict=True)):
        files, written = -(-count // rows_per_file), 0
        for number in range(files):
            (folder / name).mkdir(exist_ok=True)
            chosen = expressions.in_range(pairs, part, number, files)
            table = chosen.order_by("place", "user", "item").select("user", "item").to_pyarrow()
            written += table.num_rows
            _write(folder / name / f"{number:05d}.parquet", table, {"user": "int32", "item": "int32"})
        if written != count:
            raise RuntimeError(f"{name}: {written} pairs were written, expected {count}")


def write_ids(path: Path, ids: Table, count: int, rows_per_file: int) -> None:
    """Writes the columns new (as row) and id of a table of ids, in the order of the rows."""
    import pyarrow.parquet as pq

    writer = None
    for first in range(0, count, rows_per_file):
        chosen = (
            ids.filter((ids.new >= first) & (ids.new < first + rows_per_file))
            .order_by("new")
            .select(row="new", id="id")
        )
        table = _typed(chosen.to_pyarrow(), {"row": "int32"})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def write_summary(folder: Path, summary: dict[str, Any]) -> None:
    """Writes `summary.json`."""
    (folder / SUMMARY).write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write(path: Path, table: pa.Table, types: dict[str, str]) -> None:
    import pyarrow.parquet as pq

    pq.write_table(_typed(table, types), path, row_group_size=ROWS_OF_A_GROUP)


def _typed(table: pa.Table, types: dict[str, str]) -> pa.Table:
    """The table with these types, text as `string`, and nothing else in its schema: engines differ in that."""
    import pyarrow as pa

    of = lambda field: types.get(field.name) or ("int64" if pa.types.is_integer(field.type) else "string")
    return table.cast(
        pa.schema([pa.field(field.name, pa.type_for_alias(of(field)), nullable=False) for field in table.schema])
    )


def _flush(folder: Path) -> None:
    """Hands what was written to the disk, so that a folder with its final name is whole after a crash too."""
    for path in [*folder.rglob("*"), folder] if folder.name.endswith(".partial") else [folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
