"""A folder of Parquet files as one long table of pairs, of which memory holds a row group at a time.

Opening reads the metadata of every file, and once the two id columns, to number the ids. What stays in memory is a row
of metadata a row group and the original ids with a hash table to look them up by, `O(M + N)`; never a number a pair.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from onebp_jax.data.readers import choose_columns
from onebp_jax.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


class Stream(NamedTuple):
    """Pairs in Parquet files, `P` of them, of `M` users and `N` items.

    Attributes:
      files: the paths, in the order of their names.
      metadata: what Parquet says of each file.
      columns: the names of the user and of the item column.
      groups: `int64[G, 3]`, the row groups in the order of the files: number of the file, of the row group in it, rows.
      user_ids, item_ids: `[M]` and `[N]`, the original ids (int64 or text); row = internal id, by first appearance.
      numbers: two tables, original id -> internal id.
    """

    files: tuple[Path, ...]
    metadata: tuple[pq.FileMetaData, ...]
    columns: tuple[str, str]
    groups: np.ndarray
    user_ids: np.ndarray
    item_ids: np.ndarray
    numbers: tuple[pd.Index, pd.Index]

    @property
    def num_users(self) -> int:
        """`M`."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """`N`."""
        return len(self.item_ids)

    @property
    def num_pairs(self) -> int:
        """`P`, a pair that is in the files twice counted twice."""
        return int(self.groups[:, 2].sum())


def open_stream(
    folder: str | os.PathLike,
    user_column: str | None = None,
    item_column: str | None = None,
    *,
    pattern: str = "*.parquet",
) -> Stream:
    """Finds the Parquet files of a folder (not of folders in it) and numbers their ids.

    Args:
      folder: its files are one table, in the order of their names; keep test files elsewhere, or give a pattern.
      user_column, item_column: by default the usual names, see `read_interactions`. The columns hold integers or text, in
        all files the same; other columns are never read.
      pattern: what the names of the files look like.
    Raises:
      UserError: pyarrow is not installed; the folder is missing, has no Parquet file or no rows; a file is damaged, lacks
        a column or has one of another kind than the first file, or misses values.
    """
    folder = Path(folder).expanduser()
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise UserError(f"{folder}: Parquet needs the package pyarrow: pip install 'onebp-jax[serving]'") from error
    files = tuple(sorted(folder.glob(pattern)))
    if not files:
        what = f"the folder has no {pattern} file" if folder.is_dir() else "no such folder"
        raise UserError(f"{folder}: {what}, expected a folder of Parquet files; check the path")
    metadata, columns, kinds = [], {"user": user_column, "item": item_column}, None
    for path in files:
        found, schema = _open(path)
        columns = choose_columns(path, schema.names, {**columns, "time": None})
        of_file = " and ".join(
            f"{columns[role]} {_kind(path, schema.field(columns[role]))}" for role in ("user", "item")
        )
        if kinds not in (None, of_file):
            raise UserError(
                f"{path}: the id columns are {of_file}, in {files[0].name} {kinds}; convert one of the files"
            )
        metadata, kinds = [*metadata, found], of_file
    names = columns["user"], columns["item"]
    groups = np.array(
        [
            (file, group, found.row_group(group).num_rows)
            for file, found in enumerate(metadata)
            for group in range(found.num_row_groups)
            if found.row_group(group).num_rows
        ],
        np.int64,
    ).reshape(-1, 3)
    if not len(groups):
        raise UserError(f"{folder}: the {len(files)} Parquet file(s) have no rows; check where they were written")
    nameless = Stream(files, tuple(metadata), names, groups, np.empty(0), np.empty(0), ())
    ids = _distinct_ids(nameless)
    return nameless._replace(user_ids=ids[0], item_ids=ids[1], numbers=tuple(map(pd.Index, ids)))


def read_group(stream: Stream, group: int, roles: tuple[int, ...] = (0, 1)) -> np.ndarray:
    """The internal ids of one row group, `int32[rows, len(roles)]`; role 0 is the user, 1 the item."""
    file, _, rows = stream.groups[group]
    columns = _read_columns(stream, group, roles)
    ids = np.empty((rows, len(roles)), np.int32)
    for place, (role, column) in enumerate(zip(roles, columns, strict=True)):
        codes = np.arange(len(column))
        if (
            stream.numbers[role].dtype.kind != "i"
        ):  # text is looked up once a distinct id: making strings of Python is slow
            encoded = column.dictionary_encode()
            column, codes = encoded.dictionary, encoded.indices.to_numpy()
        found = stream.numbers[role].get_indexer(column.to_numpy(zero_copy_only=False))
        if len(codes) != rows or found.min() < 0:
            raise UserError(f"{stream.files[file]}: has changed since it was opened; open the folder again")
        ids[:, place] = found[codes]
    return ids


def _open(path: Path) -> tuple[pq.FileMetaData, pa.Schema]:
    """The metadata and the columns of a file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            return file.metadata, file.schema_arrow
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be read as Parquet ({error!r}); write or copy the file again") from error


def _kind(path: Path, field: pa.Field) -> str:
    """Whether a column holds integers or text, in a dictionary or not."""
    import pyarrow as pa

    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_integer(kind):
        return "integers"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    raise UserError(f"{path}: column {field.name} is of type {field.type}, expected integers or text; convert it")


def _read_columns(stream: Stream, group: int, roles: tuple[int, ...]) -> list[pa.Array]:
    """Id columns of one row group, as int64 or text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file, number, _ = stream.groups[group]
    path, names = stream.files[file], [stream.columns[role] for role in roles]
    try:
        with pq.ParquetFile(path, metadata=stream.metadata[file]) as opened:
            table = opened.read_row_group(int(number), columns=names)
        columns = [_plain(table[name]) for name in names]
    except (OSError, KeyError, pa.ArrowException) as error:
        raise UserError(
            f"{path}: row group {number} cannot be read ({error!r}); write or copy the file again"
        ) from error
    for name, column in zip(names, columns, strict=True):
        if column.null_count:
            raise UserError(
                f"{path}: missing values: {column.null_count} in column {name} of row group {number}, expected none; "
                "remove or fill these rows"
            )
    return columns


def _plain(column: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return column.cast(pa.int64() if pa.types.is_integer(kind) else pa.large_string()).combine_chunks()


def _distinct_ids(stream: Stream) -> list[np.ndarray]:
    """The distinct ids of both columns, by first appearance."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known, pending = [None, None], [[], []]
    last = len(stream.groups) - 1
    for group in range(len(stream.groups)):
        for role, column in enumerate(_read_columns(stream, group, (0, 1))):
            pending[role].append(pc.unique(column))
            # Going through all known ids again only when as many have come in: linear time, memory for twice the ids.
            if group == last or sum(map(len, pending[role])) > len(known[role] or ()):
                parts = [known[role]] * (known[role] is not None) + pending[role]
                known[role], pending[role] = pc.unique(pa.chunked_array(parts)), []
    return [ids.to_numpy() if pa.types.is_integer(ids.type) else np.asarray(ids.to_pylist(), np.str_) for ids in known]
