"""Bytes of a text file -> text. What is no text, or no table, is refused with its line."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from absl import logging

from onebp_jax.errors import UserError

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # it begins as the mark of UTF-16 does
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_ZERO = "the zero character (NUL)"
# How files begin that are text, but no tables -> what they are, and the advice.
_NO_TABLES = {
    "<": ("a page of HTML or XML", "was it downloaded from a page that asks to log in? get the file itself"),
    '{"': ("JSON", "convert it to .csv"),
    "[{": ("JSON", "convert it to .csv"),
    "[[": ("JSON", "convert it to .csv"),
    "version https://git-lfs": ("a pointer of Git LFS", "get the file itself: git lfs pull"),
}


def decode(path: Path, data: bytes, encoding: str) -> str:
    """The text of a file: in the encoding given, else that of its byte order mark, else UTF-8, else cp1252 with a warning."""
    mark = next((known for start, known in _MARKS.items() if data.startswith(start)), "")
    if not encoding and not mark:
        _check_zeros(path, data)
    try:
        text = data.decode(encoding or mark or "utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        if encoding or mark:
            raise UserError(
                f"{path}: line {_line(data, error.start)}: not {encoding or mark} (byte {error.start}); give another "
                "encoding, or repair the file"
            ) from error
        text = _as_cp1252(path, data, error.start)
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(
            f"encoding={encoding!r}: no such encoding; expected one such as utf-8, cp1252, gbk or utf-16"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UserError(f"{path}: line {line}: {_ZERO}, expected none; remove it, or give another encoding")
    return text


def check_is_table(path: Path, text: str) -> None:
    """Raises `UserError` if the text is of another kind than a table."""
    begin = text[:200].lstrip()
    if found := next((found for start, found in _NO_TABLES.items() if begin.startswith(start)), None):
        raise UserError(f"{path}: line 1: the file is {found[0]}, not a table: {begin[:40]!r}; {found[1]}")


def without_lines_before_header(path: Path, text: str, separator: str) -> str:
    """The text with empty lines in place of `sep=,` and of comments (`# ...`) before the header, which is said."""
    if line := re.match(r'"?sep=(.)"?[ \t]*(?:\r\n?|\n)', text):
        if line[1] != separator:
            raise UserError(
                f"{path}: wrong separator: line 1 says that it is {line[1]!r}, expected {separator!r} because of the name; "
                "convert the file"
            )
        logging.warning("%s: line 1, %r, is for spreadsheets and was left out", path, line[0].rstrip("\r\n"))
        text = "\n" + text[line.end() :]
    comments = re.match(r"(?:[ \t]*(?:#[^\r\n]*)?(?:\r\n?|\n))*", text)
    if comments and "#" in comments[0]:
        lines = re.split(r"\r\n?|\n", comments[0])
        found = [line for line in lines if "#" in line]
        logging.warning(
            "%s: %d comments before the header were left out, such as %r", path, len(found), found[0].strip()[:60]
        )
        text = "\n" * (len(lines) - 1) + text[comments.end() :]
    return text


def _line(data: bytes, place: int) -> int:
    return data.count(b"\n", 0, place) + 1


def _check_zeros(path: Path, data: bytes) -> None:
    """Raises `UserError` for zero bytes, which UTF-8 text has not: other data, UTF-16, or a few characters."""
    if 0 not in data:
        return
    begin = data[:4096]
    even, odd = begin[::2].count(0), begin[1::2].count(0)
    if max(even, odd) > len(begin) / 4 > 4 * min(even, odd):
        end = "be" if even > odd else "le"
        raise UserError(f"{path}: UTF-16 without a byte order mark, expected UTF-8; set encoding=utf-16-{end}")
    try:
        data.decode()
        binary = _controls(begin) > len(begin) / 20
    except UnicodeDecodeError:
        binary = True
    if binary:
        raise UserError(f"{path}: binary data (byte {data.index(0)} is 0), expected text; convert or rename it")
    raise UserError(
        f"{path}: line {_line(data, data.index(0))}: {data.count(0)} times {_ZERO}, expected none; remove it: tr -d "
        "'\\000' < OLD > NEW"
    )


def _controls(data: bytes) -> int:
    """How many bytes are control characters that text seldom has."""
    return sum(byte < 32 and byte not in b"\0\t\n\f\r\x1a\x1b" for byte in data)


def _as_cp1252(path: Path, data: bytes, start: int) -> str:
    """Text that is not UTF-8, with a warning, if it may be that of Windows, of which Latin-1 is a part."""
    line = _line(data, start)
    if _controls(data[:4096]) > len(data[:4096]) / 20:
        raise UserError(f"{path}: line {line}: binary data, expected text; convert or rename it")
    special = [one for one in data.splitlines() if not one.isascii()]
    utf_8 = sum(map(_is_utf_8, special))
    if utf_8:
        raise UserError(
            f"{path}: line {line}: not UTF-8 (byte {start}), but {utf_8} of {len(special)} lines with letters beyond ASCII are; "
            "repair the others, or set encoding to read all lines in one way, such as encoding=cp1252"
        )
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: line {_line(data, error.start)}: neither UTF-8 nor cp1252 (byte {error.start}); set encoding, such as gbk, "
            "shift_jis or cp1251"
        ) from error
    logging.warning(
        "%s: line %d: not UTF-8 (byte %d); read as cp1252 (Windows, Latin-1), which is a guess and decides %d lines, such as %r: "
        "if letters look wrong, set encoding",
        *(path, line, start, len(special), special[0].decode("cp1252")[:40]),
    )
    return text


def _is_utf_8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
