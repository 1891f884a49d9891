"""Catalogue sets whose `items.csv` has the ids of their publisher: outputs have them, rows and pairs stay as they are."""

import numpy as np
import pytest

from onebp_jax.config import default_config
from onebp_jax.data import load
from onebp_jax.errors import UserError
from onebp_jax.serving import read_items, with_titles
from onebp_jax.serving.items import known_titles
from onebp_jax.serving.recommend import recommend
from onebp_jax.training import run_folder
from onebp_jax.training.run_data import item_places
from onebp_jax.training.train import train

ITEMS = "item,title,genres,orig_id\n1,Heat,Action,7\n0,Big,Comedy,2\n2,Alien,Horror,1\n3,Up,Comedy,0\n"
TITLES = {2: "Big", 7: "Heat", 1: "Alien", 0: "Up"}


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    (folder / "train.txt").write_text("0 0 1\n1 1 2\n")
    (folder / "test.txt").write_text("0 2\n1 0\n")
    (folder / "items.csv").write_text(ITEMS)
    return tmp_path


def test_items_have_the_published_ids_and_rows_stay(root):
    dataset = load("ml-100k", root)
    assert dataset.item_ids.tolist() == [2, 7, 1] and dataset.user_ids.tolist() == [0, 1]
    assert dataset.train.tolist() == [[0, 0], [0, 1], [1, 1], [1, 2]]
    assert load(root / "ml-100k").item_ids.tolist() == [0, 1, 2], "a path is a folder like any other"


def test_features_and_filters_keep_each_item_with_its_id(root, caplog):
    whole = load("ml-100k", root, item_features="auto")
    assert whole.item_ids.tolist() == [2, 7, 1, 0]
    by_path = load("ml-100k", root, item_features=str(root / "ml-100k" / "items.csv"))
    assert by_path.item_ids.tolist() == whole.item_ids.tolist() and "were read as numbers" not in caplog.text
    np.testing.assert_array_equal(by_path.item_features.tokens, whole.item_features.tokens)
    own = root / "own.csv"
    own.write_text("item,year\n0,1988\n1,1995\n")
    load("ml-100k", root, item_features=str(own))
    assert "were read as numbers of the catalogue" in caplog.text
    (root / "ml-100k" / "train.txt").write_text("2 2 3\n0 0 1\n1 1 2\n")
    assert load("ml-100k", root, min_item_users=2).item_ids.tolist() == [1, 2, 7]


@pytest.mark.parametrize("orig_id", ["7", "x"])
def test_a_damaged_mapping_is_refused(root, orig_id):
    lines = ITEMS.splitlines()[:3] if orig_id == "x" else [line.replace(",2", ",7") for line in ITEMS.splitlines()]
    (root / "ml-100k" / "items.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="each item of ml-100k with an orig_id of its own"):
        load("ml-100k", root)


def test_lists_have_the_published_ids_and_the_right_titles(root, tmp_path):
    config = default_config()
    config.update({"dataset": "ml-100k", "dim": 2, "batch_size": 4, "epochs": 1, "num_negatives": 1})
    config.validation_fraction = 0.0
    train(config, load("ml-100k", root), tmp_path / "run")
    run = run_folder.read_run(tmp_path / "run")
    lists = recommend(run, None, 3, None)
    assert set(lists["item"]) == {1, 2, 7}
    items = read_items(root / "ml-100k" / "items.csv", run)
    titled = with_titles(lists, items, run.item_ids)
    assert titled["title"].tolist() == [TITLES[item] for item in titled["item"]]
    # An own file has the ids of the lists; a run of earlier versions is numbered from 0.
    (tmp_path / "own.csv").write_text("item,title\n7,Heat\n1,Alien\n")
    assert read_items(tmp_path / "own.csv", run).rows.tolist() == [1, 2]
    before = run._replace(item_ids=np.arange(3))
    old = with_titles(
        recommend(before, None, 3, None), read_items(root / "ml-100k" / "items.csv", before), before.item_ids
    )
    assert dict(zip(old["item"], old["title"], strict=True)) == {0: "Big", 1: "Heat", 2: "Alien"}


def test_titles_of_side_information_by_catalogue_numbers_are_left_out(root, tmp_path, caplog):
    own = root / "own.csv"
    own.write_text("item,title\n0,Big\n1,Heat\n2,Alien\n")
    config = default_config()
    config.update({"dataset": "ml-100k", "dim": 2, "batch_size": 4, "epochs": 1, "num_negatives": 1})
    config.update({"validation_fraction": 0.0, "item_features": str(own)})
    train(config, load("ml-100k", root), tmp_path / "run")
    assert known_titles(tmp_path / "run", run_folder.read_run(tmp_path / "run")) is None
    assert "no column orig_id" in caplog.text
    config.item_features = str(root / "ml-100k" / "items.csv")
    train(config, load("ml-100k", root), tmp_path / "two")
    run = run_folder.read_run(tmp_path / "two")
    found = known_titles(tmp_path / "two", run)
    assert dict(zip(run.item_ids[found.rows].tolist(), found.titles, strict=True)).items() >= {2: "Big"}.items()


def test_a_run_with_numbers_from_0_is_not_taken_for_one_with_published_ids(root):
    (root / "ml-100k" / "items.csv").write_text(ITEMS.replace("Comedy,0", "Comedy,9"))
    dataset = load("ml-100k", root)
    with pytest.raises(UserError, match="the numbers 0 to 2 of an earlier version: train it again"):
        item_places(np.arange(3), dataset)
    assert item_places(np.array([7, 2]), dataset).tolist() == [1, 0, -1]
    assert item_places(np.arange(3), load(root / "ml-100k")).tolist() == [0, 1, 2]
