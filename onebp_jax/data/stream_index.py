"""A folder of Parquet files as one long table of pairs; memory holds one row group at a time.

Opening reads the metadata of every file, and once the two id columns, to number the ids. What stays in memory is one row of
metadata per row group, and the original ids with a hash table to look them up, `O(M + N)`; nothing grows with the pairs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from onebp_jax.data.arrow_ids import bare, distinct_ids, kind_of, of_one_type, plain
from onebp_jax.data.beginnings import check_packing
from onebp_jax.data.column_names import check_distinct
from onebp_jax.data.columns import Roles, choose_columns, say_columns_not_taken
from onebp_jax.data.ids import int64_or_text
from onebp_jax.data.packed import check_file
from onebp_jax.data.paths import as_path
from onebp_jax.data.rights import check_rights
from onebp_jax.data.written_ids import say_forms
from onebp_jax.errors import NEEDS_PYARROW, UserError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


class Stream(NamedTuple):
    """Pairs in Parquet files, `P` of them, of `M` users and `N` items.

    Attributes:
      files: the paths, in the order of their names.
      metadata: the Parquet metadata of each file.
      columns: the names of the user column and of the item column.
      groups: `int64[G, 3]`, the row groups in the order of the files: number of the file, number in the file, rows.
      user_ids, item_ids: `[M]` and `[N]`, the original ids (int64 or text); row = internal id, by first appearance.
      numbers: two lookup tables, original id -> internal id, for users and for items.
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
        """`P`; a pair that is in the files twice counts twice."""
        return int(self.groups[:, 2].sum())


def open_stream(
    folder: str | os.PathLike,
    user_column: str | None = None,
    item_column: str | None = None,
    *,
    pattern: str = "*.parquet",
    ids: tuple[np.ndarray, np.ndarray] | None = None,
) -> Stream:
    """Finds the Parquet files of a folder (subfolders are not searched) and numbers their ids.

    Args:
      folder: its files are one table, in the order of their names. Keep test files elsewhere, or give a pattern.
      user_column, item_column: by default the usual names, see `read_interactions`. The columns hold integers or text, the
        same in all files. Other columns are never read.
      pattern: the pattern that the names of the files match.
      ids: the original ids of users and of items, if the files hold row numbers of these arrays; no pass numbers them then.
    Raises:
      UserError: pyarrow is not installed; the folder is missing, has no Parquet file or no rows; a file is damaged, lacks
        a column, has one of another kind than the first file, or has missing values.
    """
    folder = as_path(folder, "folder")
    check_rights(folder)
    files = tuple(sorted(folder.glob(pattern)))
    for file in files:
        check_rights(file)
        check_file(file)
    if not files:
        what = f"the folder has no {pattern} file" if folder.is_dir() else "no such folder"
        raise UserError(
            f"{folder}: {what}, expected a folder of Parquet files; check the path, or make one of a log: onebp prepare"
        )
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise UserError(f"{folder}: {NEEDS_PYARROW}") from error
    metadata, columns = _common_columns(files, Roles.of(user_column, item_column, timed=False))
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
        raise UserError(f"{folder}: the {len(files)} Parquet file(s) have no rows; check the program that wrote them")
    none, no_numbers = np.empty(0), pd.Index([])
    stream = Stream(files, metadata, columns, groups, none, none, (no_numbers, no_numbers))
    users, items = ids or _distinct_ids(stream)
    for role, found in (("user", users), ("item", items)):
        say_forms(f"the {role} ids", found)
    rows = [pd.RangeIndex(len(found)) if ids else pd.Index(found) for found in (users, items)]
    return stream._replace(user_ids=users, item_ids=items, numbers=(rows[0], rows[1]))


def read_group(stream: Stream, group: int, roles: tuple[int, ...] = (0, 1)) -> np.ndarray:
    """The internal ids of one row group, `int32[rows, len(roles)]`; role 0 is the user, 1 the item."""
    import pyarrow as pa

    file, _, rows = stream.groups[group]
    columns = _read_columns(stream, group, roles)
    ids = np.empty((rows, len(roles)), np.int32)
    for place, (role, column) in enumerate(zip(roles, columns, strict=True)):
        numbers, codes = stream.numbers[role], np.arange(len(column))
        if numbers.dtype.kind != "i":  # Python strings are slow to make: each distinct text is looked up once
            encoded = column.cast(pa.large_string()).dictionary_encode()
            column, codes = bare(encoded.dictionary), encoded.indices.to_numpy()
        found = numbers.get_indexer(column.to_numpy(zero_copy_only=False))
        if len(codes) != rows or found.min() < 0:
            raise UserError(f"{stream.files[file]}: has changed since it was opened; open the folder again")
        ids[:, place] = found[codes]
    return ids


def _common_columns(files: tuple[Path, ...], roles: Roles) -> tuple[tuple[pq.FileMetaData, ...], tuple[str, str]]:
    """The metadata of every file, and the names of the user and the item column, which must be alike in all files."""
    metadata, names, kinds = [], ("", ""), ""
    for path in files:
        found, schema = _open(path)
        check_distinct(path, schema.names)
        if not metadata:
            say_columns_not_taken(path, schema.names, roles, "prepare has min_rating")
        # The columns of the first file are the ones to look for in the others.
        columns = choose_columns(path, schema.names, roles)
        names = columns["user"], columns["item"]
        roles = Roles(*names)
        of_file = " and ".join(f"{name} {kind_of(path, schema.field(name))}" for name in names)
        if kinds and kinds != of_file:
            raise UserError(
                f"{path}: the id columns are {of_file}, in {files[0].name} {kinds}; convert one of the files"
            )
        metadata.append(found)
        kinds = of_file
    return tuple(metadata), names


def _open(path: Path) -> tuple[pq.FileMetaData, pa.Schema]:
    """The metadata and the columns of a file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        check_packing(path)
        with pq.ParquetFile(path) as file:
            return file.metadata, file.schema_arrow
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be read as Parquet ({error!r}); write or copy the file again") from error


def _read_columns(stream: Stream, group: int, roles: tuple[int, ...]) -> list[pa.Array]:
    """The id columns of one row group, as int64 or text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file, number, _ = stream.groups[group]
    path, names = stream.files[file], [stream.columns[role] for role in roles]
    try:
        with pq.ParquetFile(path, metadata=stream.metadata[file]) as opened:
            table = opened.read_row_group(int(number), columns=names)
        columns = [plain(f"{path}: row group {number}: the ids in column {name}", table[name]) for name in names]
    except (OSError, KeyError, pa.ArrowException) as error:
        raise UserError(
            f"{path}: row group {number} cannot be read ({error!r}); write or copy the file again"
        ) from error
    return columns


def _distinct_ids(stream: Stream) -> list[np.ndarray]:
    """The distinct ids of both columns, by first appearance."""
    import pyarrow as pa

    parts: list[list[pa.Array]] = [[], []]  # for each column the ids known so far, then those of the groups after it
    last = len(stream.groups) - 1
    for group in range(len(stream.groups)):
        for column, ids in zip(_read_columns(stream, group, (0, 1)), parts, strict=True):
            ids.append(column.unique())
            known, *new = map(len, ids)
            # Merging only when as many new ids have come in takes linear time, and memory for twice the ids.
            if group == last or sum(new) > known:
                ids[:] = [pa.chunked_array(of_one_type(ids)).unique()]
    ids = []
    for name, (found,) in zip(stream.columns, parts, strict=True):
        what = f"{stream.files[0].parent}: the ids in column {name}"
        stored = {file.schema.to_arrow_schema().field(name).type for file in stream.metadata}
        # Ids that differ by blanks alone become one.
        ids.append(int64_or_text(pd.unique(distinct_ids(what, found, stored))))
    return ids
