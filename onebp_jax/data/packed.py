"""Files as bytes: found, read, unpacked. The last ending of the name tells the compression, and must be true."""

from __future__ import annotations

import bz2
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from onebp_jax.data.beginnings import PACKED, ZST, check_beginning, check_packing, packing
from onebp_jax.errors import NEEDS_PYARROW, UserError, no_such

_ZIP_END = 22  # bytes of the record that ends an archive, but for its comment


def plain_name(path: Path) -> str:
    """The name of the file in small letters, without the ending of a compression."""
    return (path.stem if packing(path) in PACKED else path.name).lower()


def check_file(path: Path, argument: str = "") -> None:
    """Raises `UserError` unless the path is a file; the message begins with the argument and has the nearest files."""
    if path.is_file():
        return
    what = no_such("file", path)
    if path.is_dir():
        names = sorted(entry.name for entry in path.iterdir())
        what = f"is a folder, expected a file; it holds {', '.join(names[:10]) or 'nothing'}{' ..' * (len(names) > 10)}"
    given = f"{argument}={str(path)!r}" if argument else path
    raise UserError(f"{given}: {what}; check the path")


def read_bytes(path: Path, argument: str = "") -> bytes:
    """The content of a text file, unpacked."""
    check_file(path, argument)
    try:
        check_packing(path)
        data = _unpacked(path, path.read_bytes())
    except UserError:
        raise
    except (ValueError, OSError, EOFError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read or unpacked ({error}); copy or download the file again") from error
    if not data.removeprefix(b"\xef\xbb\xbf").strip():
        raise UserError(f"{path}: the file is empty, expected rows; check the program that wrote it")
    check_beginning(path, data)
    return data


def _unpacked(path: Path, data: bytes) -> bytes:
    if not data:
        return data
    if packing(path) == ".zip":
        return _only_member(path, data)
    if packing(path) == ".zst":
        return _unzstd(path, data)
    unpackers = {".gz": lambda: zlib.decompressobj(wbits=31), ".bz2": bz2.BZ2Decompressor, ".xz": lzma.LZMADecompressor}
    unpacker = unpackers.get(packing(path))
    return _streams(data, unpacker) if unpacker else data


def _streams(data: bytes, unpacker: Callable[[], Any]) -> bytes:
    """One or several packed streams, perhaps with zeros after each; other bytes after the last are a fault."""
    parts = []
    while data:
        stream = unpacker()
        try:
            parts.append(stream.decompress(data))
        except (OSError, zlib.error, lzma.LZMAError) as error:
            if not parts:
                raise
            raise OSError(f"{len(data)} bytes after the end of the packed data are something else") from error
        if not stream.eof:
            raise EOFError("the end of the packed data is missing")
        data = stream.unused_data.lstrip(b"\0")
    return b"".join(parts)


def _only_member(path: Path, data: bytes) -> bytes:
    """The one file of a zip archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
        if len(names) != 1:
            raise UserError(
                f"{path}: the archive has {len(names)} files, expected one; unpack it and give one of the files"
            )
        surplus = len(data) - (data.rfind(b"PK\5\6") + _ZIP_END + len(archive.comment))
        if surplus > 0 and data[-surplus:].strip(b"\0"):
            raise zipfile.BadZipFile(f"{surplus} bytes after the end of the packed data are something else")
        return archive.read(names[0])


def _unzstd(path: Path, data: bytes) -> bytes:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise UserError(
            f"{path}: {NEEDS_PYARROW}, or unpack it (unzstd {path.name})".replace("Parquet", ".zst")
        ) from error
    try:
        return pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    except (pa.ArrowException, OSError) as error:
        if "Unknown frame descriptor" in str(error) and data.startswith(ZST):
            raise OSError("bytes after the end of the packed data are something else") from error
        raise OSError(error) from error
