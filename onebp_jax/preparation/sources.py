"""Finds the files of a log, and which columns hold users, items, times and ratings."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import logging

from onebp_jax.data import beginnings
from onebp_jax.data.column_names import of_recbole
from onebp_jax.data.columns import Roles, choose_columns, say_columns_not_taken
from onebp_jax.data.decoding import check_is_table
from onebp_jax.data.paths import as_path
from onebp_jax.errors import UserError, no_such
from onebp_jax.preparation import engines
from onebp_jax.preparation.engines import Table

PACKED = ("", ".gz", ".zst")
SEPARATORS = {end + packed: "," if end == ".csv" else "\t" for end in (".csv", ".tsv", ".inter") for packed in PACKED}
ENDS = (*SEPARATORS, ".parquet")
NEEDS_PYARROW = "a preparation needs pyarrow: python -m pip install 'onebp-jax[prepare]'"


class Source(NamedTuple):
    """The files of a log; all have the same ending and the same columns.

    Attributes:
      files: the paths, sorted within each folder.
      names: the columns of a text file, in order; empty for Parquet.
      columns: role -> column, for user, item and those of time and rating that are needed.
      kinds: role -> the type of the column in Arrow; "text" in a text file, or such as "float_seq" in one of RecBole.
      separator: of the columns of a text file; empty for Parquet.
    """

    files: list[Path]
    names: list[str]
    columns: dict[str, str]
    kinds: dict[str, str]
    separator: str

    @property
    def is_text(self) -> bool:
        """Whether the ids come from text files, where integers are written as text."""
        return bool(self.separator)


def find(inputs: Sequence[str | Path], roles: Roles) -> Source:
    """Finds the files and looks at the columns of each one.

    Args:
      inputs: files, or folders whose files of a known ending are taken, also from subfolders. Names that begin with a dot or
        an underscore are skipped, as engines do.
      roles: the names of columns, and which roles are needed.

    Raises:
      UserError: there are no files, they differ in ending or columns, or a column is missing.
    """
    files = [file for given in inputs for file in _files(as_path(given, "input"))]
    separators = {SEPARATORS.get(_end(file), "") for file in files}
    if len(separators) > 1:
        ends = " and ".join(sorted({_end(file) for file in files}))
        raise UserError(f"{', '.join(map(str, inputs))}: files of several kinds, {ends}; give one kind at a time")
    (separator,) = separators
    first = _names(files[0], separator)
    say_columns_not_taken(files[0], list(first), roles)
    wanted = {"user", "item", *(["time"] if roles.timed else []), *(["rating"] if roles.rated else [])}
    columns = {
        role: name for role, name in choose_columns(files[0], list(first), roles, first).items() if role in wanted
    }
    for file in files:
        names = _names(file, separator)
        # Parquet is read by the names of columns, text by their order.
        used = lambda found: found if separator else {name: found.get(name, "missing") for name in columns.values()}
        if list(used(names).items()) != list(used(first).items()):
            raise UserError(
                f"{file}: the columns are {_said(used(names))}, in {files[0]} {_said(used(first))}; make them alike"
            )
    return Source(files, list(first), columns, {role: first[name] for role, name in columns.items()}, separator)


def open_table(connection: Any, source: Source) -> Table:
    """The log as one table with the columns user, item and, where needed, time and rating."""
    if source.is_text:
        table = engines.read_text(connection, source.files, source.names, source.separator)
    else:
        table = engines.read_parquet(connection, source.files)
    return table.select(**{role: table[name] for role, name in source.columns.items()})


def _files(given: Path) -> list[Path]:
    """A file, or those of a folder; says which files of the folder are not taken."""
    if given.is_file():
        _end(given)
        return [given.absolute()]
    if not given.is_dir():
        raise UserError(f"input={given}: {no_such('file or folder', given)}; check the path")
    hidden = lambda file: any(part.startswith((".", "_")) for part in file.relative_to(given).parts)
    there = sorted(file for file in given.rglob("*") if file.is_file() and not hidden(file))
    files = [file for file in there if file.name.lower().endswith(ENDS)]
    if not files:
        raise UserError(f"input={given}: the folder has no file that ends in {', '.join(ENDS)}; check the path")
    if others := [file for file in there if not file.name.lower().endswith(ENDS)]:
        logging.warning("%s: %d other files are not read, the first is %s", given, len(others), others[0].name)
    return [file.absolute() for file in files]


def _end(file: Path) -> str:
    end = next((end for end in ENDS if file.name.lower().endswith(end)), None)
    if end is None:
        unpack = "; unpack it, or pack it as .gz or .zst" if file.suffix.lower() in beginnings.PACKED else ""
        raise UserError(f"input={file}: unknown format; expected a name that ends in {', '.join(ENDS)}{unpack}")
    return end


def _names(file: Path, separator: str) -> dict[str, str]:
    """The columns of a file, and the type of each as in `Source.kinds`."""
    return _text_names(file, separator) if separator else _parquet_names(file)


def _text_names(file: Path, separator: str) -> dict[str, str]:
    try:
        beginnings.check_packing(file)
        with _unpacked(file) as data:
            head = data.read(1000)
        beginnings.check_beginning(file, head)
        check_is_table(file, head.decode("utf-8", "ignore").removeprefix("\ufeff"))
        with _unpacked(file) as data, io.TextIOWrapper(data, encoding="utf-8-sig", newline="") as lines:
            names = next(csv.reader(lines, delimiter=separator), [])
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: {engines.NOT_UTF_8}") from error
    except (OSError, EOFError, csv.Error) as error:
        raise UserError(f"{file}: cannot be read or unpacked ({error}); copy it again") from error
    kinds = {}
    if _end(file).startswith(".inter"):
        kinds = of_recbole(names)
        names = [name.split(":")[0] for name in names]
    if len(set(names)) < len(names) or len(names) < 2 or names[0].startswith(("#", "sep=")):
        raise UserError(
            f"{file}: the first line is {separator.join(names)[:60]!r}, expected different names of columns separated by "
            f"{separator!r}; repair or rename the file"
        )
    # RecBole writes single values as text; of several in a field it says so.
    return {name: kinds[name] if kinds.get(name, "").endswith("_seq") else "text" for name in names}


def _unpacked(file: Path) -> Any:
    """The file, opened and unpacked."""
    if file.suffix.lower() == ".gz":
        return gzip.open(file)
    if file.suffix.lower() != ".zst":
        return file.open("rb")
    try:
        import pyarrow as pa
    except ImportError as error:
        raise UserError(NEEDS_PYARROW) from error
    return pa.CompressedInputStream(str(file), "zstd")


def _parquet_names(file: Path) -> dict[str, str]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UserError(NEEDS_PYARROW) from error
    try:
        beginnings.check_packing(file)
        schema = pq.read_schema(file)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{file}: cannot be read as Parquet ({error!r}); write or copy the file again") from error
    kind = lambda type: type.value_type if pa.types.is_dictionary(type) else type
    return {field.name: str(kind(field.type)) for field in schema}


def _said(names: dict[str, str]) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in names.items())[:300]
