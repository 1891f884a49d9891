"""Original ids to rows, files of ids and files of items."""

import numpy as np
import pandas as pd
import pytest
from absl import logging

from onebp_jax import serving
from onebp_jax.config import default_config
from onebp_jax.errors import UserError
from onebp_jax.serving.ids import listed, read_ids, row_index, rows_of, rows_of_file
from onebp_jax.serving.items import ITEMS_FILE, Items, known_titles
from onebp_jax.training.run_folder import Trained

NUMBERS, TEXTS = np.array([7, 3, -1]), np.array(["007", "a, b", "3"])


@pytest.mark.parametrize(
    ("known", "given", "rows"),
    [
        (NUMBERS, [3, "7", np.int64(-1), 3], [1, 0, 2, 1]),
        (NUMBERS, [3.0, np.float32(7), np.float16(-1)], [1, 0, 2]),
        (np.array(["7.0", "7"]), [7.0, 7], [0, 1]),
        (TEXTS, ["3", 3, "a, b", np.str_("007")], [2, 2, 1, 0]),
        (NUMBERS, [], []),
    ],
)
def test_an_id_is_known_by_its_text(known, given, rows):
    assert serving.parse_ids(given, known).tolist() == rows


@pytest.mark.parametrize("given", [[7, 7.5], [7, float("nan")], ["7", " 7"], ["7", "007"], ["7", None]])
def test_an_unknown_id_is_named_and_counted_or_left_out(given, caplog):
    unknown = r"^items='.*': not an id of the run \(1 of the 2 given ids are unknown\); "
    unknown += "(the nearest: '7'|known ids are such as '7', '3', '-1'); leave unknown ids out"
    for skip_unknown, advice in ((None, "$"), (False, ", or set skip_unknown=True$")):
        with pytest.raises(UserError, match=unknown + advice):
            rows_of(given, row_index(NUMBERS), "items", skip_unknown)
    logging.use_absl_handler()
    assert rows_of(given, row_index(NUMBERS), "items", skip_unknown=True).tolist() == [0]
    assert "1 of the 2 given ids are unknown" in caplog.text


def test_a_float_that_may_have_been_rounded_is_no_integer():
    index = row_index(np.array([2**24, 2**53]))
    assert rows_of(
        [float(2**24), float(2**53 - 1), np.float32(2**24), float(2**53)], index, skip_unknown=True
    ).tolist() == [0]


@pytest.mark.parametrize(
    "ids", [b"17", bytearray(b"1"), memoryview(b"1"), np.array(b"1"), {"a": 1}, pd.DataFrame({"a": [1]})]
)
def test_what_is_neither_an_id_nor_several_is_refused(ids):
    with pytest.raises(UserError, match="^users: of type [a-zA-Z]+, expected an id, or several in a list"):
        listed(ids, "users")


def test_one_id_and_several_are_listed():
    for one in ("ab", 7, np.int64(7), np.array("ab")):
        assert listed(one, "users") == [one]
    for several in (
        ["a", "b"],
        ("a", "b"),
        np.array(["a", "b"]),
        pd.Series(["a", "b"], index=[4, 4]),
        pd.Index(["a", "b"]),
    ):
        assert listed(several, "users") == ["a", "b"]


def test_of_very_many_ids_the_nearest_are_found_too():
    ids = [f"user {n}" for n in range(30_000)] + ["Sigur Rós", "O'Brien"]
    for wrong, meant in (("sigur ros", "Sigur Rós"), ("obrien", "O'Brien")):
        with pytest.raises(UserError, match=f"; the nearest: [\"']{meant}[\"']"):
            rows_of([wrong], row_index(np.array(ids)))


def test_a_file_of_ids(tmp_path):
    path = tmp_path / "users.txt"
    path.write_bytes("\ufeff7\r\n\n a, b \nКино\n".encode())
    assert read_ids(path) == {1: "7", 3: "a, b", 4: "Кино"}
    with pytest.raises(UserError, match=r"^users_file=.*users.txt: line 4: 'Кино': not an id of the run \(1 of the 3 "):
        rows_of_file(path, np.array(["7", "a, b"]))
    assert rows_of_file(path, np.array(["7", "a, b"]), skip_unknown=True).tolist() == [0, 1]
    path.write_bytes("a\u2028b\x85c\n".encode())
    assert read_ids(path) == {1: "a\u2028b\x85c"}
    path.write_bytes(b"\n \n")
    with pytest.raises(UserError, match="^users_file=.*users.txt: it has no ids"):
        read_ids(path)
    path.write_bytes(b"7\ncaf\xe9\n")
    for bad, said in (
        (path, "^users_file=.*users.txt: line 2: not UTF-8, expected .*one id per line"),
        (tmp_path / "user.txt", "^users_file=.*no such file; .*: users.txt"),
        (tmp_path, "^users_file=.*: cannot be read"),
    ):
        with pytest.raises(UserError, match=said):
            read_ids(bad)


def run_of(ids=NUMBERS, **fields):
    config = default_config()
    config.update(fields)
    return Trained(config, {}, np.zeros((1, 1)), np.zeros((len(ids), 1)), np.array([0]), ids)


@pytest.mark.parametrize("ending", ["csv", "parquet", "frame"])
def test_a_file_of_items_gives_rows_and_titles(ending, tmp_path):
    frame = pd.DataFrame({"Title": ["New", "Three, again", None], "item": [99, 3, 7], "year": [1, 2, 3]})
    path = tmp_path / f"items.{ending}"
    {"csv": frame.to_csv, "parquet": frame.to_parquet, "frame": lambda *_, **__: None}[ending](path, index=False)
    items = serving.read_items(frame if ending == "frame" else path, run_of())
    assert items.rows.tolist() == [1, 0] and items.titles is not None and items.titles.tolist() == ["Three, again", ""]
    lists = serving.with_titles(pd.DataFrame({"user": [1, 1], "item": [-1, 3]}), items, NUMBERS)
    assert lists["title"].tolist() == ["", "Three, again"]


def test_items_without_titles_and_items_of_another_set():
    items = serving.read_items(pd.DataFrame({"sku": [3]}), run_of(item_column="sku"))
    assert items.rows.tolist() == [1] and items.titles is None
    lists = pd.DataFrame({"user": [1], "item": [3]})
    assert serving.with_titles(lists, items, NUMBERS) is lists
    for wrong, words in ((["x"], "none of its 1 ids is an item of the run"), ([3, 3], "1 ids occur twice")):
        with pytest.raises(UserError, match=words):
            serving.read_items(pd.DataFrame({"item": wrong}), run_of())


def test_titles_that_a_run_knows(tmp_path, caplog):
    logging.use_absl_handler()
    run = run_of(dataset="own.csv")
    assert known_titles(tmp_path, run) is None
    run.config.item_features = str(tmp_path / "features.csv")
    assert known_titles(tmp_path, run) is None and "lists have no titles" in caplog.text
    titles = lambda: (known_titles(tmp_path, run) or Items(NUMBERS, None)).titles
    (tmp_path / "features.csv").write_text("item,name\n7,Seven\n")
    assert list(titles()) == ["Seven"]
    (tmp_path / ITEMS_FILE).write_text("item,title\n3,Three\n")
    assert list(titles()) == ["Three"]


def test_a_file_of_items_that_is_not_there_is_said_as_the_argument(tmp_path):
    (tmp_path / "items.csv").touch()
    with pytest.raises(UserError, match="^items=.*item.csv: no such file; the nearest in .*: items.csv$"):
        serving.read_items(tmp_path / "item.csv", run_of())
