"""Files of a finished run that were edited, cut or mixed up: one line that names the file, never a traceback or other lists."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from onebp_jax import Recommender, UserError

NAN = np.float32("nan")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The folder of a run by time, so that it holds times too."""
    random = np.random.default_rng(0)
    user, item = np.divmod(random.choice(25 * 20, 250, replace=False), 20)
    frame = pd.DataFrame({"user": [f"u{one}" for one in user], "item": item + 100, "time": random.permutation(250)})
    folder = tmp_path_factory.mktemp("checked") / "run"
    Recommender(method="popularity", split="time").fit(frame, workdir=folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "run")


def use(folder):
    """All that reads a file of the run."""
    model = Recommender.load(folder)
    repr(model)
    model.evaluate()
    model.similar_items(model.item_ids[0])
    return model.recommend(k=3)


def test_a_whole_run_is_used(folder):
    assert not use(folder).empty
    with np.load(folder / "interactions.npz") as arrays:
        assert {*arrays.files} >= {"train", "test", "train_times"}


@pytest.mark.parametrize("refit", [None, "zz", 5, [], {}, {"says": None}], ids=str)
def test_a_result_with_another_refit_is_refused(folder, refit):
    edit(folder, refit=refit)
    with pytest.raises(UserError, match=r"result\.json is damaged: 'refit' "):
        use(folder)


@pytest.mark.parametrize(
    "name", ["method", "dataset", "epoch", "metrics", "seconds", "selection", "num_users", "label"]
)
@pytest.mark.parametrize("value", [None, [], 1.5], ids=str)
def test_a_result_with_values_of_other_types_is_refused(folder, name, value):
    edit(folder, **{name: value})
    with pytest.raises(UserError, match=rf"result\.json is damaged: '{name}' is "):
        use(folder)


def edit(folder, **changes):
    result = json.loads((folder / "result.json").read_text()) | changes
    (folder / "result.json").write_text(json.dumps(result))


@pytest.mark.parametrize(
    ("field", "value"), [("dim", "zz"), ("options", 5), ("options", None), ("dataset", 5)], ids=str
)
def test_a_config_with_values_of_other_types_is_refused(folder, field, value):
    found = json.loads((folder / "config.json").read_text())
    found["config"][field] = value
    (folder / "config.json").write_text(json.dumps(found))
    with pytest.raises(UserError, match=r"config\.json is damaged: a field has a value of another type"):
        use(folder)


# How one array is changed -> what is said.
VECTORS = {
    "a row less": ("item", lambda a: a[:-1], "it has 19 item vectors and 20 ids"),
    "an id less": ("user_ids", lambda a: a[:-1], "it has 25 user vectors and 24 ids"),
    "a column less": ("user", lambda a: a[:, :-1], "user vectors have . numbers, item vectors "),
    "integers": ("item", lambda a: a.astype(int), "item is int64.*expected one vector of floats per row"),
    "text": ("item", lambda a: a.astype(str), "item is object.*expected one vector of floats"),
    "one vector": ("item", lambda a: a[0], "item is float32"),
    "items of three axes": ("item", lambda a: a[:, None], "item is float32"),
    "all not finite": ("item", lambda a: a * NAN, "item has numbers that are not finite"),
    "one not finite": (
        "user",
        lambda a: np.where(np.arange(len(a))[:, None] == 3, NAN, a),
        "user has numbers that are",
    ),
    "one id again": ("item_ids", lambda a: np.repeat(a[:1], len(a)), "item_ids are no distinct integers or texts"),
    "floats as ids": ("item_ids", lambda a: a.astype(float), "item_ids are no distinct"),
    "ids of two axes": ("item_ids", lambda a: a[:, None], "item_ids are no distinct"),
}


@pytest.mark.parametrize("name", VECTORS)
def test_other_vectors_are_refused(folder, name):
    array, change, said = VECTORS[name]
    rewrite(folder / "embeddings.npz", array, change)
    with pytest.raises(UserError, match=rf"embeddings\.npz is damaged: {said}"):
        use(folder)


def test_fewer_rows_than_the_result_says_are_refused(folder):
    for array in ("item", "item_ids"):
        rewrite(folder / "embeddings.npz", array, lambda a: a[:-1])
    with pytest.raises(UserError, match=r"embeddings\.npz is damaged: it has 19 item vectors"):
        use(folder)


_PAIRS = "its pairs are not those that the run was made on"
PAIRS = {
    "out of range": ("train", lambda a: a + 10**6, _PAIRS),
    "negative": ("train", lambda a: -a - 1, _PAIRS),
    "cut": ("train", lambda a: a[:100], _PAIRS),
    "empty": ("train", lambda a: a[:0], _PAIRS),
    "swapped": ("train", lambda a: a[:, ::-1], _PAIRS),
    "another test part": ("test", lambda a: a[:-1], _PAIRS),
    "floats": ("train", lambda a: a.astype(np.float32), r"train is float32.*expected int32\[pairs, 2\]"),
    "three columns": ("test", lambda a: np.c_[a, a[:, :1]], "test is int32"),
    "one axis": ("train", np.ravel, "train is int32"),
    "no axis": ("train", lambda a: a[0, 0], "train is int32"),
    "gone": ("train", None, "it has no train"),
    "fewer times": ("train_times", lambda a: a[:-1], "train_times is int64.*expected one time per pair"),
    "more times": ("test_times", lambda a: np.r_[a, a], "test_times is int64.*expected one time per pair"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_other_pairs_are_refused(folder, name):
    array, change, said = PAIRS[name]
    rewrite(folder / "interactions.npz", array, change)
    with pytest.raises(UserError, match=rf"interactions\.npz is damaged: {said}.*; restore it, or train again"):
        use(folder)


def rewrite(path, array, change):
    """Writes an npz file again with one array changed, or without it."""
    with np.load(path) as found:
        arrays = dict(found)
    one = arrays.pop(array)
    np.savez(path, **arrays | ({array: change(one)} if change else {}))


@pytest.mark.parametrize("name", ["embeddings.npz", "interactions.npz"])
@pytest.mark.parametrize("content", [b"", b"some text", b"\0" * 100, b"\x93NUMPY"], ids=repr)
def test_a_file_that_holds_no_arrays_is_said_without_advice_to_load_it(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=f"cannot read .*{name}: .*; restore it, or train again") as caught:
        use(folder)
    assert "pickle" not in str(caught.value)
