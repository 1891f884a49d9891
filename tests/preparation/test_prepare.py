"""Preparation: the same pairs as `data.load` in memory, in the same files whatever the order of the log and the engine."""

import decimal
import gzip
import itertools
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from onebp_jax.data import hold_out_validation, load, load_streamed
from onebp_jax.data.prepared import read_prepared
from onebp_jax.data.splits import one_cut
from onebp_jax.errors import UserError
from onebp_jax.preparation import Rules, prepare, rules

pa = pytest.importorskip("pyarrow", reason="preparations need pyarrow: pip install -e '.[prepare]'")
pytest.importorskip("ibis", reason="preparations need ibis: pip install -e '.[prepare]'")
pytest.importorskip("duckdb", reason="preparations need DuckDB: pip install -e '.[prepare]'")

FILTERS = {"min_rating": 2.0, "min_user_items": 4, "min_item_users": 3}


def some_log(rows=900, seed=0):
    """Text ids with commas and letters beyond ASCII, distinct times, some pairs twice."""
    random = np.random.default_rng(seed)
    users, items = 40 * random.random(rows) ** 2, 60 * random.random(rows) ** 2
    return pd.DataFrame(
        {
            "user_id": [f"u{user:.0f}" for user in users],
            "itemId": [f"é,{item:.0f}" for item in items],
            "rating": random.integers(1, 11, rows) / 2,
            "timestamp": 1_700_000_000 + random.permutation(rows),
        }
    )


def parts_of(folder):
    """Part -> its pairs under their original ids."""
    users, items = read_prepared(folder).ids
    found = {}
    for part in ("train", "validation", "test"):
        files = sorted((folder / part).glob("*.parquet"))
        pairs = np.concatenate(
            [pd.read_parquet(file)[["user", "item"]].to_numpy() for file in files] or [np.empty((0, 2), int)]
        )
        found[part] = list(zip(users[pairs[:, 0]].tolist(), items[pairs[:, 1]].tolist(), strict=True))
    return found


def content(folder):
    """Name -> bytes of every file but the summary, which holds times and paths."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.name != "summary.json"]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.fixture
def log(tmp_path):
    some_log().to_csv(tmp_path / "log.csv", index=False)
    return tmp_path / "log.csv"


def of_load():
    """Each split with each rule for repeated pairs, with and without filters in turn; the other half is a study."""
    splits = ["time", "time_global", "leave_one_out_time", "none"]
    for (row, split), (column, keep) in itertools.product(enumerate(splits), enumerate(rules.KEEPS)):
        for turn, filters in enumerate(({}, FILTERS)):
            marks = () if (row + column) % 2 == turn else pytest.mark.study
            yield pytest.param(
                split, keep, filters, marks=marks, id=f"{split}-{keep}-{'filtered' if filters else 'all'}"
            )


@pytest.mark.parametrize("split, deduplicate, filters", [*of_load()])
def test_pairs_are_those_of_load(log, tmp_path, split, deduplicate, filters):
    prepare([log], tmp_path / "out", Rules(split=split, deduplicate=deduplicate, **filters))
    dataset = load(log, split=split, deduplicate=deduplicate, **filters)
    kept, held_out = dataset.train, dataset.train[:0]
    if split == "time_global":
        kept, held_out = one_cut(dataset.train, 0.1, dataset.train_times)
    elif split != "none":
        kept, held_out = hold_out_validation(dataset.train, 0.1, 0, dataset.train_times)
    known = np.unique(kept[:, 0])
    expected = {"train": kept, "validation": held_out, "test": dataset.test}
    for part, pairs in parts_of(tmp_path / "out").items():
        wanted = expected[part][np.isin(expected[part][:, 0], known)]
        ids = zip(dataset.user_ids[wanted[:, 0]].tolist(), dataset.item_ids[wanted[:, 1]].tolist(), strict=True)
        assert sorted(pairs) == sorted(ids), part


@pytest.mark.parametrize("split", ["ratio", "leave_one_out"])
def test_a_random_split_has_the_sizes_of_load(log, tmp_path, split):
    prepare([log], tmp_path / "out", Rules(split=split))
    found = parts_of(tmp_path / "out")
    dataset = load(log, split=split)
    kept, held_out = hold_out_validation(dataset.train, 0.1, 0)
    for part, pairs in (("train", kept), ("validation", held_out), ("test", dataset.test)):
        sizes = pd.Series([user for user, _ in found[part]]).value_counts().to_dict()
        assert sizes == pd.Series(dataset.user_ids[pairs[:, 0]]).value_counts().to_dict()
    prepare([log], tmp_path / "other", Rules(split=split, split_seed=1))
    other = parts_of(tmp_path / "other")
    assert sorted(other["test"]) != sorted(found["test"])


def test_files_do_not_depend_on_the_order_of_the_log_or_its_format(log, tmp_path):
    frame, chosen = some_log(), Rules(min_rating=2, split="time")
    prepare([log], tmp_path / "out", chosen, rows_per_file=100)
    shuffled = frame.sample(frac=1, random_state=1)
    folder = tmp_path / "logs"
    (folder / "day=1").mkdir(parents=True)
    with gzip.open(folder / "b.csv.gz", "wt", newline="") as file:
        shuffled[:300].to_csv(file, index=False, lineterminator="\r\n")
    shuffled[300:].to_csv(folder / "day=1" / "[a].csv", index=False)
    prepare([folder], tmp_path / "several", chosen, rows_per_file=100)
    shuffled.to_parquet(tmp_path / "log.parquet")
    prepare([tmp_path / "log.parquet"], tmp_path / "table", chosen, rows_per_file=100)
    first = content(tmp_path / "out")
    assert len([name for name in first if name.startswith("train")]) > 3
    assert content(tmp_path / "several") == first and content(tmp_path / "table") == first


def test_the_order_in_the_files_is_random(log, tmp_path):
    prepare([log], tmp_path / "out", Rules(split="none"))
    pairs = pd.read_parquet(tmp_path / "out" / "train")
    assert abs(np.corrcoef(pairs["user"], np.arange(len(pairs)))[0, 1]) < 0.15


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["7", "-3", "9223372036854775807"], [-3, 7, 2**63 - 1]),
        (["7", "007", "8"], ["007", "7", "8"]),
        (["7", "9223372036854775808", "8"], ["7", "8", "9223372036854775808"]),
        ([" a", "b ", "c"], ["a", "b", "c"]),
        (["NA", "null", "1.0"], ["1.0", "NA", "null"]),
        (["1.0", "3.", "-20.00"], [-20, 1, 3]),
        (["7.0", "7", "8"], [7, 8]),
        (["+7", "8", "9"], ["+7", "8", "9"]),
        (["1.0", "x.0", "2"], ["1.0", "2", "x.0"]),
    ],
    ids=str,
)
def test_ids_of_text_files(tmp_path, ids, expected):
    """They are those of `load`."""
    pd.DataFrame({"user": ids, "item": [1, 2, 3]}).to_csv(tmp_path / "log.csv", index=False)
    prepare([tmp_path / "log.csv"], tmp_path / "out", Rules(split="none"))
    users, items = read_prepared(tmp_path / "out").ids
    assert users.tolist() == expected and items.tolist() == [1, 2, 3]
    assert sorted(load(tmp_path / "log.csv", split="none").user_ids.tolist()) == expected


@pytest.mark.parametrize("end", [".csv.gz", ".csv.zst", ".tsv.zst", ".inter", ".inter.gz"])
def test_files_are_read_packed_and_as_recbole_writes_them(log, tmp_path, end):
    frame = pd.read_csv(log)
    if end.startswith(".inter"):
        frame = frame.rename(
            columns={"user_id": "user_id:token", "itemId": "itemId:token", "timestamp": "timestamp:float"}
        )
    text = frame.to_csv(index=False, sep="," if end.startswith(".csv") else "\t").encode()
    packed = pa.compress(text, "zstd", asbytes=True) if end.endswith("zst") else gzip.compress(text)
    (tmp_path / f"other{end}").write_bytes(packed if end.endswith(("gz", "zst")) else text)
    for source, out in ((log, "a"), (tmp_path / f"other{end}", "b")):
        prepare([source], tmp_path / out, Rules(split="time"))
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_a_rule_is_said_and_a_name_in_another_unicode_form_is_found(tmp_path, caplog):
    (tmp_path / "log.csv").write_text("use\u0301r,item\n----,----\nann,x\nbob,y\n")
    prepare([tmp_path / "log.csv"], tmp_path / "out", Rules(split="none"), user_column="us\u00e9r")
    assert "1 rows look like a rule" in caplog.text and "differ by Unicode form only" in caplog.text


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("log.csv", "user,item\né,1\n".encode("utf-16"), "log.csv: not UTF-8; convert the file: iconv"),
        ("log.csv", "user,item\né,1\n".encode("latin-1"), "log.csv: not UTF-8; convert the file: iconv"),
        ("log.csv", b"user,item\n" + b"1,2\n" * 9000 + b"\xe9,1\n", "log.csv: line 9002: not UTF-8; convert the file"),
        ("log.csv.zip", b"PK", "unknown format; .*; unpack it, or pack it as .gz or .zst"),
        ("log.csv.zst", b"user,item\n1,2\n", "log.csv.zst: not .zst, its content is plain text, .*; name it log.csv"),
        ("log.csv.zst", b"\0damaged", "log.csv.zst: cannot be read or unpacked"),
        ("log.csv.gz", b"BZh91AY", "its content is that of a file .bz2; name it log.csv.bz2"),
        ("log.parquet", b"user,item\n1,2\n", "log.parquet: not .parquet, its content is plain text"),
    ],
)
def test_a_file_of_another_encoding_or_packing_is_refused(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=message) as refused:
        prepare([tmp_path / name], tmp_path / "out")
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("ids", "message"), [("1.5", "1 ids of user are no whole numbers"), ("1e3", "in scientific notation")]
)
def test_numbers_that_are_no_ids(tmp_path, ids, message):
    (tmp_path / "log.csv").write_text(f"user,item\n{ids},1\n2,3\n")
    with pytest.raises(UserError, match=message):
        prepare([tmp_path / "log.csv"], tmp_path / "out")
    with pytest.raises(UserError, match="whole numbers|in scientific notation"):
        load(tmp_path / "log.csv")


def test_a_prepared_folder_says_that_it_is_streamed(log, tmp_path):
    prepare([log], tmp_path / "out")
    with pytest.raises(UserError, match="a prepared folder, which is streamed: set stream_window="):
        load(tmp_path / "out")


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pd.Series(["7", "8", "9"]), ["7", "8", "9"]),
        (pd.Series([7.0, 8.0, 9.0]), [7, 8, 9]),
        (pd.Series([7, 8, 9], dtype="int16"), [7, 8, 9]),
        (pd.Series([7, 8, 2**64 - 1], dtype="uint64"), [str(2**64 - 1), "7", "8"]),
        (pd.Series([7, 8, 9], dtype="uint64"), [7, 8, 9]),
        (pd.Series([decimal.Decimal(7), 8, 9]), [7, 8, 9]),
        (pd.Series([decimal.Decimal(10**30), 8, 9]), [str(10**30), "8", "9"]),
        (pd.Series(["a", "b", "c"], dtype="category"), ["a", "b", "c"]),
    ],
    ids=lambda value: str(getattr(value, "dtype", "")),
)
def test_ids_of_parquet(tmp_path, ids, expected):
    pd.DataFrame({"user": ids, "item": [1, 2, 3]}).to_parquet(tmp_path / "log.parquet")
    prepare([tmp_path / "log.parquet"], tmp_path / "out", Rules(split="none"))
    assert read_prepared(tmp_path / "out").ids[0].tolist() == expected


def test_floats_of_32_bits_that_may_have_been_rounded(tmp_path, caplog):
    log = pd.DataFrame({"user": 1, "item": [5, 6], "time": np.array([1.7e9, 1.8e9], np.float32)})
    log.to_parquet(tmp_path / "log.parquet")
    prepare([tmp_path / "log.parquet"], tmp_path / "out", Rules(split="time"))
    assert "2 times are floats beyond 16777216, which may have been rounded" in caplog.text
    log.assign(user=log["time"]).to_parquet(tmp_path / "log.parquet")
    with pytest.raises(UserError, match="2 values of user are no whole numbers below 16777216"):
        prepare([tmp_path / "log.parquet"], tmp_path / "other")


def test_a_header_of_recbole_in_the_middle_is_refused(tmp_path):
    for name in ("log.inter", "log.inter.gz"):
        text = b"user_id:token\titem_id:token\n1\t2\nitem_id:token\tuser_id:token\n"
        (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
        with pytest.raises(UserError, match="comes again 1 times"):
            prepare([tmp_path / name], tmp_path / "out")


def test_several_ids_in_a_field_are_refused(tmp_path):
    for header in ("user_id:token\titem_id:token_seq", "user_id:token_seq\titem_id:token"):
        (tmp_path / "log.inter").write_text(header + "\n1\t2\n")
        with pytest.raises(UserError, match="column .*_id is of type token_seq, several ids in one field"):
            prepare([tmp_path / "log.inter"], tmp_path / "out")
    (tmp_path / "log.inter").write_text("user_id:token\titem_id:token\ttags:token_seq\n1\t2\tx y\n")
    prepare([tmp_path / "log.inter"], tmp_path / "out", Rules(split="none"))


@pytest.mark.parametrize("split", ["time", "leave_one_out_time"])
def test_ties_that_decide_a_split_by_time_are_said(tmp_path, caplog, split):
    items, users = np.tile(np.arange(4), 10), np.repeat(np.arange(10), 4)
    for tied in (6, 5):
        times = np.where(users < tied, items // 2 * 2, items)  # 0 0 2 2, or 0 1 2 3
        log = pd.DataFrame({"user": users, "item": items, "time": times})
        log.to_parquet(tmp_path / "log.parquet")
        caplog.clear()
        prepare([tmp_path / "log.parquet"], tmp_path / f"out{tied}", Rules(split=split))
        assert (f"split={split}: for {tied} of 10 users the cut falls between pairs" in caplog.text) == (tied == 6)


WARNED = {  # ids -> what a preparation says of them, as `load` does; the ids are those of `load`
    "words among integers": ([*map(str, range(11)), "x"], "1 of 12 ids of user are no integers"),
    "words among numbers with a point": (
        [*(f"{one}.0" for one in range(10)), "10", "nan"],
        "1 of 12 ids of user are no integers",
    ),
    "integers beyond 64 bits": (["7", str(10**30)], "1 ids of user are integers beyond 64 bits"),
    "quotes": (['="007"', "'8'"], "2 ids of user have quotes that are a part of the id"),
    "points": (["7.0", "8"], "whole numbers written as 1.0"),
    "a point among text": (["7.0", "7", "x"], "1 ids of user are whole numbers written as 1.0 in a column of text"),
}


@pytest.mark.parametrize("kind", WARNED)
@pytest.mark.parametrize("end", ["csv", "parquet"])
def test_odd_ids_are_said_and_are_those_of_load(tmp_path, caplog, kind, end):
    ids, said = WARNED[kind]
    frame, path = pd.DataFrame({"user": ids, "item": 1}), tmp_path / f"log.{end}"
    frame.to_csv(path, index=False) if end == "csv" else frame.to_parquet(path)
    prepare([path], tmp_path / "out", Rules(split="none"))
    prepared = [record.getMessage() for record in caplog.records]
    caplog.clear()
    expected = load(path, split="none").user_ids.tolist()
    assert sorted(read_prepared(tmp_path / "out").ids[0].tolist()) == sorted(expected)
    assert len(prepared) == len(caplog.records)
    assert end == "parquet" or any(said in line for line in prepared)


def test_names_in_capitals_and_blanks_around_ids_as_load_reads_them(tmp_path):
    with gzip.open(tmp_path / "LOG.CSV.GZ", "wt", encoding="utf-8") as file:
        file.write("user,item\n\u00a0a,x\na\t,y\u3000\n\ufeffb,x\n")
    prepare([tmp_path], tmp_path / "out", Rules(split="none"))
    dataset = load(tmp_path / "LOG.CSV.GZ", split="none")
    found = [sorted(ids.tolist()) for ids in read_prepared(tmp_path / "out").ids]
    assert found == [["a", "b"], ["x", "y"]] == [sorted(ids.tolist()) for ids in (dataset.user_ids, dataset.item_ids)]


TIMES = [
    "2024-01-31",
    "2024-02-01T00:30:00+01:00",
    "2024-01-31 23:30:01Z",
    "2024-01-31T23:30:01.5",
    "2024-02-01 00:00 UTC",
]


@pytest.mark.parametrize(
    "times",
    [
        pd.Series(TIMES),
        pd.to_datetime(pd.Series(TIMES), format="mixed", utc=True),
        pd.to_datetime(pd.Series(TIMES), format="mixed", utc=True).astype("datetime64[ms, UTC]"),
        pd.to_datetime(pd.Series(TIMES[:1] * 5)).astype("datetime64[us]") + pd.to_timedelta(range(5), "us"),
        pd.to_datetime(pd.Series(TIMES[:1] * 5)).astype("datetime64[ns]") + pd.to_timedelta(range(5), "us"),
        pd.Series([1.5, 2.25, 2.5, 2.75, 3.0]),
        pd.Series(["1", "20", "2e2", "1e3", "+2000"]),
        pd.Series([2**62, 2**62 + 1, 2**62 + 2, 2**62 + 3, 2**62 + 4]).astype(str),
    ],
    ids=["text", "moments", "milliseconds", "microseconds", "nanoseconds", "floats", "numbers", "large"],
)
def test_times_order_pairs_as_they_are_meant(tmp_path, times):
    order = np.random.default_rng(0).permutation(5)
    log = pd.DataFrame({"user": 1, "item": range(5), "time": times}).iloc[order]
    log.to_parquet(tmp_path / "log.parquet")
    prepare(
        [tmp_path / "log.parquet"], tmp_path / "out", Rules(split="time", test_fraction=0.4, validation_fraction=0.4)
    )
    found = {part: sorted(item for _, item in pairs) for part, pairs in parts_of(tmp_path / "out").items()}
    assert found == {"train": [0, 1], "validation": [2], "test": [3, 4]}


@pytest.mark.parametrize(
    ("text", "given", "message"),
    [
        ("user,item\n", {}, "has no rows"),
        ("user,item\n1,2\nuser,item\n3,4\n", {}, "a line of column names comes again 1 times"),
        ('user,item\n1,2\n3,"a\nb"\n', {}, "1 values of item have a line break"),
        ("user,item\n1,2,3\n", {}, "log.csv: line 2: DuckDB cannot go on: .*repair the file"),
        ("user,thing\n1,2\n", {}, "no item column"),
        ("user,user,item\n1,2,3\n", {}, "different names"),
        ("user,item\n1,a\0b\n", {}, "1 values of item have a line break or a zero character"),
        ("user,item\n1,2\n User,ITEM\n", {}, "comes again 1 times"),
        ("user,item\n1,2\nitem,user\n3,4\n", {}, "comes again 1 times"),
        ("user,item\n1,2\nuserId,movieId\n3,4\n", {}, "comes again 1 times"),
        ("plays,day,user,item\n1,2,5,6\nuser,item,plays,day\n", {}, "comes again 1 times"),
        ("sep=,\nuser,item\n1,2\n", {}, "the first line is 'sep=,'"),
        ("# of, 2024\nuser,item\n1,2\n", {}, "the first line is '# of, 2024'"),
        ("<html>,a\n", {}, "a page of HTML"),
        ("user,item\nTrue,2\nFalse,2\n", {}, "user are of type boolean"),
        ("user,item\n7.0,2\n007,2\n", {}, "zeros or a plus in front, and 1 are written with a point"),
        ("user,item,time\n1,2,noon\n", {"split": "time"}, "1 of 1 values of time are missing or cannot be read"),
        ("user,item,time\n1,2,2024-13-01\n", {"split": "time"}, "cannot be read"),
        ("user,item\n1,2\n", {"split": "time"}, "no column timestamp or time"),
        ("user,item,time\n1,2,1700000000000000001\n1,3,1.5\n", {"split": "time"}, "1 values of time have more than 15"),
        (
            "user,item,time\n1,2,2024-01-01T00:00:00.0000001\n",
            {"split": "time"},
            "1 values of time are finer than micro",
        ),
        ("user,item,time\n1,2,1700000000\n1,3,1700000000000\n", {"split": "time"}, "two units .*: 1 of 2 rows, 1 of 2"),
        ("user,item,rating\n1,2,good\n", {"min_rating": 1}, "1 of 1 values of rating"),
        ("user,item,rating\n1,2,3\n", {"min_rating": 9}, "min_rating=9: no row is left"),
        ("user,item\n1,2\n", {"min_user_items": 2}, "min_user_items=2, min_item_users=0: no row is left"),
        (
            "user,item,time\n1,2,5\n2,2,5\n",
            {"split": "time_global", "test_fraction": 0.5},
            "all 2 pairs have the same time",
        ),
        ("user,item\n1,2\n", {"split": "given"}, "split='given'"),
        ("user,item\n1,2\n", {"deduplicate": "best"}, "deduplicate='best'"),
        ("user,item\n1,2\n", {"test_fraction": 1}, "test_fraction=1"),
        ("user,item\n1,2\n", {"validation_fraction": "x"}, "validation_fraction='x'"),
        ("user,item\n1,2\n", {"min_user_items": 1.5}, "min_user_items=1.5: expected an integer"),
        ("user,item\n1,2\n", {"split_seed": -1}, "split_seed=-1"),
    ],
)
def test_a_log_that_cannot_be_prepared_leaves_no_folder(tmp_path, text, given, message):
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        prepare([tmp_path / "log.csv"], tmp_path / "out", Rules(**given))
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "postgres"}, "engine='postgres': expected duckdb or the URL"),
        ({"memory_limit": "much"}, "memory_limit='much'"),
        ({"rows_per_file": 0}, "rows_per_file=0"),
        ({"inputs": ["nowhere"]}, "input=nowhere: no such file or folder; the nearest in .*: log.csv"),
        ({"inputs": ["link"]}, "input=link: a symbolic link to gone, which does not exist; check the path"),
        ({"rules": Rules(split="times")}, r"split='times': expected one of .* \(did you mean 'time'\?\)$"),
    ],
    ids=str,
)
def test_bad_arguments_have_one_line(log, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    if options.get("inputs") == ["link"]:
        (tmp_path / "link").symlink_to("gone")
    with pytest.raises(UserError, match=message):
        prepare(options.pop("inputs", [log]), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_and_a_killed_preparation_are_not_touched(log, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="exists"):
        prepare([log], tmp_path / "out")
    (tmp_path / "next.partial").mkdir()
    with pytest.raises(UserError, match="next.partial is there"):
        prepare([log], tmp_path / "next")
    assert (tmp_path / "next.partial").is_dir() and not any((tmp_path / "out").iterdir())


def test_what_is_left_out_is_counted(tmp_path, caplog):
    lines = ["u,i,rating", "a,1,5", "a,1,4", "a,2,1", "b,2,5", ",2,5", "b, ,5"]
    (tmp_path / "log.csv").write_text("\n".join(lines))
    chosen = Rules(split="none", min_rating=2, min_user_items=1, min_item_users=1)
    with caplog.at_level("INFO"):
        summary = prepare([tmp_path / "log.csv"], tmp_path / "out", chosen, user_column="u", item_column="i")
    assert summary["rows"] == {"read": 6, "without_ids": 2, "repeated": 1, "below_min_rating": 1}
    assert (summary["users"], summary["items"], summary["train"]) == (2, 2, 2)
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["rows"] == summary["rows"]
    said = caplog.text
    for line in ("2 of 6 rows have no user or no item", "1 repeated", "min_rating=2 leaves out 1 of 3 rows"):
        assert line in said


def test_a_stream_gives_the_original_ids_back(log, tmp_path):
    prepare([log], tmp_path / "out", Rules(split="time"), rows_per_file=100)
    dataset = load_streamed(tmp_path / "out", 1 << 20)
    found = parts_of(tmp_path / "out")
    frame = some_log()
    assert sorted(dataset.user_ids) == sorted(set(frame["user_id"])) and dataset.split.startswith(
        "per-user latest 20 %"
    )
    test = list(zip(dataset.user_ids[dataset.test[:, 0]], dataset.item_ids[dataset.test[:, 1]], strict=True))
    assert sorted(test) == sorted(found["test"])
    users = pd.Series([user for user, _ in found["train"]]).value_counts()
    assert dict(zip(dataset.user_ids, dataset.user_counts, strict=True)) == users.to_dict()


def test_a_prepared_folder_with_a_lost_file_is_refused(log, tmp_path):
    prepare([log], tmp_path / "out")
    (tmp_path / "out" / "items.parquet").unlink()
    with pytest.raises(UserError, match="items.parquet: cannot be read"):
        load_streamed(tmp_path / "out", 1 << 20)


@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java, which is not installed")
def test_spark_writes_the_same_files(tmp_path):
    """Also of ids with blanks around them, beyond 64 bits, in quotes, and beyond the characters of two bytes."""
    pytest.importorskip("pyspark", reason="the check on Spark needs pyspark: pip install -e '.[prepare,spark]'")
    log, frame = tmp_path / "log.csv", some_log(500)
    forms = [" {}", "{}\u3000", "\ufeff{}\u00a0", "\U0001f600{}", 'a "{}"', f"{10**20}{{}}", "{}.0", "\\N{}", "-{}"]
    numbers = frame["user_id"].str[1:].astype(int)
    frame["user_id"] = [forms[number % len(forms)].format(number) for number in numbers]
    frame.to_csv(log, index=False)
    chosen = Rules(split="time_global", **FILTERS)
    prepare([log], tmp_path / "out", chosen, rows_per_file=400)
    prepare([log], tmp_path / "spark", chosen, rows_per_file=400, engine="local[2]")
    assert content(tmp_path / "spark") == content(tmp_path / "out")
