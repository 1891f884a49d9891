"""What a file is by its first bytes, and whether its name says the same."""

from __future__ import annotations

import tarfile
from pathlib import Path

from onebp_jax.data.decoding import check_is_table
from onebp_jax.errors import UserError

PACKED = (".gz", ".zip", ".zst", ".bz2", ".xz")
ZST = b"\x28\xb5\x2f\xfd"
# The first bytes of files that are not text -> what they are.
_BEGINNINGS = {
    b"\x1f\x8b": ".gz",
    b"PK\x03\x04": ".zip (or a spreadsheet)",
    ZST: ".zst",
    b"BZh": ".bz2",
    b"\xfd7zXZ": ".xz",
    b"PAR1": ".parquet",
    b"ARROW1": ".feather (Arrow)",
    b"ORC": ".orc",
    b"Obj\x01": ".avro",
    b"\x93NUMPY": ".npy",
    b"\x89HDF": ".h5 (HDF5)",
    b"SQLite format 3": ".sqlite (a database)",
    b"%PDF": ".pdf",
    b"\x89PNG": ".png (a picture)",
    b"\xff\xd8\xff": ".jpg (a picture)",
    b"7z\xbc\xaf": ".7z",
    b"Rar!": ".rar",
    b"\xd0\xcf\x11\xe0": ".xls (a spreadsheet: save it as .csv)",
}
_HEAD = 1000  # bytes that tell what a file is


def packing(path: Path) -> str:
    """The last ending of the name, in small letters."""
    return path.suffix.lower()


def check_beginning(path: Path, data: bytes) -> None:
    """Raises `UserError` if the data of a text file, unpacked, begin as those of a known format do that is not text."""
    if not (found := _kind(data)):
        return
    end = found.split()[0]
    if packing(path) in PACKED and end != ".tar":
        raise UserError(f"{path}: packed, its content is that of a file {found}, expected text; unpack it")
    raise UserError(f"{path}: not text, its content is that of a file {found}; {_advice(path, end)}")


def check_packing(path: Path) -> None:
    """Raises `UserError` if a file is called packed or Parquet and its first bytes are those of another kind."""
    told = packing(path)
    if told not in (*PACKED, ".parquet"):
        return
    with path.open("rb") as file:
        head = file.read(_HEAD)
    found = _kind(head)
    if found and found.split()[0] != told:
        raise UserError(f"{path}: not {told}, its content is that of a file {found}; {_advice(path, found.split()[0])}")
    if head and not found and not any(byte < 32 and byte not in b"\t\n\v\f\r" for byte in head):
        check_is_table(path, head.decode("utf-8", "ignore").removeprefix("\ufeff"))
        name = path.stem if told in PACKED else f"{path.stem}.csv"
        raise UserError(
            f"{path}: not {told}, its content is plain text, {head[:40].decode('utf-8', 'replace')!r}; name it {name}"
        )


def _kind(data: bytes) -> str | None:
    """What the data are, if they are no text: the ending of such files, perhaps with a word."""
    if found := next((what for start, what in _BEGINNINGS.items() if data.startswith(start)), None):
        return found
    try:
        tarfile.TarInfo.frombuf(data[:512], "utf-8", "replace")
    except tarfile.HeaderError:
        return None
    return ".tar (an archive)"


def _advice(path: Path, end: str) -> str:
    """What to do with a file of another kind than its name says."""
    bare = path.stem if packing(path) in PACKED else path.name
    if end == ".tar":
        return f"unpack it (tar -xf {path.name}) and give one of its files"
    if end == ".parquet":
        return f"name it {Path(bare).stem}.parquet"
    if end in PACKED and packing(path) != ".parquet":
        return f"name it {bare}{end}"
    return "unpack it" if end in PACKED else "convert it to .csv"
