"""`load`: names and paths, splits, the order of places to look in, and downloads (no test uses a network)."""

import gzip
import hashlib
import io
import os
import subprocess
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from absl import logging

from onebp_jax.data import Dataset, check, download, load, read_lightgcn
from onebp_jax.data.catalogue import NAMES
from onebp_jax.errors import UserError

DATA_DIR = os.environ.get("ONEBP_DATA_DIR")


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """An empty cache and an empty data root; whatever would use the network fails."""
    (tmp_path / "root").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("ONEBP_DATA_DIR", str(tmp_path / "root"))

    def no_network(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    monkeypatch.setattr(subprocess, "run", no_network)
    return tmp_path


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def error_of(function, *args, **kwargs):
    """The message, which has to be one line."""
    with pytest.raises(UserError) as caught:
        function(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def rows(pairs):
    return [tuple(row) for row in pairs.tolist()]


class TestOwnFiles:
    def test_csv_pair_is_numbered_by_first_appearance(self, tmp_path):
        write(tmp_path / "own/train.csv", "user,item\nb,30\na,10\nb,10\n")
        write(tmp_path / "own/test.csv", "user,item\na,20\nb,20\n")
        dataset = load(tmp_path / "own")
        assert dataset.train.tolist() == [[0, 0], [1, 1], [0, 1]]
        assert dataset.test.tolist() == [[1, 2], [0, 2]]
        assert dataset.train.dtype == dataset.test.dtype == np.int32
        assert dataset.user_ids.tolist() == ["b", "a"]
        assert dataset.item_ids.tolist() == [30, 10, 20]
        assert dataset.item_ids.dtype == np.int64
        assert (dataset.name, dataset.split, dataset.duplicates) == (str(tmp_path / "own"), "given", 0)
        assert (dataset.num_users, dataset.num_items) == (2, 3)

    def test_numbers_in_one_file_and_text_in_the_other(self, tmp_path):
        write(tmp_path / "train.csv", "user,item\n7,1\n8,1\n")
        write(tmp_path / "test.csv", "user,item\n7,007\n8,x\n")
        dataset = load(tmp_path)
        assert dataset.user_ids.tolist() == [7, 8]
        assert dataset.item_ids.tolist() == ["1", "007", "x"]

    def test_lightgcn_pair_keeps_its_ids(self, tmp_path):
        write(tmp_path / "train.txt.gz", "1 4 0\n0 2\n")
        write(tmp_path / "test.txt", "1 5\n")
        dataset = load(str(tmp_path))
        assert dataset.train.tolist() == [[1, 4], [1, 0], [0, 2]]
        assert dataset.test.tolist() == [[1, 5]]
        assert dataset.user_ids.tolist() == [0, 1]
        assert dataset.item_ids.tolist() == [0, 1, 2, 3, 4, 5]

    def test_no_test_items(self, tmp_path):
        write(tmp_path / "train.txt", "0 1\n")
        write(tmp_path / "test.txt", "0\n")
        assert load(tmp_path).test.shape == (0, 2)
        write(tmp_path / "train.txt", "0\n")
        assert "train part is empty" in error_of(load, tmp_path)

    def test_sparse_lightgcn_ids(self, tmp_path):
        write(tmp_path / "train.txt", "0 1 2\n1 1014\n")
        write(tmp_path / "test.txt", "0 3\n")
        assert load(tmp_path).num_items == 1015
        write(tmp_path / "train.txt", "0 1 2\n1 1016\n")
        message = error_of(load, tmp_path)
        assert "item ids out of range" in message and "convert to CSV" in message

    def test_duplicates(self, tmp_path):
        path = write(tmp_path / "own.csv", "user,item\n1,1\n1,2\n1,1\n2,1\n2,1\n")
        dataset = load(path, test_fraction=0)
        assert dataset.train.tolist() == [[0, 0], [0, 1], [1, 0]]
        assert dataset.duplicates == 2
        path = write(tmp_path / "own.csv", "user,item,time\n1,1,9\n1,2,5\n1,1,3\n1,3,4\n")
        dataset = load(path, split="leave_one_out_time")  # the earliest 1,1 counts
        assert dataset.test.tolist() == [[0, 1]]
        assert dataset.train.tolist() == [[0, 0], [0, 2]]

    def test_one_file_is_split_by_ratio(self, tmp_path):
        path = write(tmp_path / "own.csv", "user,item\n" + "".join(f"1,{item}\n" for item in range(10)))
        dataset = load(path)
        assert (len(dataset.train), len(dataset.test)) == (8, 2)
        assert dataset.split == "per-user random 20 %, seed 0"
        other = load(path, split="ratio", test_fraction=0.25, split_seed=7)
        assert other.split == "per-user random 25 %, seed 7"
        assert "one file has no given split" in error_of(load, path, split="given")

    @pytest.mark.parametrize(
        ("split", "sentence", "test"),
        [
            ("time", "per-user latest 20 %, validation latest too", [2, 4]),
            ("leave_one_out_time", "leave one out, latest, validation latest too", [4]),
            ("time_global", "one cut in time, latest 20 %, validation by a cut too", [2, 4]),
            ("leave_one_out", "leave one out, random, seed 0", None),
        ],
    )
    def test_splits(self, tmp_path, split, sentence, test):
        times = [3, 1, 8, 2, 9, 4, 5, 0, 7, 6]
        path = write(tmp_path / "o.csv", "user,item,timestamp\n" + "".join(f"1,{i},{t}\n" for i, t in enumerate(times)))
        dataset = load(path, split=split)
        assert dataset.split == sentence
        assert len(dataset.test) == 1 if test is None else dataset.test[:, 1].tolist() == test

    def test_given_files_can_be_split_anew(self, tmp_path):
        write(tmp_path / "train.txt", "0 0 1 2 3\n1 0 4\n")
        write(tmp_path / "test.txt", "0 5\n1 5\n")
        dataset = load(tmp_path, split="leave_one_out")
        assert sorted(rows(dataset.train) + rows(dataset.test)) == sorted(
            [(0, item) for item in (0, 1, 2, 3, 5)] + [(1, item) for item in (0, 4, 5)]
        )
        assert "no times" in error_of(load, tmp_path, split="time")
        assert "no columns" in error_of(load, tmp_path, user_column="user")

    def test_folder_errors(self, tmp_path):
        write(tmp_path / "own/train.csv", "user,item\n1,1\n")
        assert "only train.csv" in error_of(load, tmp_path / "own")
        write(tmp_path / "own/test.txt", "0 1\n")
        assert "differ in format" in error_of(load, tmp_path / "own")
        assert "no train and test file" in error_of(load, tmp_path)

    def test_unknown_names(self, tmp_path):
        message = error_of(load, "gowala")
        assert "'gowala'" in message and "(did you mean 'gowalla'?)" in message
        assert all(name in message for name in NAMES)
        write(tmp_path / "there.csv", "user,item\n1,1\n")
        message = error_of(load, tmp_path / "mine.csv")
        assert "no such file" in message and "there.csv" in message
        message = error_of(load, "gowalla", split="random")
        assert "split='random'" in message and "leave_one_out_time" in message
        assert "is not a folder" in error_of(load, "gowalla", tmp_path / "nowhere")


class TestCheck:
    def dataset(self, train, test, users=3, items=3):
        pairs = [np.array(part, np.int32).reshape(-1, 2) for part in (train, test)]
        return Dataset("mine", *pairs, np.array(["ann", "bob", "cy"][:users]), np.arange(items) + 100, "given")

    def test_good(self):
        check(self.dataset([(0, 0), (1, 0)], [(0, 2)]))
        check(self.dataset([(0, 0)], []))

    @pytest.mark.parametrize(
        ("train", "test", "words"),
        [
            ([], [(0, 0)], ["train part is empty"]),
            ([(0, 0)], [(2, 1), (1, 1), (1, 2)], ["2 test user(s)", "the first is cy"]),
            ([(0, 0), (0, 1)], [(0, 2), (0, 1)], ["1 pair(s) are in both", "user ann with item 101"]),
            ([(0, 0), (3, 1)], [], ["ids out of range", "train part has user 3 with item 1"]),
            ([(0, 0)], [(0, 3)], ["ids out of range", "test part has user 0 with item 3"]),
            ([(0, -1)], [], ["ids out of range"]),
        ],
    )
    def test_bad(self, train, test, words):
        message = error_of(check, self.dataset(train, test))
        assert all(word in message for word in words), message

    def test_load_checks(self, tmp_path):
        write(tmp_path / "train.csv", "user,item\n1,1\n1,2\n")
        write(tmp_path / "test.csv", "user,item\n1,2\n")
        assert "in both train and test" in error_of(load, tmp_path)


class TestSynthetic:
    def test_arguments(self):
        dataset = load("synthetic", synthetic={"num_users": 20, "seed": 4})
        assert dataset.num_users == 20
        assert dataset.split == "per-user random 20 %, seed 4"
        assert set(dataset.truth) == {"item_type", "user_majority_type", "user_type_share"}
        dataset = load("synthetic", test_fraction=0.5, synthetic={"num_users": 20})
        assert dataset.split == "per-user random 50 %, seed 0"
        assert "num_user" in error_of(load, "synthetic", synthetic={"num_user": 20})

    def test_split_anew(self):
        dataset = load("synthetic", split="leave_one_out", split_seed=2, synthetic={"num_users": 20})
        assert len(dataset.test) == 20
        assert dataset.split == "leave one out, random, seed 2"
        assert dataset.num_items == 500


class TestPlaces:
    def test_argument_then_environment_then_cache(self, tmp_path, monkeypatch):
        for place, item in (("argument", 1), ("root", 2), ("cache/onebp_jax", 3)):
            write(tmp_path / place / "gowalla/train.txt", "0 0\n")
            write(tmp_path / place / "gowalla/test.txt", f"0 {item}\n")
        assert load("gowalla", tmp_path / "argument").test.tolist() == [[0, 1]]
        assert load("gowalla").test.tolist() == [[0, 2]]
        monkeypatch.delenv("ONEBP_DATA_DIR")
        assert load("gowalla").test.tolist() == [[0, 3]]
        monkeypatch.setenv("ONEBP_DATA_DIR", str(tmp_path / "argument/gowalla"))
        assert load("gowalla").test.tolist() == [[0, 3]]

    def test_no_cache_variable(self, tmp_path, monkeypatch):
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", str(tmp_path))
        write(tmp_path / ".cache/onebp_jax/ml-1m/train.txt", "0 0\n")
        write(tmp_path / ".cache/onebp_jax/ml-1m/test.txt", "0 1\n")
        assert load("ml-1m").name == "ml-1m"

    def test_note_on_the_split(self, tmp_path):
        write(tmp_path / "root/gowalla/train.txt", "0 0\n")
        write(tmp_path / "root/gowalla/test.txt", "0 1\n")
        write(tmp_path / "root/gowalla/split.txt", "by hand\n")
        assert load("gowalla").split == "by hand"
        assert load("gowalla", split="leave_one_out").split == "leave one out, random, seed 0"


LIGHTGCN = {"train.txt": "1 2 1\n0 0 3\n", "test.txt": "0 1\n1 0\n"}
RATINGS = "1::31::5::10\n1::17::3::11\n2::31::1::12\n2::99::2::13\n"


MOVIES = (
    "17::Am\u00e9lie (2001)::Comedy|Romance\n99::Heat, Part 2 (1995)::Action\n31::Alien (1979)::Horror\n5::Never::War\n"
)


def zipped(**members):
    """An archive of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, text in members.items():
            archive.writestr(member, text)
    return buffer.getvalue()


def movie(number, title, *genres):
    """A line of `u.item`, whose last 19 fields are flags of genres."""
    return "|".join([str(number), title, "01-Jan-1995", "", "", *("01"[place in genres] for place in range(19))]) + "\n"


class TestDownload:
    @pytest.fixture(autouse=True)
    def served(self, monkeypatch):
        """What the addresses give, by the last part of the address; `None` is out of reach."""
        served = {
            **{name: text.encode() for name, text in LIGHTGCN.items()},
            "gowalla_test.csv": b"user,item,rating\n1,1,1\n0,3,1\n",
            "yelp2018_test.csv": b"user,item,rating\n1,1,1\n",
            "100k_train.csv": b"user,item,rating\n0,1,4\n0,2,4\n1,0,4\n",
            "100k_test.csv": b"user,item,rating\n0,0,4\n",
            "ml-1m.zip": zipped(**{"ml-1m/ratings.dat": RATINGS, "ml-1m/movies.dat": MOVIES.encode("latin-1")}),
            "ml-100k.zip": zipped(
                **{
                    "ml-100k/u.data": "1\t242\t4\t9\n1\t302\t4\t9\n2\t242\t4\t9\n1\t51\t4\t9\n",
                    "ml-100k/u.item": movie(51, "Heat", 1, 16) + movie(242, "Kolya", 5) + movie(302, 'The "Edge"', 0),
                }
            ),
            "1m1_test.csv": b"user,item,rating\n1,0,1\n0,1,3\n",
        }

        def fetch(url, sha256):
            if served[Path(url).name] is None:
                raise OSError("no route to host")
            return served[Path(url).name]

        monkeypatch.setattr(download, "fetch", fetch)
        return served

    @pytest.mark.parametrize(
        ("name", "train", "test"),
        [
            ("gowalla", [(0, 0), (0, 3), (1, 2), (1, 1)], [(0, 1), (1, 0)]),
            ("yelp2018", [(0, 0), (0, 3), (1, 2), (1, 1)], [(0, 1), (1, 0)]),
            ("gowalla-paper", [(0, 0), (0, 1), (1, 0), (1, 2)], [(0, 3), (1, 1)]),
            ("yelp2018-paper", [(0, 0), (0, 1), (0, 3), (1, 0), (1, 2)], [(1, 1)]),
            ("ml-100k", [(0, 1), (0, 2), (1, 0)], [(0, 0)]),
            ("ml-1m", [(0, 0), (1, 2)], [(0, 1), (1, 0)]),
        ],
    )
    def test_conversion(self, tmp_path, monkeypatch, name, train, test):
        dataset = load(name)
        assert (rows(dataset.train), rows(dataset.test), dataset.split) == (train, test, "given")
        stored = tmp_path / "cache/onebp_jax" / name
        assert rows(read_lightgcn(stored / "train.txt.gz")) == train
        assert sorted(path.name for path in stored.parent.iterdir()) == [name]  # nothing half done is left
        monkeypatch.setattr(download, "fetch", None)
        again = load(name)  # the second time from the cache
        assert rows(again.train) == train and again.item_ids.tolist() == dataset.item_ids.tolist()
        published = {"ml-100k": [242, 302, 51], "ml-1m": [31, 17, 99]}
        assert dataset.item_ids.tolist() == published.get(name, [*range(dataset.num_items)])

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            (
                "ml-1m",
                '0,Alien (1979),Horror,31|1,Am\u00e9lie (2001),Comedy+Romance,17|2,"Heat, Part 2 (1995)",Action,99',
            ),
            ("ml-100k", '0,Kolya,Comedy,242|1,"The ""Edge""",unknown,302|2,Heat,Action+Thriller,51'),
        ],
    )
    def test_titles_and_ids_of_movielens(self, tmp_path, name, expected):
        dataset = load(name, item_features="auto", feature_columns=("genres",))
        assert dataset.item_features is not None and dataset.item_features.names == ("genres: values",)
        text = (tmp_path / "cache/onebp_jax" / name / "items.csv").read_text(encoding="utf-8")
        assert text.replace("|", "+").splitlines() == ["item,title,genres,orig_id", *expected.split("|")]

    def test_ml_100k_without_the_archive_of_its_items(self, tmp_path, served, caplog):
        served["ml-100k.zip"] = None
        assert load("ml-100k").item_ids.tolist() == [0, 1, 2]
        assert "without titles and MovieLens' ids" in caplog.text and "no route to host" in caplog.text
        assert not (tmp_path / "cache/onebp_jax/ml-100k/items.csv").exists()

    def test_checksums_of_all_files_are_given(self):
        for source in download.SOURCES.values():
            assert source.terms
            for url, sha256 in (source.files | source.files_of_items).items():
                assert url.startswith("https://")
                assert len(bytes.fromhex(sha256)) == 32

    @pytest.mark.parametrize("name", download.SOURCES)
    def test_no_network(self, tmp_path, served, name):
        served.update(dict.fromkeys(served))
        message = error_of(load, name)
        root = tmp_path / "root"
        for words in (*download.SOURCES[name].files, "no route to host", f"{root}/raw/{name}", f" data_dir={root}"):
            assert words in message
        assert not (tmp_path / "cache/onebp_jax").exists()

    def test_files_put_by_hand(self, tmp_path, served, monkeypatch):
        served.update(dict.fromkeys(served))
        for name, text in LIGHTGCN.items():
            write(tmp_path / "root/raw/gowalla" / name, text)
        assert "wrong checksum" in error_of(load, "gowalla", download=False)
        files = {f"https://where/{name}": hashlib.sha256(text.encode()).hexdigest() for name, text in LIGHTGCN.items()}
        monkeypatch.setitem(download.SOURCES, "gowalla", download.SOURCES["gowalla"]._replace(files=files))
        assert len(load("gowalla", download=False).train) == 4

    def test_switched_off(self):
        assert "switched off" in error_of(load, "ml-100k", download=False)

    def test_cache_cannot_be_written(self, tmp_path):
        write(tmp_path / "cache/onebp_jax", "a file where the folder should be")
        message = error_of(load, "gowalla")
        assert "cannot be stored" in message and "XDG_CACHE_HOME" in message

    def test_another_process_was_faster(self, tmp_path, monkeypatch):
        def replace(source, target):
            write(Path(target) / "train.txt.gz", "0 7\n")
            write(Path(target) / "test.txt.gz", "0 8\n")
            raise OSError("Directory not empty")

        monkeypatch.setattr(download.os, "replace", replace)
        assert load("gowalla").train.tolist() == [[0, 7]]

    def test_ml_100k_from_the_package(self, tmp_path, served, monkeypatch):
        served["100k_test.csv"] = None
        inter = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + "".join(
            f"{196 + item // 10}\t{242 + item}\t3\t{item}\n" for item in range(20)
        )
        items = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n" + "".join(
            f'{242 + item}\t"Film" {item}\t{1990 + item}\tCrime Drama\n' for item in range(20)
        )
        folder = "recbole/dataset_example/ml-100k"
        wheel = zipped(**{f"{folder}/ml-100k.inter": inter, f"{folder}/ml-100k.item": items})

        def run(command, **kwargs):
            assert command[1:4] == ["-m", "pip", "download"]
            write(Path(command[command.index("--dest") + 1]) / "recbole-1.2.1-py3-none-any.whl", wheel)

        monkeypatch.setattr(subprocess, "run", run)
        assert "wrong checksum" in error_of(load, "ml-100k")
        monkeypatch.setattr(download, "_checked", lambda data, sha256, origin: data)
        warnings = []
        monkeypatch.setattr(logging, "warning", lambda text, *values: warnings.append(text % values))
        for _ in range(2):  # downloaded, then from the cache
            dataset = load("ml-100k")
            assert (dataset.num_users, len(dataset.train), len(dataset.test)) == (2, 16, 4)
            assert dataset.split == "per-user random 20 %, seed 0: not the paper's split"
            assert dataset.item_ids.tolist() == [*range(242, 262)]
        items = pd.read_csv(tmp_path / "cache/onebp_jax/ml-100k/items.csv")
        assert items.iloc[0].tolist() == [0, '"Film" 0 (1990)', "Crime|Drama", 242]
        assert len(warnings) == 1 and "not the paper's split" in warnings[0]


class TestFetch:
    @pytest.fixture
    def answer(self, tmp_path, monkeypatch):
        path = write(tmp_path / "answer", "something")
        monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: path.open("rb"))
        return hashlib.sha256(b"something").hexdigest()

    def test_logs_and_checks(self, answer, monkeypatch):
        lines = []
        monkeypatch.setattr(logging, "info", lambda text, *values: lines.append(text % values))
        assert download.fetch("https://where/file", answer) == b"something"
        assert lines == ["https://where/file (0.0 MB)"]

    def test_wrong_checksum(self, tmp_path, answer):
        message = error_of(load, "gowalla")
        assert "wrong checksum" in message and answer in message
        assert next(iter(download.SOURCES["gowalla"].files.values())) in message
        assert not (tmp_path / "cache/onebp_jax").exists()


@pytest.mark.parametrize(
    ("name", "users", "items", "train", "test", "only_in_test"),
    [
        ("ml-100k", 943, 1_682, 80_000, 20_000, 35),
        ("ml-1m", 6_040, 3_706, 800_193, 200_016, 23),
        ("gowalla", 29_858, 40_981, 810_128, 217_242, 0),
        ("yelp2018", 31_668, 38_048, 1_237_259, 324_147, 0),
        ("gowalla-paper", 29_858, 40_981, 839_912, 187_458, 0),
        ("yelp2018-paper", 31_668, 38_048, 1_268_107, 293_299, 0),
    ],
)
def test_counts_of_the_real_sets(name, users, items, train, test, only_in_test):
    if not DATA_DIR or not Path(DATA_DIR, name).is_dir():
        pytest.skip("set ONEBP_DATA_DIR to a folder that has the set")
    dataset = load(name, DATA_DIR, download=False)
    assert (dataset.num_users, dataset.num_items) == (users, items)
    assert (len(dataset.train), len(dataset.test), dataset.duplicates) == (train, test, 0)
    assert len(np.setdiff1d(dataset.test[:, 1], dataset.train[:, 1])) == only_in_test
    assert len(np.unique(dataset.train[:, 0])) == len(np.unique(dataset.test[:, 0])) == users
    if name.startswith("ml-"):  # their test parts have round(n / 5) of the n pairs of every user
        held_out = np.bincount(dataset.test[:, 0])
        assert (held_out == np.rint((held_out + np.bincount(dataset.train[:, 0])) * 0.2)).all()
