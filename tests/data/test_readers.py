"""Readers: every format gives the same rows, and every mistake is told in one line."""

import gzip

import numpy as np
import pandas as pd
import pytest

from onebp_jax.data import read_interactions, read_lightgcn
from onebp_jax.data.ids import number_ids
from onebp_jax.errors import UserError

ROWS = pd.DataFrame({"user": [196, 186, 196], "item": [242, 302, 377], "time": [881250949, 891717742, 878887116]})


def write(folder, name, content):
    data = content.encode() if isinstance(content, str) else content
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def table(separator, header=""):
    rows = [separator.join(map(str, (user, item, 3, time))) for user, item, time in ROWS.itertuples(index=False)]
    return "\n".join([header] * bool(header) + rows) + "\n"


def error_of(function, *args, **kwargs):
    """The message, which has to be one line."""
    with pytest.raises(UserError) as caught:
        function(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("u.data", table("\t")),
        ("u.data.gz", table("\t")),
        ("ratings.dat", table("::")),
        ("ml.inter", table("\t", "user_id:token\titem_id:token\trating:float\ttimestamp:float")),
        ("own.csv", table(",", "user,item,rating,time")),
        ("own.csv.gz", table(",", "userId,movieId,rating,timestamp")),
        ("own.tsv", table("\t", "uid\tiid\trating\ttimestamp")),
        ("windows.csv", table(",", "user_id,item_id,rating,timestamp").replace("\n", "\r\n")),
        ("windows.dat", None),
        ("blank.csv", "\n" + table(",", "user,item,rating,time").replace("\n", "\n\n")),
        ("mark.csv", b"\xef\xbb\xbf" + table(",", "user,item,rating,time").encode()),
        ("mark.u.data", b"\xef\xbb\xbf" + table("\t").encode()),
        ("spaces.csv", table(", ", "user, item, rating, time")),
        ("latin.csv", table(",caf\xe9,", "user,a,item,b,rating,c,time").encode("latin-1")),
    ],
)
def test_formats(tmp_path, name, content):
    if name == "windows.dat":
        name, content = "ratings.dat", table("::").replace("\n", "\r\n")
    frame = read_interactions(write(tmp_path, name, content))
    pd.testing.assert_frame_equal(frame, ROWS)


def test_columns_can_be_chosen_and_times_may_be_missing(tmp_path):
    path = write(tmp_path, "own.csv", "reader,book,when\na,x,2\nb,y,1\n")
    frame = read_interactions(path, user_column="reader", item_column="book")
    assert list(frame) == ["user", "item"]
    frame = read_interactions(path, user_column="reader", item_column="book", time_column="when")
    assert frame["user"].tolist() == ["a", "b"]
    assert frame["time"].tolist() == [2, 1]


def test_times_may_be_fractions_or_dates(tmp_path):
    path = write(tmp_path, "own.csv", "user,item,time\n1,1,0.5\n1,2,-1e3\n")
    assert read_interactions(path)["time"].tolist() == [0.5, -1000.0]
    dates = ["2010-10-17T01:48:53Z", "2010-10-17", "2010-10-16 23:00:00.250"]
    path = write(tmp_path, "own.csv", "user,item,time\n" + "".join(f"1,{n},{date}\n" for n, date in enumerate(dates)))
    times = read_interactions(path)["time"]
    assert (times - times[1]).tolist() == [6_533_000_000_000, 0, -3_599_750_000_000]
    path = write(tmp_path, "own.csv", "user,item,time\n1,1,noon\n")
    assert "'noon'" in error_of(read_interactions, path)


@pytest.mark.parametrize("dates", [["2020-01-02", "2020-01-01"], ["2020-01-02T00:00Z", "2020-01-01T00:00Z"]])
def test_parquet(tmp_path, dates):
    path = tmp_path / "own.parquet"
    ROWS.assign(title="x").set_index("title").to_parquet(path)
    pd.testing.assert_frame_equal(read_interactions(path), ROWS)
    pd.DataFrame({"user": ["7", "8"], "item": [5, 6], "time": pd.to_datetime(dates)}).to_parquet(path)
    frame = read_interactions(path)
    assert frame["user"].tolist() == ["7", "8"]  # text stays text where the file has types
    assert frame["time"].is_monotonic_decreasing
    path.write_bytes(b"PAR1 not really")
    assert "cannot be read as Parquet" in error_of(read_interactions, path)


@pytest.mark.parametrize(
    ("ids", "kept"),
    [
        (["10", "2", "-3"], [10, 2, -3]),
        (["007", "7"], ["007", "7"]),
        (["1.0", "2"], [1, 2]),
        (["1.0", "x"], ["1.0", "x"]),
        (["NA", "null", "None", "nan", "n/a"], ["NA", "null", "None", "nan", "n/a"]),
        (["1", "x"], ["1", "x"]),
        (["1_0", "+5"], ["1_0", "+5"]),
        (["99999999999999999999", "1"], ["99999999999999999999", "1"]),
        (["ünï", "日本"], ["ünï", "日本"]),
    ],
)
def test_ids_come_back_as_given(tmp_path, ids, kept):
    path = write(tmp_path, "own.csv", "user,item\n" + "".join(f"{one},{one}\n" for one in ids))
    (frame,), users, items = number_ids([read_interactions(path)], indexed=False)
    assert users.tolist() == items.tolist() == kept
    assert users.dtype.kind == ("i" if isinstance(kept[0], int) else "O")
    assert frame["user"].tolist() == list(range(len(ids)))


def test_lightgcn_text(tmp_path):
    path = write(tmp_path, "train.txt", b"\xef\xbb\xbf3 1 2\r\n\r\n0 5 \r\n7\r\n  1\t0 4\r\n")
    pairs = read_lightgcn(path)
    assert pairs.tolist() == [[3, 1], [3, 2], [0, 5], [1, 0], [1, 4]]
    assert pairs.dtype == np.int32
    assert read_lightgcn(write(tmp_path, "packed.txt.gz", "0 1\n")).tolist() == [[0, 1]]
    assert read_interactions(path).to_numpy().tolist() == pairs.tolist()
    assert "no columns" in error_of(read_interactions, path, user_column="user")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 1\n\n1 x 2\n", ["line 3", "not an integer", "'x'", ".csv"]),
        ("0 1\n1 2.5\n", ["line 2", "not an integer", "'2.5'"]),
        ("0 1-2\n", ["line 1", "not an integer", "'1-2'"]),
        ("user,item\n0,1\n", ["line 1", "not an integer", "CSV"]),
        ("0 1\n1 -2\n", ["line 2", "ids out of range", "'-2'", "CSV"]),
        ("0 3000000000\n", ["line 1", "ids out of range", "3000000000"]),
        ("0 99999999999999999999999\n", ["line 1", "ids out of range"]),
        (" \n", ["empty"]),
    ],
)
def test_lightgcn_errors(tmp_path, text, words):
    message = error_of(read_lightgcn, write(tmp_path, "train.txt", text))
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "", ["empty"]),
        ("a.csv.gz", "", ["empty"]),
        ("a.csv", "user,item\n", ["empty", "no rows"]),
        ("a.csv", "usr,item\n1,2\n", ["no user column", "usr, item", "nearest: usr", "user_column"]),
        ("a.csv", "user,book\n1,2\n", ["no item column", "user, book", "item_column"]),
        ("a.csv", "1,2\n3,4\n", ["no user column", "1, 2"]),
        ("a.csv", "user;item\n1;2\n", ["wrong separator", "','", "';'"]),
        ("a.tsv", "user,item\n1,2\n", ["wrong separator", "'\\t'", "','"]),
        ("u.data", "1,2,3,4\n", ["wrong separator"]),
        ("ratings.dat", "1\t2\t3\t4\n", ["wrong separator", "'::'"]),
        ("a.csv", "user,item\n1,2\n,3\n", ["missing value", "user", "line 3"]),
        ("a.csv", 'user,item\n1,2\n\n2," "\n', ["missing value", "item", "line 4"]),
        ("a.csv", "user,item,time\n1,2,3\n2,3,\n", ["missing value", "time", "line 3"]),
        ("a.csv", "user,item\n1,2\n4,5,6\n", ["not every line", "line 3"]),
        ("a.csv", 'user,item\n"r1",1,2\n"r2",4,5\n', ["not every line"]),
        ("a.csv", 'user,item\n1,"2\n', ["line 2", "never closes"]),
        ("u.data", "1\t2\t3\t4\t5\n", ["not every line"]),
        ("a.json", "{}", ["unknown format", ".csv", "u.data"]),
    ],
)
def test_table_errors(tmp_path, name, content, words):
    message = error_of(read_interactions, write(tmp_path, name, content))
    assert all(word in message for word in words), message


def test_file_errors(tmp_path):
    write(tmp_path, "other.csv", "user,item\n1,2\n")
    message = error_of(read_interactions, tmp_path / "mine.csv")
    assert "no such file" in message and "other.csv" in message
    assert "no such file" in error_of(read_lightgcn, tmp_path / "nowhere" / "train.txt")
    assert "no such file" in error_of(read_interactions, tmp_path / "mine.parquet")
    (tmp_path / "folder.csv").mkdir()
    write(tmp_path / "folder.csv", "part.csv", "")
    message = error_of(read_interactions, tmp_path / "folder.csv")
    assert "is a folder" in message and "part.csv" in message
    whole = gzip.compress(b"0 1\n" * 100)
    for damaged in (b"\x000 1\n", whole[:-20], whole[:15] + b"\xff\xff\xff" + whole[18:]):
        (tmp_path / "train.txt.gz").write_bytes(damaged)
        assert "unpacked" in error_of(read_lightgcn, tmp_path / "train.txt.gz")
    message = error_of(read_interactions, tmp_path / "other.csv", user_column="item")
    assert "two roles" in message
    message = error_of(read_interactions, tmp_path / "other.csv", user_column="itm")
    assert "no user column: expected itm" in message and "nearest: item" in message
    assert "no time column" in error_of(read_interactions, tmp_path / "other.csv", time_column="when")
