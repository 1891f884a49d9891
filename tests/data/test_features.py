"""Side information: columns become numbers and tokens, rows find their ids, and every mistake is told in one line."""

import numpy as np
import pandas as pd
import pytest

from onebp_jax.data import Dataset, load, parse_columns, to_features
from onebp_jax.data.fingerprint import fingerprint
from onebp_jax.errors import UserError

TRAIN = "user,item\n1,30\n1,10\n2,10\n2,20\n"
TEST = "user,item\n1,20\n2,30\n"
MOVIES = (
    "item,title,genres,year,kind,orig_id\n"
    "20,The Lost World,Action|Sci-Fi,1997,film,7\n"
    "99,A World Apart,Drama,1988,film,8\n"
    '10,"Lost, Found",Action,,series,9\n'
)


@pytest.fixture
def folder(tmp_path):
    """A set with items 30, 10, 20 in this order, and a file beside it: one new item (99), one without a row (30)."""
    for name, text in (("train", TRAIN), ("test", TEST), ("items", MOVIES)):
        (tmp_path / f"{name}.csv").write_text(text)
    return tmp_path


def words_of(features, row):
    return set(features.tokens[row][features.tokens[row] < features.vocabulary].tolist())


def test_columns_rows_and_new_items(folder):
    dataset = load(folder, item_features="auto")
    assert dataset.item_ids.tolist() == [30, 10, 20, 99] and dataset.num_items == 4
    assert (dataset.train < dataset.num_items).all() and len(dataset.train) == 4
    features = dataset.item_features
    # An id is no feature, and a column says what it was taken for.
    assert features.names == ("title: words", "genres: values", "year: numbers", "kind: values")
    # lost, world; action, drama, sci-fi; film, series. The other words are of one title each.
    assert features.vocabulary == 7
    assert [len(words_of(features, row)) for row in range(4)] == [0, 3, 5, 3]
    lost_world, apart, found = (words_of(features, row) for row in (2, 3, 1))
    assert len(lost_world & apart) == 2 and len(lost_world & found) == 2 and not apart & found
    # Years 1997 and 1988: mean 1992.5, deviation 4.5; a missing one is the mean.
    np.testing.assert_allclose(features.numeric, [[0], [0], [1], [-1]])
    assert features.numeric.dtype == np.float32 and features.tokens.dtype == np.int32
    assert (features.tokens[0] == features.vocabulary).all()


def test_the_order_of_the_file_has_no_part_but_in_the_ids_of_new_items(folder):
    first = load(folder, item_features="auto").item_features
    lines = MOVIES.splitlines()
    (folder / "items.csv").write_text("\n".join([lines[0], *lines[:0:-1]]))
    second = load(folder, item_features="auto").item_features
    np.testing.assert_array_equal(first.tokens, second.tokens)
    np.testing.assert_allclose(first.numeric, second.numeric)


@pytest.mark.parametrize("ending", [".tsv", ".parquet", ".csv.gz"])
def test_every_format_gives_the_same(folder, ending):
    frame = pd.read_csv(folder / "items.csv")
    path = folder / f"mine{ending}"
    if ending == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if ending == ".tsv" else ",")
    one, other = load(folder, item_features="auto"), load(folder, item_features=str(path))
    assert one.item_ids.tolist() == other.item_ids.tolist()
    assert one.item_features.names == other.item_features.names
    for name in ("numeric", "tokens"):
        np.testing.assert_array_equal(getattr(one.item_features, name), getattr(other.item_features, name))


def test_columns_are_chosen_and_ids_on_demand(folder):
    features = load(folder, item_features="auto", feature_columns=("genres", "orig_id")).item_features
    assert features.names == ("genres: values", "orig_id: numbers") and features.vocabulary == 3


def test_users_of_the_file_alone_are_left_out(folder):
    (folder / "users.csv").write_text("user,age\n2,30\n3,90\n1,20\n")
    dataset = load(folder, user_features="auto", item_features="auto", feature_columns=("age", "genres"))
    assert dataset.user_ids.tolist() == [1, 2]
    np.testing.assert_allclose(dataset.user_features.numeric, [[-1], [1]])
    assert dataset.item_features.names == ("genres: values",)


def test_text_ids_and_new_ones_stay_as_they_are_written(tmp_path):
    (tmp_path / "own.csv").write_text("user,item\na,07\na,x\nb,x\nb,07\na,y\nb,y\n")
    (tmp_path / "items.csv").write_text("item,colour\nx,red\n7,blue\n07,red\n")
    dataset = load(tmp_path / "own.csv", item_features="auto")
    assert dataset.item_ids.tolist() == ["07", "x", "y", "7"]
    assert dataset.item_features.tokens[:, 0].tolist() == [1, 1, 2, 0]


def test_ids_of_lightgcn_text_are_its_own(tmp_path):
    (tmp_path / "train.txt").write_text("0 0 1\n1 1\n")
    (tmp_path / "test.txt").write_text("0 2\n")
    (tmp_path / "items.csv").write_text("item,colour\n0,red\n5,blue\n2,red\n")
    dataset = load(tmp_path, item_features="auto")
    assert dataset.item_ids.tolist() == [0, 1, 2, 5]
    assert dataset.item_features.tokens.tolist() == [[1], [2], [1], [0]]


def test_numbers_without_spread_and_missing_ones():
    frame = pd.DataFrame(
        {"a": ["0.1"] * 4, "b": ["1", "nan", "3", None], "c": [None] * 4, "d": [True, False, True, False]}
    )
    frame["b"] = frame["b"].replace("nan", np.nan)
    features = to_features(frame)
    assert features.names == ("a: numbers", "b: numbers", "d: numbers")
    np.testing.assert_allclose(features.numeric, [[0, -1, 1], [0, 0, -1], [0, 1, 1], [0, 0, -1]])
    assert features.tokens.shape == (4, 0) and features.vocabulary == 0


@pytest.mark.parametrize(
    "values, expected",
    [
        ([1e308, -1e308, 1.0, 1.0], [2**0.5, -(2**0.5), 0, 0]),
        ([1.7e308, 1.7e308, 0.0, 0.0], [1, 1, -1, -1]),
        ([1e308] * 4, [0] * 4),
        ([1e308, None, -1e308, None], [1, 0, -1, 0]),
        ([3e-320, -3e-320, 0.0, None], [1.5**0.5, -(1.5**0.5), 0, 0]),
    ],
)
@pytest.mark.filterwarnings("error")
def test_numbers_of_any_size_are_standardised(values, expected):
    numeric = to_features(pd.DataFrame({"a": values})).numeric
    assert numeric.dtype == np.float32
    np.testing.assert_allclose(numeric[:, 0], expected, rtol=1e-3 if max(filter(None, values)) < 1 else 1e-6, atol=1e-7)


def test_dates_are_numbers_and_a_missing_one_is_their_mean():
    dates = pd.Series([pd.Timestamp("2020-01-01"), pd.NaT, pd.Timestamp("2020-01-03")])
    np.testing.assert_allclose(to_features(pd.DataFrame({"when": dates})).numeric[:, 0], [-1, 0, 1])


@pytest.mark.parametrize("value", ["inf", "-Infinity", "1e400", "9" * 400, np.inf])
def test_an_infinite_number_is_refused_with_its_column_and_row(value):
    frame = pd.DataFrame({"a": [1, 2], "price": [0.5, value]}, index=["x", "y"])
    with pytest.raises(UserError, match=r"items.csv: the column price has .{3,40} for the id y, expected") as caught:
        to_features(frame, "items.csv")
    assert str(value)[:40] in str(caught.value)


def test_a_column_whose_name_has_a_comma_can_be_chosen(folder):
    (folder / "items.csv").write_text('item,"price, EUR",title\n10,1,a\n20,3,b\n')
    for text in ('"price, EUR"', ' "price, EUR" ,', '"price, EUR"\n'):
        dataset = load(folder, item_features="auto", feature_columns=parse_columns(text))
        assert dataset.item_features.names == ("price, EUR: numbers",)
    assert parse_columns('title, "price, EUR" ,x') == ("title", "price, EUR", "x")
    assert parse_columns("") == parse_columns(" , ") == ()


def test_a_text_in_latin_1_is_read(folder):
    (folder / "items.csv").write_bytes("item,saison\n10,été\n20,été\n".encode("latin-1"))
    features = load(folder, item_features="auto").item_features
    assert features.names == ("saison: values",) and features.vocabulary == 1


def test_a_value_that_repeats_counts_once_and_lists_are_values():
    frame = pd.DataFrame({"tags": [["b", "a", "b"], ["a"], None], "one": [" x|x | ", "y", "x"]})
    features = to_features(frame)
    # one=x, one=y, tags=a, tags=b.
    assert features.tokens.tolist() == [[0, 2, 3], [1, 2, 4], [0, 4, 4]] and features.vocabulary == 4


def test_a_category_with_blanks_is_no_text():
    features = to_features(pd.DataFrame({"city": ["New York", "New York", "Los Angeles", "New York"]}))
    assert features.names == ("city: values",) and features.tokens.tolist() == [[1], [1], [0], [1]]


def test_the_fingerprint_knows_the_features(folder):
    prints = [fingerprint(load(folder, **given)) for given in ({}, {"item_features": "auto"})]
    prints.append(fingerprint(load(folder, item_features="auto", feature_columns=("year",))))
    (folder / "items.csv").write_text(MOVIES.replace("1988", "1980"))
    prints.append(fingerprint(load(folder, item_features="auto", feature_columns=("year", "genres"))))
    (folder / "items.csv").write_text(MOVIES.replace(",Drama", ",Action"))
    prints.append(fingerprint(load(folder, item_features="auto", feature_columns=("year", "genres"))))
    assert all(one != other for number, one in enumerate(prints) for other in prints[:number])
    assert not [name for name in prints[0] if "features" in name]


BAD = {
    "no id": ("title,genres\na,b\n", {}, ["no id column", "item or item_id", "title, genres"]),
    "twice": ("item,genres\n10,a\n20,b\n10,c\n", {}, ["1 ids occur twice", "10"]),
    "missing id": ("item,genres\n10,a\n,b\n", {}, ["1 ids are missing"]),
    "no rows": ("item,genres\n", {}, ["a header but no rows", "for each item"]),
    "one column": ("item\n10\n20\n", {}, ["bad.csv: one column only", "'item'", "expected ','"]),
    "binary": ("item,genres\n10,\0\n", {}, ["bad.csv: line 2: 1 times the zero character (NUL)", "remove it"]),
    "rubbish": (
        "\x01\x02,\x03" + "".join(f",\x04{n}" for n in range(30)) + "\n",
        {},
        ["no id column", "'\\x01\\x02', '\\x03'", " ...;"],
    ),
    "infinite": (
        "item,a,price\n10,1,2\n20,inf,-1e999\n",
        {"feature_columns": ("price",)},
        ["price has -1e999 for the id 20"],
    ),
    "comma": (
        'item,"price, EUR"\n10,a\n',
        {"feature_columns": ("price", "EUR")},
        ["no column 'price'", "a name with a comma in quotes", 'files have "price, EUR"'],
    ),
    "ids alone": ("item,orig_id\n10,3\n", {}, ["no column to use beside the id", "orig_id (", "feature_columns"]),
    "nothing in it": ("item,genres\n10,\n20,\n", {}, ["no column to use"]),
    "unknown column": ("item,genres\n10,a\n", {"feature_columns": ("genre",)}, ["'genre'", "did you mean 'genres'"]),
    "other ids": ("item,genres\n7,a\n8,b\n", {}, ["none of its 2 ids is a known item, such as 30"]),
    "separator": ("item;genres\n10;a\n", {}, ["wrong separator"]),
    "empty": ("", {}, ["bad.csv: the file is empty, expected rows"]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_told_in_one_line(folder, name):
    text, given, words = BAD[name]
    (folder / "bad.csv").write_text(text)
    with pytest.raises(UserError) as caught:
        load(folder, item_features=str(folder / "bad.csv"), **given)
    message = str(caught.value)
    assert "\n" not in message and all(word in message for word in words), message


@pytest.mark.parametrize(
    "given, words",
    [
        ({"item_features": "nowhere.csv"}, ["nowhere.csv", "no such file"]),
        ({"user_features": "auto"}, ["there is no users.csv in"]),
        ({"feature_columns": ("genres",)}, ["feature_columns='genres'", "set one of them"]),
    ],
)
def test_a_file_that_is_not_there(folder, given, words):
    with pytest.raises(UserError) as caught:
        load(folder, **given)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_synthetic_set_has_no_file_beside_it():
    with pytest.raises(UserError, match="there is no items.csv beside synthetic"):
        load("synthetic", synthetic={"num_users": 20}, item_features="auto")


def test_a_set_without_features_has_none(folder):
    dataset = load(folder)
    assert isinstance(dataset, Dataset) and dataset.item_features is dataset.user_features is None
    assert dataset.num_items == 3
