"""`from_frame`: frames and matrices give the data set that the same rows in a file give."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from onebp_jax.data import from_frame, load
from onebp_jax.errors import UserError

FRAME = pd.DataFrame(
    {
        "user": ["ann", "ann", "ann", "bob", "bob", "bob", "ann"],
        "item": [10, 20, 30, 10, 20, 40, 10],
        "plays": [1, 5, 3, 4, 5, 1, 5],
        "time": [3, 1, 2, 4, 5, 6, 7],
    }
)


def error_of(*args, **kwargs):
    """The message, which has to be one line."""
    with pytest.raises(UserError) as caught:
        from_frame(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def assert_same(one, other):
    for field in dataclasses.fields(one):
        if field.name != "name":
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), field.name)


@pytest.mark.parametrize(
    "split", ["auto", "ratio", "time", "time_global", "leave_one_out", "leave_one_out_time", "none"]
)
@pytest.mark.parametrize("changed", [{}, {"min_rating": 3}, {"deduplicate": "last", "min_item_users": 2}])
def test_a_frame_is_what_its_file_is(tmp_path, split, changed):
    FRAME.to_csv(tmp_path / "own.csv", index=False)
    options = {"split": split, "test_fraction": 0.3, **changed}
    assert_same(from_frame(FRAME, **options), load(tmp_path / "own.csv", **options))


def test_two_frames_are_a_given_split(tmp_path):
    train, test = FRAME.iloc[:5], pd.DataFrame({"user": ["bob"], "item": [30]})
    train.to_csv(tmp_path / "train.csv", index=False)
    test.to_csv(tmp_path / "test.csv", index=False)
    dataset = from_frame(train, test=test, name="mine")
    assert_same(dataset, load(tmp_path))
    assert (dataset.name, dataset.split, dataset.test.tolist()) == ("mine", "given", [[1, 2]])


def test_columns_are_named_and_a_named_index_is_a_column():
    named = FRAME.rename(columns={"user": "who", "item": 0})
    dataset = from_frame(named.set_index("who"), user_column="who", item_column="0", split="none")
    assert_same(dataset, from_frame(FRAME, split="none"))
    assert "choose one with user_column" in error_of(named)


def test_split_none_keeps_all_pairs():
    dataset = from_frame(FRAME, split="none")
    assert len(dataset.train) == 6 and dataset.test.shape == (0, 2) and dataset.split == "none, all pairs are train"


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.coo_matrix, sparse.csc_array])
def test_a_matrix_has_users_in_rows_and_items_in_columns(kind):
    matrix = kind(np.array([[0, 2.0, 0, 5], [0, 0, 0, 0], [1, 0, 0, 4]]))
    dataset = from_frame(matrix, split="none")
    assert sorted(map(tuple, dataset.train.tolist())) == [(0, 1), (0, 3), (2, 0), (2, 3)]
    assert (dataset.num_users, dataset.num_items) == (3, 4)  # with rows and columns that hold nothing
    high = from_frame(matrix, split="none", min_rating=4)
    assert (high.user_ids.tolist(), high.item_ids.tolist()) == ([0, 2], [3])
    given = from_frame(matrix, test=kind(np.array([[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])))
    assert given.test.tolist() == [[0, 0]] and given.split == "given"


def test_weights_and_signs_that_are_not_used_are_said(caplog):
    from_frame(sparse.csr_matrix([[1, -1, 0], [0, 2, -3]]), split="none")
    (said,) = [record.getMessage() for record in caplog.records]
    assert "3 of 4 stored numbers are not 1, such as -1, and 2 are negative, such as -1; they are not used" in said
    caplog.clear()
    from_frame(sparse.csr_matrix([[1.0, 0, 2.5]]), split="none")
    assert "1 of 2 stored numbers are not 1, such as 2.5, and 0 are negative; " in caplog.text
    caplog.clear()
    for ones in (sparse.csr_matrix([[1, 0, 1]]), sparse.csr_matrix([[True, False]])):
        from_frame(ones, split="none")
    from_frame(sparse.csr_matrix([[3, -1]]), split="none", min_rating=1)
    assert "stored numbers" not in caplog.text
    assert "a matrix of type complex128, expected real numbers" in error_of(sparse.csr_matrix([[1j, 2]]))


def test_stored_zeros_are_left_out_in_a_line(caplog):
    matrix = sparse.csr_matrix((np.array([1.0, 0.0]), ([0, 1], [0, 1])), shape=(2, 2))
    assert from_frame(matrix, split="none").train.tolist() == [[0, 0]]
    assert "1 stored zeros" in caplog.text


def damaged(kind, array, place, value):
    matrix = sparse.coo_matrix(np.eye(4)).asformat(kind)
    getattr(matrix, array)[place] = value
    return matrix


@pytest.mark.parametrize(
    "fault",
    [
        ("csr", "indptr", 2, 10**6),
        ("csr", "indices", 0, 10**6),
        ("csr", "indices", 0, -1),
        ("csc", "indices", 0, -1),
        ("coo", "row", 0, 9),
        ("coo", "col", 0, -1),
    ],
)
def test_a_damaged_matrix_is_refused(fault):
    assert "frame: a damaged sparse matrix (" in error_of(damaged(*fault), split="none")


def test_arguments_and_columns_without_effect_are_said(tmp_path, caplog):
    for role in ("user", "item", "time", "rating"):
        said = error_of(sparse.eye(2), **{f"{role}_column": "x"})
        assert f"a sparse matrix has no columns: leave {role}_column='x' out" in said
    frame = FRAME.rename(columns={"plays": "foo"})
    frame.to_csv(tmp_path / "a.csv", index=False)
    for read, given in ((from_frame, frame), (load, tmp_path / "a.csv")):
        caplog.clear()
        read(given, split="none", rating_column="foo")
        assert "the column foo is not used, each row counts as one interaction; min_rating sets" in caplog.text
    caplog.clear()
    other = FRAME.drop(columns="plays")
    from_frame(other.set_index("user", drop=False), split="none", deduplicate="last")
    assert "index" not in caplog.text
    from_frame(other.set_index(pd.Index(range(7), name="user")), split="none")
    assert "the index 'user' has other values than the column of this name, which was taken" in caplog.text
    twice = pd.MultiIndex.from_arrays([range(7), range(7)], names=["a", "a"])
    assert "two columns are called 'a'" in error_of(other.set_index(twice))


def test_columns_of_arrow_are_read_or_named(tmp_path):
    pa = pytest.importorskip("pyarrow")
    encoded = pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))
    frame = pd.DataFrame({"user": ["ann", "bob"], "item": ["x", "y"], "time": ["5", "6"]})
    assert_same(from_frame(frame.astype("string").astype(encoded), split="time"), from_frame(frame, split="time"))
    lists = frame.assign(user=pd.Series([[1], [2]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))))
    assert "the user ids are of type list<" in error_of(lists)
    assert "convert it with .to_pandas()" in error_of(pa.table({"user": [1], "item": [2]}))


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([1, True], "of type booleans and integers mixed"),
        ([1, "a"], "of type integers and text mixed"),
        (["a", b"b"], "of type bytes and text mixed"),
        ([(1, 2), (3, 4)], "of type tuple,"),
    ],
)
def test_types_that_are_mixed_are_named(ids, words):
    assert words in error_of(pd.DataFrame({"user": pd.Series(ids, dtype=object), "item": 1}))


@pytest.mark.parametrize(
    ("frame", "options", "words"),
    [
        ({"user": [1]}, {}, "a dict, expected a pandas DataFrame"),
        (FRAME.to_numpy(), {}, "a ndarray, expected"),
        ("clicks.csv", {}, "give data.load the path"),
        (FRAME["user"], {}, "a Series, expected .*; give the frame with both columns"),
        ([(1, 2)], {}, "a list, expected .*; make one: pd.DataFrame"),
        (FRAME[:0], {}, "no rows"),
        (FRAME, {"test": sparse.eye(2)}, "two of one kind"),
        (sparse.eye(2), {"test": sparse.eye(3)}, "shapes"),
        (sparse.eye(2), {"split": "time"}, "no times"),
        (FRAME, {"split": "given"}, "no given split"),
        (FRAME, {"test_fraction": 2}, "expected 0 <= test_fraction < 1"),
        (FRAME, {"split": "all"}, "expected one of"),
        (FRAME, {"deduplicate": "any"}, "expected one of first, last"),
        (FRAME, {"min_rating": 9}, "the highest rating is 5"),
        (FRAME, {"min_user_items": 9}, "no row of frame is left"),
        (FRAME, {"min_rating": 3, "rating_column": "stars"}, "no rating column: expected stars"),
        (FRAME.drop(columns="plays"), {"min_rating": 3}, "no rating column"),
    ],
)
def test_errors(frame, options, words):
    assert re.search(words, error_of(frame, **options))


@pytest.mark.parametrize("names", [(0, 1), ("0", "1"), (np.int64(0), np.uint8(1))], ids=["integers", "text", "numpy"])
def test_numbers_as_names_of_columns(tmp_path, names):
    frame = pd.DataFrame([[7, 5], [8, 6]])
    frame.to_csv(tmp_path / "a.csv", index=False)
    columns = dict(zip(("user_column", "item_column"), names, strict=True))
    for read, given in ((from_frame, frame), (load, tmp_path / "a.csv")):
        dataset = read(given, split="none", **columns)
        assert (dataset.user_ids.tolist(), dataset.item_ids.tolist()) == ([7, 8], [5, 6])
