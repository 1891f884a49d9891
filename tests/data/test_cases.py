"""Files as they are: each kind of odd file is read right, refused with its line, or read with a warning (docs/odd_files.md)."""

import bz2
import decimal
import gzip
import io
import lzma
import os
import tarfile
import tracemalloc
import unicodedata
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from onebp_jax.config import default_config
from onebp_jax.data import Dataset, from_frame, load, load_streamed, open_stream, read_interactions
from onebp_jax.data.beginnings import PACKED
from onebp_jax.data.catalogue import NAMES
from onebp_jax.data.evaluation_pairs import hold_out
from onebp_jax.data.fingerprint import _crc32, fingerprint
from onebp_jax.data.stream import epoch_batches
from onebp_jax.errors import UserError
from onebp_jax.training.files import read_npz, write_npz

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def ids_of(dataset) -> tuple[list, list]:
    return dataset.user_ids.tolist(), dataset.item_ids.tolist()


def refused(function, *args, **kwargs) -> str:
    """The message, which has to be one line."""
    with pytest.raises(UserError) as caught:
        function(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def lines(rows, header="user,item,time"):
    return "\n".join([header, *rows]) + "\n"


# What is refused: name of the file, content, words of the message.
REFUSED = {
    "triples": ("a.txt", "1 10 5\n1 11 4\n\n2 10 3\n", ["lines 1 and 2 begin with 1", "3 numbers", "convert to CSV"]),
    "quadruples": ("a.txt", "1 10 5 99\n2 11 4 98\n1 10 3 97\n", ["lines 1 and 3", "4 numbers"]),
    "no header": ("a.csv", "1,10,5\n1,11,4\n", ["no user column", "1, 10, 5"]),
    "stray quotes": ("a.tsv", 'user\titem\na\t"x\nb\ty\nc\tz"\n', ["line 4", "item holds 2 line(s)", "stray quote"]),
    "stray quotes in another column": (
        "a.csv",
        'user,item,title\n1,5,"big\n2,6,heat\n3,7,up"\n4,8,x\n',
        ["line 4", "title holds 2 line(s)", "'2,6,heat'", "stray quote"],
    ),
    "a stray quote on two lines": (
        "a.tsv",
        'title\tuser\tnote\titem\nx\t1\t"a\t5\ny\t2\tb"\t6\n',
        ["line 3", "note holds 1 line(s)"],
    ),
    "a stray quote in the times": ("a.csv", 'user,item,time\n1,5,"3\n2,5,4"\n', ["line 3", "time holds"]),
    "a quote that never closes": ("a.csv", 'user,item\na,x\nb,"y\nc,z\n', ["line 3", "a quote that never closes"]),
    "a quote that never closes, last line": ("a.tsv", 'user\titem\n"a\nb"\tx\nc\t"y', ["line 4", "never closes"]),
    "text after a quote": ("a.csv", 'user,item\n1,5\n2,"abc"def\n', ["line 3", "text follows a closing quote"]),
    "text after a quote and a blank": ("a.tsv", 'user\titem\n1\t"abc" def\n', ["line 2", "text follows"]),
    "backslashes before quotes": ("a.csv", 'user,item\n1,"say \\"hi\\""\n', ["line 2", "text follows"]),
    "header twice": ("a.csv", "user,item\n1,5\n\nuser,item\n2,5\n", ["line 4", "the header again"]),
    "header twice, joined files with marks": (
        "a.csv",
        "\ufeffuser,item\na,x\n\ufeffuser,item\nb,y\n",
        ["line 3", "the header again"],
    ),
    "header twice, blanks": ("a.csv", "user,item\na,x\nuser , item\nb,y\n", ["line 3", "the header again"]),
    "header twice, another case": ("a.csv", "user,item\na,x\nUser,Item\nb,y\n", ["line 3", "the header again"]),
    "header twice, another column": (
        "a.csv",
        "x,user,item,y\n1,a,x,2\nz,user,item,w\n",
        ["line 3", "the header again"],
    ),
    "header twice, another order": ("a.csv", "user,item\na,x\nitem,user\ny,b\n", ["line 3", "again, 'item,user'"]),
    "header twice, other usual names": ("a.csv", "user,item,x\na,y,1\nuserId,movieId,stars\n", ["line 3"]),
    "header twice, every name": (
        "a.csv",
        "plays,day,user,item\n1,2,a,x\nuser,item,plays,day\nb,y,1,2\n",
        ["line 3", "again, 'user,item,plays,day'", "one order"],
    ),
    "header of ratings.dat": (
        "ratings.dat",
        "UserID::MovieID::Rating::Timestamp\n1::5::3::9\n",
        ["line 1", "a header, 'UserID,MovieID,Rating,Timestamp'"],
    ),
    "header of u.data": ("u.data", "uid\tiid\trating\ttimestamp\n1\t5\t3\t9\n", ["line 1", "a header"]),
    "header of u.data, two columns": ("u.data", "user_id\titem_id\n1\t5\n", ["line 1", "a header"]),
    "header twice, inter": (
        "a.inter",
        "user_id:token\titem_id:token\n1\t5\nuser_id:token\titem_id:token\n",
        ["line 3"],
    ),
    "wrong encoding": ("a.csv", "user,item\n1,\u5b57\n".encode("gbk"), ["line 2", "not utf-8"]),
    "zeros": ("a.csv", "user,item\n1,5\n".encode("utf-16-le"), ["UTF-16", "encoding=utf-16-le"]),
    "zeros, UTF-16 of the other order": ("a.csv", "user,item\n1,5\n".encode("utf-16-be"), ["encoding=utf-16-be"]),
    "a zero character": (
        "a.csv",
        "user,item\n1,5\n2,a\0b\n",
        ["line 3: 1 times the zero character (NUL)", "remove it"],
    ),
    "a zero character in UTF-16": ("a.csv", "user,item\n2,a\0b\n".encode("utf-16"), ["line 2: the zero character"]),
    "binary data": ("a.csv", bytes(range(256)), ["binary data"]),
    "binary data without zeros": ("a.csv", bytes(range(1, 256)), ["binary data"]),
    "a picture": ("a.csv", b"\x89PNG\r\n\x1a\n" + bytes(9), [".png (a picture)"]),
    "a page": ("a.csv", "\n<!DOCTYPE html><p>a, b</p>", ["a page of HTML"]),
    "JSON": ("a.csv", '[{"user": 1, "item": 5}]', ["JSON, not a table", "convert"]),
    "a pointer of Git LFS": ("a.csv", "version https://git-lfs.github.com/spec/v1\n", ["git lfs pull"]),
    "another separator for spreadsheets": ("a.csv", "sep=;\nuser;item\n1;5\n", ["line 1 says that it is ';'"]),
    "one line in another encoding": (
        "a.csv",
        "user,item\n1,\u5b57\n".encode() + b"2,caf\xe9\n",
        ["line 3: not UTF-8", "1 of 2 lines with letters beyond ASCII are", "encoding=cp1252"],
    ),
    "neither UTF-8 nor cp1252": ("a.csv", b"user,item\n1,\x81\x81\n", ["line 2: neither UTF-8 nor cp1252", "encoding"]),
    "column twice": ("a.csv", "user,item,item\n1,5,6\n", ["two columns are called 'item'"]),
    "column twice but for blanks": ("a.csv", "user,item,item \n1,5,6\n", ["two columns are called 'item'"]),
    "zeros in front among numbers with a point": (
        "a.csv",
        "user,item\n7.0,5\n007,6\n",
        ["line 3", "007 has zeros or a plus in front", "7.0 in the same column is a number"],
    ),
    "many digits and a point": ("a.csv", f"user,item\n7.0,5\n{2**60}.0,6\n", ["line 3", "more than 15 digits"]),
    "booleans": ("a.csv", "user,item\nTrue,5\nFalse,6\n", ["user ids are of type boolean (True)"]),
    "scientific ids": ("a.csv", "user,item\n1,123\n2,1.23E+12\n", ["line 3", "1.23E+12", "scientific"]),
    "ids with fractions": ("a.csv", "user,item\n1,1.0\n2,2.5\n", ["line 3", "2.5", "whole numbers"]),
    "plain blank id": ("a.csv", "user,item\n1,  \n", ["line 2", "missing values"]),
    "blank id": ("a.csv", 'user,item\n1,"\u00a0"\n', ["line 2", "empty or blank"]),
    "field too many": ("a.csv", "user,item\n1,5\n2,6,7\n", ["line 3 has 3 fields, the first has 2"]),
    "gz called csv": ("a.csv", gzip.compress(b"user,item\n1,2\n"), ["content is that of a file .gz; name it a.csv.gz"]),
    "parquet called csv": ("a.csv", b"PAR1 and more", [".parquet"]),
    "damaged xz": ("a.csv.xz", b"\0not xz", ["cannot be read or unpacked"]),
    "cut gz": ("a.csv.gz", gzip.compress(b"user,item\na,x\n")[:-5], ["cannot be read or unpacked"]),
    "cut bz2": ("a.csv.bz2", bz2.compress(b"user,item\na,x\n")[:-5], ["cannot be read or unpacked"]),
    "cut bz2, LightGCN": ("a.txt.bz2", bz2.compress(b"1 2\n")[:-5], ["cannot be read or unpacked"]),
    "cut xz": ("a.csv.xz", lzma.compress(b"user,item\na,x\n")[:-5], ["cannot be read or unpacked"]),
    "damaged zst": ("a.csv.zst", b"\0not zst", ["cannot be read or unpacked"]),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_with_its_line(tmp_path, kind):
    name, content, words = REFUSED[kind]
    encoding = "utf-8" if kind == "wrong encoding" else ""
    message = refused(load, write(tmp_path, name, content), encoding=encoding)
    assert all(word in message for word in [name, *words]), message


# What is read with a warning: name, content, options, user and item ids, words of the warning.
WARNED = {
    "latin-1": (
        "a.csv",
        "user,item\n1,caf\u00e9\n".encode("latin-1"),
        {},
        ([1], ["caf\u00e9"]),
        ["line 2", "Latin-1", "decides 1 lines, such as '1,caf\u00e9'", "encoding"],
    ),
    "cp1252": (
        "a.csv",
        "user,item\n1,\u20ac\n".encode("cp1252"),
        {},
        ([1], ["\u20ac"]),
        ["line 2", "cp1252", "a guess"],
    ),
    "a line for spreadsheets": (
        "a.csv",
        "sep=,\r\nuser,item\r\n1,5\r\n",
        {},
        ([1], [5]),
        ["line 1, 'sep=,', is for spreadsheets and was left out"],
    ),
    "comments before the header": (
        "a.csv",
        "\ufeff# of 2024, \n\n# by hand\nuser,item\n1,5\n",
        {},
        ([1], [5]),
        ["2 comments before the header were left out, such as '# of 2024,'"],
    ),
    "comments among rows": (
        "a.csv",
        "user,item\n#1,5\n# of 2024, by hand\n#2,5\n",
        {},
        (["#1", "# of 2024", "#2"], ["5", "by hand"]),
        ["1 rows begin with '#', the first in line 3"],
    ),
    "blanks": (
        "a.csv",
        'user,item\n1,"ann "\n2,\u00a0ann\n2,\ufeffbob\n',
        {},
        ([1, 2], ["ann", "bob"]),
        ["3 have blanks"],
    ),
    "plain blanks": (
        "a.csv",
        'user,item\n ann,x\nann,x \n"ann ",  x\nbob, y\n',
        {},
        (["ann", "bob"], ["x", "y"]),
        ["user ids: 2 have blanks", "item ids: 3 have blanks", "2 repeated"],
    ),
    "blanks after a quote": (
        "a.csv",
        'user,item\n"ann" ,"x""" \n',
        {},
        (["ann"], ['x"']),
        ["user ids: 1", "item ids: 1"],
    ),
    "plain blanks, tsv": ("a.tsv", "user\titem\n ann\t x\n", {}, (["ann"], ["x"]), ["user ids: 1", "item ids: 1"]),
    "blanks before quotes": (
        "a.csv",
        'user,item,title\n1, 5,"a, ""b"\n 2,6, "c, d"\n',
        {},
        ([1, 2], [5, 6]),
        ["1 fields in quotes have blanks before", "left out", "user ids: 1 have blanks", "item ids: 1 have blanks"],
    ),
    "some ids in quotes": (
        "a.tsv",
        'user\titem\nu1\t"Heroes"\nu2\tHeroes\nu3\t"Low"\n',
        {},
        (["u1", "u2", "u3"], ["Heroes", "Low"]),
        ["item ids: 2 of 3 stand in quotes", '"Heroes"', "1 of these ids are also there without"],
    ),
    "an id in quotes": (
        "a.csv",
        'user,item,title\n7,u2,"a, ""u1"", b"\n8,"u1",u1\n',
        {},
        ([7, 8], ["u2", "u1"]),
        ["item ids: 1 of 2 stand in quotes", "0 of these ids"],
    ),
    "titles in quotes that are one id": (
        "a.csv",
        'user,item\r\n7,The Matrix\r\n8,"The Matrix"\r\n',
        {},
        ([7, 8], ["The Matrix"]),
        ["item ids: 1 of 2 stand in quotes"],
    ),
    "whole floats": (
        "a.csv",
        "user,item\n1.0,5\n2.0,6\n",
        {},
        ([1, 2], [5, 6]),
        ["2 of 2 are whole", "written as 1.0"],
    ),
    "a whole float": ("a.csv", "user,item\n7,1\n8.0,2\n", {}, ([7, 8], [1, 2]), ["1 of 2 are whole", "written as 8.0"]),
    "a word among integers": (
        "a.csv",
        lines([f"{user},5" for user in [*range(20), "\\N", "-"]], "user,item"),
        {},
        ([*map(str, range(20)), "\\N", "-"], [5]),
        ["the user ids: 2 of 22 are no integers, the first is '\\\\N', so all were read as text"],
    ),
    "an integer and a float among text": (
        "a.csv",
        "user,item\n7,1\n7.0,1\nx,1\n",
        {},
        (["7", "7.0", "x"], [1]),
        ["1 are integers of the same column but for the point, such as 7.0"],
    ),
    "quotes of spreadsheets": (
        "a.csv",
        'user,item\n="007",1\n="008",1\n',
        {},
        (['="007"', '="008"'], [1]),
        ['the user ids: 2 of 2 have quotes that are a part of the id, such as ="007"; remove them'],
    ),
    "single quotes": (
        "a.tsv",
        "user\titem\n'7'\t'x'\n8\ty\n",
        {},
        (["'7'", "8"], ["'x'", "y"]),
        ["user ids: 1 of 2", "'x'"],
    ),
    "integers beyond 64 bits": (
        "a.csv",
        "user,item\n18446744073709551615,1\n7,1\n",
        {},
        (["18446744073709551615", "7"], [1]),
        ["user ids: 1 of 2 are integers beyond 64 bits, such as 18446744073709551615, so all were read as text"],
    ),
    "integers of 30 digits": (
        "a.csv",
        f"user,item\n{10**30},1\n7,1\n",
        {},
        ([str(10**30), "7"], [1]),
        ["beyond 64 bits"],
    ),
    "words as times": ("a.csv", "user,item,time\n1,5,noon\n", {}, ([1], [5]), ["line 2", "'noon'", "not read"]),
    "a missing time": ("a.csv", "user,item,time\n1,5,3\n1,6,\n", {}, ([1], [5, 6]), ["line 3", "not read"]),
    "a rating": ("a.csv", "user,item,plays\n1,5,3\n", {}, ([1], [5]), ["plays is not used", "min_rating"]),
    "users without items": (
        "a.txt",
        "0 1 2\n\n1\n2 0\n3\n",
        {},
        ([0, 1, 2], [0, 1, 2]),
        ["2 lines have a user and no items", "line 3", "no pairs"],
    ),
    "a table, perhaps": ("a.txt", "".join(f"{n} {n} 1\n" for n in range(2, 14)), {}, None, ["each line has 3 numbers"]),
}


def test_one_long_id_takes_its_own_length_in_memory_and_on_disk(tmp_path, caplog):
    """14,000 ids of about 13 characters and one of 4,000: as text of one width they would take 224 MB."""
    users = [f"customer{user:05d}" for user in range(14_000)] + ["\u5b57" * 4000]
    path = write(tmp_path, "a.csv", lines([f"{user},5" for user in users], "user,item"))
    assert path.stat().st_size < 300_000
    tracemalloc.start()
    dataset = load(path, split="none")
    assert tracemalloc.get_traced_memory()[1] < 20e6
    assert dataset.user_ids.tolist() == users and not caplog.records
    arrays = {"user_ids": dataset.user_ids, "item_ids": dataset.item_ids, "user": np.zeros((len(users), 4))}
    write_npz(tmp_path / "embeddings.npz", arrays)
    assert fingerprint(load_streamed(stream_of(tmp_path, users), 1 << 20))["num_users"] == len(users)
    assert tracemalloc.get_traced_memory()[1] < 60e6
    tracemalloc.stop()
    assert (tmp_path / "embeddings.npz").stat().st_size < 1_000_000
    found = read_npz(tmp_path / "embeddings.npz", ("user", "user_ids", "item_ids"))
    for name, array in found.items():
        assert array.dtype == arrays[name].dtype
        np.testing.assert_array_equal(array, arrays[name])


def stream_of(folder, users):
    (folder / "stream").mkdir()
    pq.write_table(pa.table({"user": users, "item": [5] * len(users)}), folder / "stream" / "train.parquet")
    return folder / "stream"


def test_usual_ids_are_text_that_any_program_reads(tmp_path):
    write_npz(tmp_path / "a.npz", {"user_ids": np.array(["a", "bc"], object), "item_ids": np.arange(2)})
    with np.load(tmp_path / "a.npz") as arrays:
        assert {name: arrays[name].dtype.kind for name in arrays} == {"user_ids": "U", "item_ids": "i"}
    assert read_npz(tmp_path / "a.npz")["user_ids"].tolist() == ["a", "bc"]


def test_the_checksum_of_ids_is_the_one_of_text_of_one_width():
    """Streamed runs of earlier versions hold it."""
    users = [f"u{user}" for user in range(9)] + ["long" * 9]
    as_stream = _crc32(np.array(users, object), np.arange(3))
    assert as_stream == zlib.crc32(np.arange(3).tobytes(), zlib.crc32(np.array(users).tobytes()))


@pytest.mark.parametrize("kind", WARNED)
def test_read_with_a_warning(tmp_path, caplog, kind):
    name, content, options, ids, words = WARNED[kind]
    dataset = load(write(tmp_path, name, content), split="none", **options)
    assert ids is None or ids_of(dataset) == ids
    assert all(word in caplog.text for word in words), caplog.text


# What is read as it should be, without a word: name, content, options, user and item ids.
READ = {
    "gbk": ("a.csv", "user,item\n1,\u5b57\n".encode("gbk"), {"encoding": "gbk"}, ([1], ["\u5b57"])),
    "utf-16": ("a.csv", "user,item\n1,\u5b57\n".encode("utf-16"), {}, ([1], ["\u5b57"])),
    "utf-32": ("a.csv", "user,item\n1,\u5b57\n".encode("utf-32"), {}, ([1], ["\u5b57"])),
    "utf-16 without a mark": ("a.csv", "user,item\n1,5\n".encode("utf-16-le"), {"encoding": "utf-16-le"}, ([1], [5])),
    "a mark": ("a.csv", "\ufeffuser,item\n1,5\n", {}, ([1], [5])),
    "ids such as NA": (
        "a.csv",
        "user,item\nNA,null\nNone,nan\nn/a,N/A\n",
        {},
        (["NA", "None", "n/a"], ["null", "nan", "N/A"]),
    ),
    "no times": ("a.csv", "user,item,time\n1,5,noon\n", {"time_column": "none"}, ([1], [5])),
    "texts of several lines": (
        "a.csv",
        'user,item,review\n1,5,"Great.\nI liked it, and so did he."\n2,6,"no\n\nyes, a, b"\n3,7,"one\ntwo"\n',
        {},
        ([1, 2, 3], [5, 6, 7]),
    ),
    "quotes inside": (
        "a.csv",
        'user,item\r\n1,"say ""hi"""\r\n2,5" disk\r\n3,""""\r\n4,"a"\r\n',
        {},
        ([1, 2, 3, 4], ['say "hi"', '5" disk', '"', "a"]),
    ),
    "quotes around all": ("a.csv", '"user","item","n"\n"u1","x",1\n"u2","y, z",2\n', {}, (["u1", "u2"], ["x", "y, z"])),
    "quotes around what is no word": (
        "a.csv",
        'user,item\n1,"The Matrix"\n2,Heat\n',
        {},
        ([1, 2], ["The Matrix", "Heat"]),
    ),
    "capitals in the name": ("A.CSV.GZ", gzip.compress(b"user,item\n1,5\n"), {}, ([1], [5])),
    "capitals, Inter": ("A.Inter", "user_id:token\titem_id:token\n1\t5\n", {}, ([1], [5])),
    "zeros after packed data": ("a.csv.xz", lzma.compress(b"user,item\n1,5\n") + bytes(8), {}, ([1], [5])),
    "two packed streams": ("a.csv.bz2", bz2.compress(b"user,item\n") + bz2.compress(b"1,5\n"), {}, ([1], [5])),
    "empty columns": ("a.csv", "user,item,,\n1,5,,\n2,6,,\n", {}, ([1, 2], [5, 6])),
    "empty fields": ("a.csv", "user,item\n1,5,,\n2,6,,\n", {}, ([1, 2], [5, 6])),
    "pandas' index": ("a.csv", ",user,item\n0,1,5\n1,2,6\n", {}, ([1, 2], [5, 6])),
    "blanks around names": ("a.csv", " user ,\u00a0item\n1,5\n", {}, ([1], [5])),
    "pairs as text": ("a.txt", "1 0\n1 1\n0 1\n", {}, ([0, 1], [0, 1])),
    "zero with a sign": ("a.csv", "user,item\n-0,5\n0,6\n", {}, (["-0", "0"], [5, 6])),
    "text like numbers": ("a.csv", "user,item\n007,1e5\n7,x\n", {}, (["007", "7"], ["1e5", "x"])),
    "gz": ("a.csv.gz", gzip.compress(b"user,item\n1,5\n"), {}, ([1], [5])),
    "bz2": ("a.csv.bz2", bz2.compress(b"user,item\n1,5\n"), {}, ([1], [5])),
    "xz": ("a.tsv.xz", lzma.compress(b"user\titem\n1\t5\n"), {}, ([1], [5])),
    "zst": ("a.csv.zst", None, {}, ([1], [5])),
    "zip": ("a.csv.zip", None, {}, ([1], [5])),
}


def packed(kind) -> bytes:
    if kind == "zst":
        return pa.compress(b"user,item\n1,5\n", codec="zstd", asbytes=True)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("inside.csv", "user,item\n1,5\n")
    return buffer.getvalue()


@pytest.mark.parametrize("kind", READ)
def test_read_right(tmp_path, caplog, kind):
    name, content, options, ids = READ[kind]
    dataset = load(write(tmp_path, name, packed(kind) if content is None else content), split="none", **options)
    assert ids_of(dataset) == ids
    assert not caplog.records


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.bz2", "a.csv.xz", "a.csv.zst", "a.csv.zip"])
def test_bytes_after_the_end_of_packed_data_are_refused(tmp_path, name):
    pack = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}.get(Path(name).suffix)
    content = pack(b"user,item\n1,5\n") if pack else packed(Path(name).suffix[1:])
    assert ids_of(load(write(tmp_path, name, content), split="none")) == ([1], [5])
    for surplus in (b"junk", b"user,item\n2,6\n"):
        message = refused(load, write(tmp_path, name, content + surplus))
        assert "after the end of the packed data" in message
        assert name.endswith(".zst") or f"{len(surplus)} bytes" in message


def test_a_zip_of_two_files_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.csv.zip", "w") as archive:
        archive.writestr("train.csv", "user,item\n1,5\n")
        archive.writestr("test.csv", "user,item\n1,5\n")
    assert "the archive has 2 files" in refused(load, tmp_path / "a.csv.zip")


def test_two_train_files_in_a_folder_are_refused(tmp_path):
    for name in ("Train.CSV", "train.tsv.gz", "TEST.csv"):
        write(tmp_path, name, "user,item\n1,5\n")
    assert "Train.CSV and train.tsv.gz, expected one train file" in refused(load, tmp_path)
    (tmp_path / "train.tsv.gz").unlink()
    write(tmp_path, "TEST.csv", "user,item\n1,6\n")
    assert ids_of(load(tmp_path)) == ([1], [5, 6])


@pytest.mark.parametrize("end", ["csv", "parquet", "CSV.GZ"])
def test_a_folder_of_parts_points_to_a_preparation(tmp_path, end):
    for part in range(3):
        write(tmp_path, f"part-{part}.{end}", "user,item\n1,5\n")
    message = refused(load, tmp_path)
    assert f"3 others, such as part-0.{end}" in message and f"onebp prepare --input={tmp_path}" in message
    assert "onebp prepare" in refused(load_streamed, tmp_path, 1 << 20)


@pytest.mark.parametrize("name", ["valid.csv", "validation.parquet"])
def test_a_validation_file_beside_train_and_test_is_said_to_be_unused(tmp_path, caplog, name):
    for part in ("train.csv", "test.csv", name):
        write(tmp_path, part, f"user,item\n1,{5 + (part == 'test.csv')}\n")
    assert ids_of(load(tmp_path)) == ([1], [5, 6])
    (said,) = [record.getMessage() for record in caplog.records]
    assert f"{name} is not used" in said and "validation_fraction" in said


NANOSECONDS = 1_700_000_000_000_000_000
TIMES = {  # spellings of times in ascending order
    "utc": ["2024-01-31 12:00:00 UTC", "2024-01-31 12:00:01.5 UTC", "2024-02-01 00:00:00 UTC"],
    "zones": ["2024-01-31T13:00:00+02:00", "2024-01-31T12:00:00Z", "2024-01-31 12:30:00 GMT"],
    "day first": ["1/2/2024", "03/02/2024 10:00", "31/03/2024"],
    "month first": ["2/1/2024", "02/13/2024 01:00 PM", "3/1/2024"],
    "dots": ["1.2.2024", "13.2.2024 08:15:30", "1.3.2024"],
    "month names": ["31 Jan 2024", "Feb 1, 2024", "2 February 2024 10:00"],
    "weekdays": ["Wed, 31 Jan 2024 10:00:00", "Thursday, 1 Feb 2024 09:00:00", "Fri, 2 Feb 2024 00:00:00"],
    "scientific": ["1.7e9", "1700000001", "1.700000002E9"],
}


@pytest.mark.parametrize("spelling", TIMES)
def test_times_are_in_order(tmp_path, spelling):
    rows = [f'1,{item},"{when}"' for item, when in enumerate(TIMES[spelling])]
    dataset = load(write(tmp_path, "a.csv", lines(rows)), split="leave_one_out_time")
    assert dataset.item_ids[dataset.test[:, 1]].tolist() == [2]
    assert dataset.train_times is not None and (np.diff(dataset.train_times) > 0).all()


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (["03/04/2024", "05/06/2024"], ["line 2", "'03/04/2024' may be day/month or month/day", "2024-01-31"]),
        (["13/04/2024", "05/16/2024"], ["in two orders"]),
        (["2024-01-31", "03/04/24"], ["line 3", "'03/04/24'"]),
        (["2024-01-31", "noon"], ["line 3", "'noon'", "time_column"]),
        (["1700000000", "noon"], ["line 3", "'noon'"]),
        (["1:00 PM", "2:00 PM"], ["line 2", "'1:00 PM'"]),
        (["2024-01-31", "Wed Jan 31 12:00:00 2024"], ["line 3", "'Wed Jan 31 12:00:00 2024'"]),
        (["2024-01-31", "2024-01-31 12:00 EST"], ["line 3", "'2024-01-31 12:00 EST'"]),
        (["2024-01-31", "Monday"], ["line 3", "'Monday'"]),
        (["2024-01-31", "1700000000"], ["line 2", "'2024-01-31' among numbers (1 of 2 such rows)"]),
        (["2024-01-31", "2024", "2024-02-01"], ["line 3", "'2024' among dates or words (1 of 3 such rows)"]),
        (["1", "2", "2024-02-01"], ["line 4", "'2024-02-01' among numbers (1 of 3 such rows)"]),
        (["2024-02-31", "2024-03-01"], ["line 2", "'2024-02-31'"]),
        (["1700000000", "1700000001000"], ["two units", "line 2", "line 3"]),
        (["inf", "1"], ["line 2", "infinite"]),
        (["", "1"], ["line 2", "missing"]),
        (["2024-01-31", "9999-12-31"], ["line 3", "the year 9999", "1678 to 2261"]),
        (["0001-01-01", "2024-01-31"], ["line 2", "the year 1,"]),
        (["2024-01-31", "31 Dec 1600"], ["line 3", "the year 1600"]),
        (["2024-01-31", "31.12.2300"], ["line 3", "the year 2300"]),
        (["2024-01-31", "now"], ["line 3", "'now'"]),
        (["today ", "2024-01-31"], ["line 2", "'today'"]),
        (["1709251200000", "1709251200000000"], ["milliseconds and microseconds", "in line 2", "in line 3"]),
        ([NANOSECONDS + 1, NANOSECONDS + 5, "1.5"], ["line 4", "the time 1.5", f"beside {NANOSECONDS + 1}", "order"]),
        ([2**70 + 1, 2**70 + 5, 2**70 + 2], ["line 2", f"the time {2**70 + 1} cannot be held exactly"]),
    ],
)
def test_times_that_are_refused(tmp_path, times, words):
    path = write(tmp_path, "a.csv", lines([f'1,{item},"{when}"' for item, when in enumerate(times)]))
    message = refused(load, path, split="time")
    assert all(word in message for word in words), message


@pytest.mark.parametrize("kind", [pa.timestamp("s"), pa.timestamp("us"), pa.date32()], ids=str)
def test_dates_beyond_64_bits_are_refused_by_a_split_by_time_only(tmp_path, caplog, kind):
    days = np.array(["2024-01-31", "9999-12-31"], "datetime64[D]")
    table = pa.table({"user": [1, 1], "item": [5, 6], "time": pa.array(days).cast(kind)})
    pq.write_table(table, tmp_path / "a.parquet")
    for function, given in ((load, tmp_path / "a.parquet"), (from_frame, table.to_pandas())):
        caplog.clear()
        message = refused(function, given, split="time")
        assert "row 2" in message and "the year 9999" in message
        assert ids_of(function(given, split="none")) == ([1], [5, 6])
        assert "the times were not read" in caplog.text


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        ("1700000000", "2024-01-31", "numbers in one part and dates in the other: {train}, {test}"),
        ("2024-01-31", "1700000000", "numbers in one part and dates in the other: {test}, {train}"),
        ("1700000000", "1700000000000", "two units (milliseconds and seconds?): {test}, {train}"),
        (NANOSECONDS + 1, "1700000000000000002.5", "cannot be held exactly"),
        (NANOSECONDS + 1, "0.5", "have fractions in the other"),
    ],
)
def test_numbers_in_one_part_and_dates_in_the_other(tmp_path, train, test, words):
    write(tmp_path, "train.csv", lines([f"1,5,{train}"]))
    write(tmp_path, "test.csv", lines([f"1,6,{test}"]))
    places = {"train": f"{train} in line 2 of train.csv", "test": f"{test} in line 2 of test.csv"}
    assert words.format(**places) in refused(load, tmp_path, split="time")


@pytest.mark.parametrize("written", ["{}.0", "{}", " {}.00", "+{}"])
@pytest.mark.parametrize("split", ["leave_one_out_time", "time_global"])
def test_times_that_floats_would_round_are_read_exactly(tmp_path, written, split):
    times = [written.format(NANOSECONDS + part) for part in (1, 5, 2, 3)]
    path = write(tmp_path, "a.csv", lines([f"1,{item},{when}" for item, when in enumerate(times)]))
    decimals = [decimal.Decimal(when.strip()) for when in times]
    frame = pd.DataFrame({"user": 1, "item": range(4), "time": decimals})
    for dataset in (load(path, split=split), from_frame(frame, split=split)):
        assert dataset.test[:, 1].tolist() == [1] and dataset.train_times is not None
        assert dataset.train_times.tolist() == [NANOSECONDS + part for part in (1, 2, 3)]


def test_floats_that_may_have_been_rounded_are_said(tmp_path, caplog):
    frame = pd.DataFrame({"user": 1, "item": [5, 6], "time": [1.5e9, float(NANOSECONDS)]})
    frame.iloc[1:].to_parquet(tmp_path / "a.parquet")
    load(tmp_path / "a.parquet", split="time")
    assert f"1 of 1 times are floats beyond 2^53, such as {NANOSECONDS}; these may have been rounded" in caplog.text
    caplog.clear()
    load(tmp_path / "a.parquet", split="none")
    from_frame(frame.iloc[:1], split="time")
    assert not caplog.records
    for kind in ("float32", "Float32", "float[pyarrow]"):
        small = pd.DataFrame({"user": 1, "item": [5, 6], "time": pd.Series([1.7e9, 1.8e9]).astype(kind)})
        caplog.clear()
        from_frame(small, split="time")
        assert "2 of 2 times are floats beyond 2^24, such as 1700000000;" in caplog.text
        with pytest.raises(UserError, match="expected whole numbers below 16777216"):
            from_frame(small, user_column="time", time_column="none")


def test_small_times_beside_those_of_a_unit_are_said(tmp_path, caplog):
    path = write(tmp_path, "a.csv", lines(["1,5,1709251200", "1,6,20240101", "1,7,0"]))
    assert ids_of(load(path, split="none"))[1] == [5, 6, 7] and not caplog.records
    load(path, split="time")
    assert "times are below 1e8 and others are not: 20240101 in line 3, 1709251200 in line 2" in caplog.text


@pytest.mark.parametrize("split", ["time", "leave_one_out_time"])
def test_ties_that_decide_a_split_by_time_are_said(tmp_path, caplog, split):
    users = np.repeat(np.arange(10), 4)
    frame = pd.DataFrame({"user": users, "item": np.tile(np.arange(4), 10), "time": 5})
    said = "for {} of 10 users the cut falls between pairs of equal time"
    frame.to_csv(tmp_path / "a.csv", index=False)
    dataset = load(tmp_path / "a.csv", split=split)
    assert set(dataset.test[:, 1].tolist()) == {3}  # the last rows
    assert f"split={split}: {said.format(10)}" in caplog.text and "(40 pairs have 1 different times)" in caplog.text
    for tied, is_said in ((6, True), (5, False)):
        caplog.clear()
        times = np.where(users < tied, frame["item"] // 2 * 2, frame["item"])  # 0 0 2 2, or 0 1 2 3
        from_frame(frame.assign(time=times), split=split)
        assert (said.format(tied) in caplog.text) == is_said
    caplog.clear()
    from_frame(frame.assign(time=frame["item"] // 3), split=split)  # equal times before the cut alone
    from_frame(frame.drop_duplicates("user"), split=split)  # nothing is held out
    assert not caplog.records


def test_the_order_of_day_and_month_is_said(tmp_path, caplog):
    load(write(tmp_path, "a.csv", lines(["1,5,01/02/2024", "1,6,31/01/2024"])), split="time")
    assert "read as day/month/year" in caplog.text


COLUMNS = {  # a column of user ids -> the ids, or words of the refusal
    "lists": (pa.array([[1], [2]]), "of type list"),
    "bytes": (pa.array([b"\xff", b"\x00"]), "integers or text"),
    "booleans": (pa.array([True, False]), "of type bool"),
    "dates": (pa.array([1, 2], pa.timestamp("ns")), "integers or text"),
    "fractions": (pa.array([1.0, 2.5]), "2.5, expected whole numbers"),
    "floats beyond 2^53": (pa.array([1.0, 1e17]), "expected whole numbers below 9007199254740992"),
    "a float that may be 2^53 + 1": (pa.array([1.0, 2.0**53]), "expected whole numbers below 9007199254740992"),
    "floats of 32 bits": (pa.array([1, 2**24 - 1], pa.float32()), [1, 2**24 - 1]),
    "floats of 32 bits beyond 2^24": (pa.array([1, 2**24], pa.float32()), "expected whole numbers below 16777216"),
    "floats of 16 bits beyond 2^11": (pa.array(np.array([1, 2048], np.float16)), "expected whole numbers below 2048"),
    "whole floats": (pa.array([1.0, 2.0]), [1, 2]),
    "decimals": (pa.array([1, 2], pa.decimal128(10, 0)), [1, 2]),
    "large decimals": (pa.array([2**60, 2**60 + 1], pa.decimal128(20, 0)), [2**60, 2**60 + 1]),
    "decimals with fractions": (
        pa.array([decimal.Decimal("1.5"), None, decimal.Decimal(2)][::2]),
        "1.5, expected whole",
    ),
    "decimals beyond 64 bits": (pa.array([1, 10**30], pa.decimal128(38, 0)), ["1", str(10**30)]),
    "unsigned integers": (pa.array([1, 2], pa.uint64()), [1, 2]),
    "unsigned integers beyond 64 bits": (pa.array([2**64 - 1, 2], pa.uint64()), [str(2**64 - 1), "2"]),
    "the zero character": (pa.array(["a\0b", "b"]), "the zero character"),
    "small integers": (pa.array([1, 2], pa.uint8()), [1, 2]),
    "a dictionary": (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
    "blanks": (pa.array([" a", "b\u00a0"]), ["a", "b"]),
    "line breaks": (pa.array(["a\nb", "b"]), "line break"),
    "an empty text": (pa.array(["", "b"]), "missing"),
    "nothing": (pa.array(["a", None]), "missing values: 1"),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_one_check_of_ids_for_files_streams_and_frames(tmp_path, kind):
    column, expected = COLUMNS[kind]
    table = pa.table({"user": column, "item": [5, 6]})
    pq.write_table(table, tmp_path / "train.parquet")
    readers = {
        "file": lambda: load(tmp_path / "train.parquet", split="none"),
        "stream": lambda: open_stream(tmp_path),
        "frame": lambda: from_frame(table.to_pandas(), split="none"),
    }
    for name, read in readers.items():
        if isinstance(expected, str):
            assert expected in refused(read), name
        else:
            assert read().user_ids.tolist() == expected, name


WARNED_COLUMNS = {  # a column of user ids -> what is said of it, once by each reader
    "floats": (pa.array([1.0, 2.0] * 6), "whole numbers in a column of numbers with a point"),
    "floats of 32 bits": (pa.array([1, 2] * 6, pa.float32()), "whole numbers in a column of numbers with a point"),
    "decimals beyond 64 bits": (pa.array([1, 10**30] * 6, pa.decimal128(38, 0)), "1 of 2 are integers beyond 64 bits"),
    "unsigned integers beyond 64 bits": (
        pa.array([2**64 - 1, 2] * 6, pa.uint64()),
        "1 of 2 are integers beyond 64 bits",
    ),
    "words among integers": (pa.array([*map(str, range(11)), "x"]), "1 of 12 are no integers, the first is 'x'"),
    "words among numbers with a point": (
        pa.array([*(f"{one}.0" for one in range(10)), "10", "x"]),
        "1 of 12 are no integers, the first is 'x'",
    ),
    "a point among text": (pa.array(["7", "7.0", "x"] * 4), "1 are integers of the same column but for the point"),
    "two forms of Unicode": (
        pa.array(["caf\u00e9", "cafe\u0301", "x"] * 4),
        "the user ids: 2 look like another one, such as 'caf\\xe9': they differ in their Unicode form only",
    ),
    "single quotes": (pa.array(["'7'", "x"] * 6), "1 of 2 have quotes that are a part of the id, such as '7'"),
    "text like floats": (pa.array(["7.0", "8.0"] * 6), "2 of 2 are whole numbers written as 7.0 in a column of text"),
}


@pytest.mark.parametrize("kind", WARNED_COLUMNS)
def test_files_streams_and_frames_say_the_same_of_odd_ids(tmp_path, caplog, kind):
    column, said = WARNED_COLUMNS[kind]
    table = pa.table({"user": column, "item": range(12)})
    pq.write_table(table, tmp_path / "train.parquet", row_group_size=5)
    memory = load(tmp_path / "train.parquet", split="none")
    stream = open_stream(tmp_path)
    frame = from_frame(table.to_pandas(), split="none")
    assert memory.user_ids.tolist() == stream.user_ids.tolist() == frame.user_ids.tolist()
    rows = np.concatenate(list(epoch_batches(stream, 1, 0, 0, lanes=1)))
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, memory.train.tolist()))
    assert len(caplog.records) == 3 and all(said in record.getMessage() for record in caplog.records)


def test_a_stream_whose_parts_differ_in_integers_beyond_64_bits(tmp_path):
    for name, users in (("train1", pa.array([5, -1])), ("train2", pa.array([2**64 - 1, 5], pa.uint64()))):
        pq.write_table(pa.table({"user": users, "item": [1, 2]}), tmp_path / f"{name}.parquet")
    stream = open_stream(tmp_path)
    assert stream.user_ids.tolist() == ["5", "-1", str(2**64 - 1)]
    assert np.concatenate(list(epoch_batches(stream, 1, 0, 0, lanes=1)))[:, 0].sum() == 3


ODD_TYPES = {  # a column of values that are no times and no ratings -> the type that the message names
    "booleans": (pa.array([True, False]), "bool"),
    "bytes": (pa.array([b"1", b"2"]), "bytes"),
    "durations": (pa.array([1, 2], pa.duration("s")), "timedelta64"),
}


@pytest.mark.parametrize("kind", ODD_TYPES)
def test_times_and_ratings_of_other_types_are_refused(tmp_path, caplog, kind):
    column, name = ODD_TYPES[kind]
    pq.write_table(pa.table({"user": [1, 1], "item": [5, 6], "x": column}), tmp_path / "a.parquet")
    frame = pd.read_parquet(tmp_path / "a.parquet")
    for given in (frame, frame.astype({"x": object}), frame.astype({"x": "category"})):
        for options in ({"split": "time", "time_column": "x"}, {"rating_column": "x", "min_rating": 1}):
            assert "column is of type" in refused(from_frame, given, **options)
    for options in ({"split": "time", "time_column": "x"}, {"rating_column": "x", "min_rating": 1}):
        assert f"column is of type {name}, expected numbers" in refused(load, tmp_path / "a.parquet", **options)
    assert ids_of(load(tmp_path / "a.parquet", split="none", time_column="x")) == ([1], [5, 6])
    assert "the times were not read" in caplog.text


COLUMNS_TWICE = {  # columns that hold one role -> which is taken
    "user": ["user_id", "uid"],
    "item": ["item", "movieId"],
    "time": ["timestamp", "time"],
    "rating": ["rating", "plays"],
}


@pytest.mark.parametrize("role", COLUMNS_TWICE)
def test_the_choice_among_columns_is_said_where_the_role_is_used(tmp_path, caplog, role):
    taken, other = COLUMNS_TWICE[role]
    columns = {"user": [1, 1], "item": [5, 6], "time": [3, 4], "rating": [1, 2]}
    columns.pop(role)
    table = pd.DataFrame({other: [8, 9], taken: [1, 2]} | columns)
    table.to_parquet(tmp_path / "train.parquet")
    options = {"split": "time", "min_rating": 0}
    said = f"the columns {taken}, {other} may hold the {role}s; {taken} was taken, {role}_column chooses another"
    for read in (lambda **given: load(tmp_path / "train.parquet", **given), lambda **given: from_frame(table, **given)):
        caplog.clear()
        read(**options)
        assert caplog.text.count("may hold") == 1 and said in caplog.text
        caplog.clear()
        read(**options, **{f"{role}_column": other})
        assert "may hold" not in caplog.text
        read(split="none")
        assert ("may hold" in caplog.text) == (role in ("user", "item"))
    caplog.clear()
    open_stream(tmp_path)
    assert ("may hold" in caplog.text) == (role in ("user", "item"))


def test_dates_are_no_ratings():
    frame = pd.DataFrame({"user": [1], "item": [5], "rating": pd.to_datetime(["2024-01-31"])})
    for given in (frame, frame.assign(rating=frame["rating"].dt.date)):
        assert "the rating column is of type" in refused(from_frame, given, min_rating=1)


def test_text_that_is_not_unicode_is_refused(tmp_path):
    ends = pa.py_buffer(np.array([0, 1, 2], np.int32).tobytes())
    text = pa.Array.from_buffers(pa.string(), 2, [None, ends, pa.py_buffer(b"a\xff")])
    surrogate = pd.Series(["a", "a\ud800"], dtype=object)
    for column in ("user", "item", "time"):
        columns = {"user": [1, 2], "item": [5, 6], "time": [3, 4]}
        pq.write_table(pa.table(columns | {column: text}), tmp_path / "train.parquet")
        frame = pd.DataFrame(columns | {column: surrogate})
        for function, given in ((load, tmp_path / "train.parquet"), (from_frame, frame)):
            message = refused(function, given, split="time")
            assert "row 2: not Unicode text" in message and column in message
        if column != "time":
            assert "not Unicode text" in refused(open_stream, tmp_path)


def test_a_stream_finds_rows_by_ids_without_blanks(tmp_path):
    pq.write_table(pa.table({"user": [" a", "a", "b"], "item": [1.0, 2.0, 1.0]}), tmp_path / "train.parquet")
    stream = load_streamed(tmp_path, 1 << 20)
    assert (stream.user_ids.tolist(), stream.item_ids.tolist()) == (["a", "b"], [1, 2])
    assert stream.user_counts.tolist() == [2, 1]


def test_a_stream_says_that_ratings_are_not_used_and_refuses_a_column_twice(tmp_path, caplog):
    pq.write_table(pa.table({"user": [1], "item": [5], "rating": [3]}), tmp_path / "train.parquet")
    open_stream(tmp_path)
    assert "rating is not used" in caplog.text
    pq.write_table(pa.Table.from_arrays([pa.array([1])] * 3, ["user", "item", "item"]), tmp_path / "train.parquet")
    assert "two columns are called 'item'" in refused(open_stream, tmp_path)
    assert "two columns are called 'item'" in refused(load, tmp_path / "train.parquet")


def test_a_named_index_is_a_column(tmp_path):
    pd.DataFrame({"item": [5, 6]}, index=pd.Index([1, 2], name="user")).to_parquet(tmp_path / "train.parquet")
    assert ids_of(load(tmp_path / "train.parquet", split="none")) == ([1, 2], [5, 6])
    assert open_stream(tmp_path).user_ids.tolist() == [1, 2]


def test_whole_floats_in_one_part_are_the_integers_of_the_other(tmp_path):
    pd.DataFrame({"user": [1, 2], "item": [5, 6]}).to_parquet(tmp_path / "train.parquet")
    pd.DataFrame({"user": [1.0], "item": [6.0]}).to_parquet(tmp_path / "test.parquet")
    assert load(tmp_path).test.tolist() == load_streamed(tmp_path, 1 << 20).test.tolist() == [[0, 1]]


def test_text_in_one_part_and_integers_in_the_other_are_said(tmp_path, caplog):
    write(tmp_path, "train.csv", "user,item\n1,5\n")
    write(tmp_path, "test.csv", "user,item\n1,x\n")
    assert load(tmp_path).item_ids.tolist() == ["5", "x"]
    assert "the item ids are integers in one part and text in the other" in caplog.text


@pytest.mark.parametrize("text_in", ["train", "test"])
def test_a_stream_reads_text_in_one_part_and_integers_in_the_other_as_files_do(tmp_path, caplog, text_in):
    parts = {"train": {"user": [1, 2, 2], "item": [5, 6, 7]}, "test": {"user": [1, 2], "item": [6, 8]}}
    parts[text_in] = {role: list(map(str, ids)) for role, ids in parts[text_in].items()}
    for part, columns in parts.items():
        pq.write_table(pa.table(columns), tmp_path / f"{part}.parquet")
    stream, memory = load_streamed(tmp_path, 1 << 20), load(tmp_path)
    assert ids_of(stream) == ids_of(memory) == (["1", "2"], ["5", "6", "7", "8"])
    assert stream.test.tolist() == memory.test.tolist() == [[0, 1], [1, 3]]
    assert np.concatenate(list(epoch_batches(stream.stream, 1, 0, 0, lanes=1))).shape == (3, 2)
    said = [record.getMessage() for record in caplog.records]
    assert said[:2] == said[2:] and "item ids are integers in one part and text in the other" in said[1]


def test_text_among_numbers_of_a_feature_is_said(tmp_path, caplog):
    write(tmp_path, "a.csv", "user,item\n1,5\n1,6\n1,7\n1,8\n")
    content = "item,price,year,kind\n5,1.5,1990,1\n6,NA,,x\n7,2,1992,y\n8,3,1993,2\n"
    items = str(write(tmp_path, "items.csv", content))
    features = load(tmp_path / "a.csv", split="none", item_features=items).item_features
    assert features is not None and features.names == ("price: values", "year: numbers", "kind: values")
    (said,) = [record.getMessage() for record in caplog.records]
    assert all(
        words in said
        for words in ("items.csv", "the column price has 3 numbers", "1 values that are none", "'NA'", "id 6")
    )


def test_rows_that_features_lack_are_counted(tmp_path, caplog):
    path = write(tmp_path, "a.csv", "user,item\n1,5\n1,6\n2,7\n")
    items = str(write(tmp_path, "items.csv", "item,genre\n5,Drama\n9,Crime\n"))
    users = str(write(tmp_path, "users.csv", "user,age\n2,7\n3,8\n4,9\n"))
    load(path, split="none", item_features=items, user_features=users)
    assert all(record.levelname == "WARNING" for record in caplog.records)
    said = [record.getMessage().partition("csv: ")[2] for record in caplog.records]
    assert said == [
        "has rows for 1 of 2 users; the others have no features",
        "2 more rows are of unknown users and left out",
        "has rows for 1 of 3 items; the others have no features",
        "1 more rows are items without pairs and join the catalogue",
    ]


def test_words_for_nothing_in_features(tmp_path):
    write(tmp_path, "a.csv", "user,item\n1,NA\n1,b\n")
    write(tmp_path, "items.csv", "item,genre\nNA,None\nb,Drama\n")
    features = load(tmp_path / "a.csv", split="none", item_features=str(tmp_path / "items.csv")).item_features
    assert features is not None and features.vocabulary == 2  # None is a genre like others


CSV = b"user,item\n1,5\n"


def archive_of(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("inside.csv")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "name", ["a.csv.gz", "a.csv.bz2", "a.csv.xz", "a.csv.zst", "a.csv.zip", "train.parquet", "a.csv"]
)
def test_a_file_of_another_kind_than_its_name_is_said(tmp_path, name):
    """Each reader tells the same from the first bytes, and never asks for another copy of the file."""
    kinds = {
        "plain text": (CSV, "name it a.csv"),
        ".gz": (gzip.compress(CSV), "name it a.csv.gz"),
        ".bz2": (bz2.compress(CSV), "name it a.csv.bz2"),
        ".xz": (lzma.compress(CSV), "name it a.csv.xz"),
        ".zip": (packed("zip"), "name it a.csv.zip"),
        ".zst": (packed("zst"), "name it a.csv.zst"),
        ".parquet": (b"PAR1 and more", "name it a.parquet"),
        ".feather": (b"ARROW1 and more", "convert it to .csv"),
        ".tar": (archive_of(CSV), f"unpack it (tar -xf {name}) and give one of its files"),
    }
    end = Path(name).suffix
    for kind, (content, advice) in kinds.items():
        if kind == end or (kind, end) == ("plain text", ".csv"):
            continue
        path = write(tmp_path, name, content)
        readers = [(load, path)]
        if end == ".parquet":
            advice = "unpack it" if kind in PACKED else advice.replace("a.csv", "train.csv")
            readers.append((open_stream, tmp_path))
        for read, given in readers:
            message = refused(read, given)
            assert name in message and message.endswith(advice), message
            assert f"content is {'that of a file ' * (kind[0] == '.')}{kind}" in message


def test_what_is_inside_packed_data_is_said(tmp_path):
    message = refused(load, write(tmp_path, "a.csv.gz", gzip.compress(archive_of(CSV))))
    assert "content is that of a file .tar (an archive); unpack it (tar -xf a.csv.gz)" in message
    message = refused(load, write(tmp_path, "a.csv.gz", gzip.compress(gzip.compress(CSV))))
    assert "packed, its content is that of a file .gz, expected text" in message
    assert "a page of HTML" in refused(load, write(tmp_path, "a.csv.gz", b"<html>log in, please</html>"))


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_of_columns_in_another_unicode_form_are_taken_and_said(tmp_path, caplog, forms):
    given, written = (unicodedata.normalize(form, "us\u00e9r") for form in forms)
    table = pd.DataFrame({written: [1, 2], "item": [5, 6]})
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_parquet(tmp_path / "train.parquet")
    items = write(tmp_path, "items.csv", f"item,{written}\n5,3\n6,4\n")
    for read, source in {
        load: tmp_path / "a.csv",
        open_stream: tmp_path,
        from_frame: table,
    }.items():
        caplog.clear()
        assert ids_of(read(source, user_column=given)) == ([1, 2], [5, 6])
        (said,) = [record.getMessage() for record in caplog.records]
        assert f"the column {written!r} was taken for {given!r}, they differ by Unicode form only" in said
    options = {"user_column": written, "item_features": str(items), "feature_columns": (given,)}
    features = load(tmp_path / "a.csv", split="none", **options).item_features
    assert features is not None and features.names == (f"{written}: numbers",)
    assert "no user column" in refused(load, tmp_path / "a.csv", user_column="us\u00eer")
    both = table.assign(**{given: [3, 4]})
    assert ids_of(from_frame(both, user_column=given))[0] == [3, 4]


def test_words_that_are_names_of_columns_may_be_ids(tmp_path):
    path = write(tmp_path, "a.csv", lines(["time,user,5", "user,time,6", "item,item,7", "time,x,8", "plays,rating,9"]))
    assert load(path, split="none").num_users == 4
    own = write(tmp_path, "own.csv", "listener,artist\nann,x\nartist,listener\ny,bob\n")
    assert "line 3: the header again" in refused(load, own, user_column="listener", item_column="artist")
    items = write(tmp_path, "items.csv", "item,title\nx,up\ntitle,item\nup,y\n")
    path = write(tmp_path, "a.csv", "user,item\na,x\n")
    assert "line 3: the header again" in refused(load, path, split="none", item_features=str(items))


@pytest.mark.parametrize("row", ["----,----,-", "====,....,", "(id),(id),(s)", "--- ,---:,x"])
def test_rows_that_are_no_interactions_are_said(tmp_path, caplog, row):
    path = write(tmp_path, "a.csv", lines([row, "ann,x,1", "bob,y,2"]))
    assert load(path, split="none", time_column="none").num_users == 3
    assert "1 rows look like a rule or a second header" in caplog.text and "in line 2" in caplog.text
    caplog.clear()
    for rows in (["(a),(x),1", "(b),(y),2"], ["-,-,1", "ann,x,2"], ["--,x,1", "ann,x,2"]):
        load(write(tmp_path, "a.csv", lines(rows)), split="none")
    assert not caplog.records


def test_ids_of_lightgcn_text_that_no_pair_uses_are_said(tmp_path, caplog):
    load(write(tmp_path, "a.txt", "0 0 1\n1 2\n"), split="none")
    assert not caplog.records
    dataset = load(write(tmp_path, "a.txt", "1 1 2\n2 3\n"), split="none")
    assert (dataset.num_users, dataset.num_items) == (3, 4)
    user, item = (record.getMessage() for record in caplog.records)
    assert "the user ids of LightGCN text run from 0 to 2, and 1 of them are in no pair, the first is 0" in user
    assert "each counts as an item without interactions; do the ids count from 1?" in item
    caplog.clear()
    load(write(tmp_path, "a.txt", "0 0 1\n1 4\n"), split="none")
    (message,) = (record.getMessage() for record in caplog.records)
    assert "2 of them are in no pair, the first is 2" in message and "count from 1" not in message


RECBOLE = {  # types of a file of RecBole whose fields hold several ids -> words of the message
    "user:token\titem_id:token_seq": "the item column item_id is of type token_seq",
    "user_id:float_seq \titem:token": "the user column user_id is of type float_seq",
}


@pytest.mark.parametrize("header", RECBOLE)
def test_several_ids_in_a_field_are_refused(tmp_path, header):
    path = write(tmp_path, "a.inter", header + "\n1\t0 1\n2\t3\n")
    assert RECBOLE[header] + ", several ids in one field" in refused(load, path, split="none")
    write(tmp_path, "b.inter", "user_id:token\titem_id:token\ttags:token_seq\n1\t0\tx y\n2\t3\tx\n")
    assert load(tmp_path / "b.inter", split="none").item_ids.tolist() == [0, 3]
    frame = pd.DataFrame({"user": [1, 2], "items:token_seq": ["0 1", "3"], "own_seq": [0, 1]})
    frame.to_parquet(tmp_path / "train.parquet")
    for read, given in ((open_stream, tmp_path), (load, tmp_path / "train.parquet"), (from_frame, frame)):
        assert "several ids in one field" in refused(read, given, item_column="items:token_seq")
    assert from_frame(frame, item_column="own_seq", split="none").num_items == 2


def test_ids_of_lightgcn_text_with_gaps_are_refused_with_their_line(tmp_path):
    message = refused(load, write(tmp_path, "a.txt", "0 1 2\n\n1 900000000 5\n3 2\n"))
    assert "a.txt: line 3: item ids out of range: they run up to 900000000 but only 4 are used" in message
    write(tmp_path, "train.txt", "0 1 2\n1 5\n")
    write(tmp_path, "test.txt", "0 3\n800000 2\n")
    assert "test.txt: line 2: user ids out of range" in refused(load, tmp_path)


@pytest.mark.parametrize("argument", ["dataset", "item_features", "folder", "path"])
def test_what_is_no_path_is_said(tmp_path, argument):
    read = {
        "dataset": load,
        "item_features": lambda given: load(write(tmp_path, "a.csv", CSV), split="none", item_features=given),
        "folder": open_stream,
        "path": read_interactions,
    }[argument]
    faults = {
        "of type int, expected the path": 5,
        "of type bytes": b"a.csv",
        "of type list": ["a.csv"],
        "too long": "a" * 300 + ".csv",
        "zero character": "a\0.csv",
        "a URL, expected a path; download the file first": "https://example.org/a.csv",
        "URL, expected": Path("s3://bucket/a.parquet"),
        "a URL, expected a path; leave file:// out": "file:///tmp/a.csv",
        "no such home folder": "~nobody-here/a.csv",
    }
    for words, given in faults.items():
        message = refused(read, given)
        assert message.startswith(argument) and words in message and len(message) < 200


@pytest.mark.parametrize("end", [".zip", ".gz", ".ZST"])
def test_a_packed_file_is_named_by_what_is_inside(tmp_path, end):
    message = refused(load, write(tmp_path, f"a{end}", "x"))
    assert f"a{end}: packed, and the name does not say what is inside; rename it, such as to a.csv{end}" in message
    assert "unknown format" in refused(load, write(tmp_path, f"a.npz{end}", "x"))


def test_pipes_devices_and_loops_of_links_are_named(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    reading, writing = os.pipe()
    for given, words in {
        tmp_path / "pipe.csv": "a pipe, expected a file; write its data to a file first",
        f"/dev/fd/{reading}": "a pipe, expected a file; write its data to a file first",
        tmp_path / "loop.csv": "a symbolic link to loop.csv, which leads back to itself",
        "/dev/null": "a device or a socket, expected a file",
    }.items():
        assert refused(load, given).startswith(f"dataset={str(given)!r}: {words}")
        assert words in refused(load, write(tmp_path, "a.csv", CSV), split="none", user_features=str(given))
    os.close(reading)
    os.close(writing)
    os.mkfifo(tmp_path / "train.parquet")
    assert "train.parquet: a pipe" in refused(open_stream, tmp_path)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("min_user_items", ["3", 1.5, -1, None]),
        ("min_item_users", ["3", 2.0]),
        ("split_seed", [-1, "a", 0.5, None]),
        ("test_fraction", ["x", None, 1, -0.1, float("nan"), True]),
        ("min_rating", ["x", float("nan"), True]),
        ("split", [3, ["ratio"], None]),
        ("deduplicate", [3, None]),
        ("encoding", [5, "utf-9", "a\0b"]),
    ],
)
def test_arguments_of_another_type_or_range_are_said(tmp_path, name, wrong):
    path = write(tmp_path, "a.csv", "user,item,rating\n1,5,3\n")
    for given in wrong:
        assert refused(load, path, **{name: given}).startswith(f"{name}={given!r}: ")
        if name != "encoding":
            assert refused(from_frame, pd.DataFrame({"user": [1], "item": [5]}), **{name: given}).startswith(f"{name}=")
    assert load(path, split="none", min_user_items=np.int64(0), split_seed=np.int64(3)).num_items == 1


@pytest.mark.parametrize("argument", ["dataset", "item_features", "user_features"])
def test_a_missing_file_is_named_with_its_argument(tmp_path, argument):
    options = {"dataset": write(tmp_path, "a.csv", "user,item\n1,5\n")} | {argument: str(tmp_path / "none.csv")}
    message = refused(load, **options)
    assert message.startswith(f"{argument}={options[argument]!r}: no such file; the nearest in {tmp_path}: a.csv")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("lastfm.cs", "no such file; the nearest in {}: lastfm.csv, lastfm"),
        ("lastfm.csv.gz", "no such file; the nearest in {}: lastfm.csv, lastfm"),
        (
            "last_fm",
            "no known set, expected one of {known}; no such file or folder; the nearest in {}: lastfm, lastfm.csv",
        ),
        (
            "gowala",
            "no known set, expected one of {known} (did you mean 'gowalla'?); no such file or folder; the nearest",
        ),
        ("link.csv", "a symbolic link to gone.csv, which does not exist; check the path"),
    ],
)
def test_a_missing_data_set_is_said_with_the_nearest_names(tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "lastfm.csv", "user,item\n1,5\n")
    (tmp_path / "lastfm").mkdir()
    (tmp_path / "link.csv").symlink_to("gone.csv")
    start = said.format(tmp_path, known=", ".join(NAMES))
    assert refused(load, given).startswith(f"dataset={given!r}: {start}")


def test_choices_are_said_with_the_nearest(tmp_path):
    path = write(tmp_path, "a.csv", "user,item\n1,5\n")
    assert refused(load, path, split="times").endswith("(did you mean 'time'?)")
    assert (
        refused(load, path, deduplicate="lst")
        == "deduplicate='lst': expected one of first, last (did you mean 'last'?)"
    )


@pytest.mark.parametrize("fault", ["file", "folder"])
def test_a_file_without_rights_is_said(tmp_path, monkeypatch, fault):
    """Rights are simulated: the superuser may read all."""
    write(tmp_path, "a.csv", "user,item\n1,5\n")
    pq.write_table(pa.table({"user": [1], "item": [5]}), tmp_path / "train.parquet")
    write(tmp_path, "items.csv", "item,price\n5,1\n")
    denied = {tmp_path / name for name in ("b.csv", "train.parquet", "items.csv")}
    write(tmp_path, "b.csv", "user,item\n1,5\n")
    access, stat = os.access, Path.stat

    def no_entry(path, **options):
        if path in denied:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    if fault == "file":
        monkeypatch.setattr(os, "access", lambda path, mode: path not in denied and access(path, mode))
    else:
        monkeypatch.setattr(Path, "stat", no_entry)
    features = {"item_features": str(tmp_path / "items.csv")}
    for read in (
        lambda: load(tmp_path / "b.csv"),
        lambda: load(tmp_path / "train.parquet"),
        lambda: load(tmp_path / "a.csv", split="none", **features),
        lambda: open_stream(tmp_path),
    ):
        message = refused(read)
        assert "no right to read it" in message and "chmod" in message


def test_a_folder_without_parquet_does_not_ask_for_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    message = refused(load_streamed, tmp_path, 1 << 20)
    assert "no train*.parquet file" in message and "pyarrow" not in message


def test_users_with_few_items_are_told_the_field_to_change():
    pairs = np.array([(user, item) for user in range(3) for item in range(4)], np.int32)
    dataset = Dataset("few", pairs, pairs[:0], np.arange(3), np.arange(4), "given")
    config = default_config()
    message = refused(hold_out, config, dataset)
    assert "fewer than 5 training items; set validation_fraction=0.13" in message
    config.validation_fraction = 0.13
    assert len(hold_out(config, dataset)[1]) == 3
