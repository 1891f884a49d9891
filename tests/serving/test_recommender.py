"""`Recommender`: the contract of an estimator, and the same bits as the programs."""

from __future__ import annotations

import subprocess
import sys
import warnings

import jax
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from absl import logging
from support.programs import ROOT, run, tables

import onebp_jax
from onebp_jax import Dataset, Recommender, UserError
from onebp_jax.parallel import make_layout

SMALL = {"method": "onebp", "dim": 4, "batch_size": 64, "epochs": 4, "learning_rate": 0.01}


def clicks(seed=0, users=25, items=20, count=250) -> pd.DataFrame:
    """Pairs with ids of text, one of them with a comma, under odd names of columns."""
    random = np.random.default_rng(seed)
    user, item = np.divmod(random.choice(users * items, count, replace=False), items)
    frame = pd.DataFrame(
        {"listener": [f"ann, {one}" for one in user], "plays": 1, "artist": [f"b{one}" for one in item]}
    )
    return frame.assign(when=random.permutation(count))


def fit(data, **options) -> Recommender:
    fields = {name: options.pop(name) for name in list(options) if name not in ("items", "workdir", "init")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Recommender(**SMALL | fields).fit(data, user="listener", item="artist", **options)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return clicks()


@pytest.fixture(scope="module")
def model(frame) -> Recommender:
    titles = pd.DataFrame({"artist": ["b1", "b2", "new"], "name": ["One", "Two, again", "New"]})
    return fit(frame, items=titles)


def test_lists_have_original_ids_and_nothing_that_is_known(model, frame):
    lists = model.recommend()
    assert list(lists) == ["user", "rank", "item", "score", "title"]
    known, found = ({*zip(a, b, strict=True)} for a, b in ((frame.listener, frame.artist), (lists.user, lists.item)))
    assert found and not known & found
    assert set(model.recommend(exclude_seen=False, k=20)["user"]) == set(model.user_ids)
    titles = dict(zip(lists["item"], lists["title"], strict=True))
    assert (titles["b1"], titles["b2"], titles["b3"]) == ("One", "Two, again", "")


def test_one_id_several_ids_and_all_ids_give_the_same_lists(model):
    whole = model.recommend(k=5)
    for user in model.user_ids[:6]:
        same = whole[whole["user"] == user].reset_index(drop=True)
        for given in (user, [user], np.array([user]), pd.Series([user], index=[9])):
            pd.testing.assert_frame_equal(model.recommend(given, k=5), same, rtol=1e-6)
    pd.testing.assert_frame_equal(model.recommend(list(model.user_ids), k=5), whole, rtol=1e-6)
    assert model.recommend([]).empty and list(model.recommend([])) == list(whole)


def test_a_list_is_as_long_as_the_catalogue_allows_and_of_candidates_if_asked(model, frame):
    user = model.user_ids[0]
    everything = model.recommend(user, k=1000)
    assert len(everything) == 20 - (frame["listener"] == user).sum()
    assert set(model.recommend(user, k=1000, exclude_seen=False)["item"]) == set(model.item_ids)
    candidates = everything["item"].tolist()[::2]
    assert model.recommend(user, items=candidates)["item"].tolist() == candidates[:10]
    assert model.recommend(user, items=candidates[0], k=3)["item"].tolist() == candidates[:1]


def test_unknown_ids_are_an_error_or_left_out(model, caplog):
    with pytest.raises(UserError, match=r"users='zoe': not an id of the run \(1 of the 2 .*; known ids are such as '"):
        model.recommend(["zoe", model.user_ids[0]])
    for wrong in (lambda: model.recommend(items=["b1", "zoe"]), lambda: model.similar_items("zoe")):
        with pytest.raises(UserError, match="items='zoe'"):
            wrong()
    with pytest.raises(UserError, match="items='B1': not an id of the run .*; the nearest: 'b1', "):
        model.similar_items("B1")
    assert set(model.recommend(["zoe", model.user_ids[0]], skip_unknown=True)["user"]) == {model.user_ids[0]}
    with pytest.raises(UserError, match="k=0"):
        model.recommend(k=0)


def test_similar_items_and_users(model):
    items, users = model.similar_items("b1", k=3), model.similar_users(list(model.user_ids[:2]), k=4)
    assert list(items) == ["item", "rank", "similar", "score", "title"] and "b1" not in set(items["similar"])
    assert list(users) == ["user", "rank", "similar", "score"] and users["rank"].tolist() == [1, 2, 3, 4] * 2
    vectors = dict(zip(model.item_ids, model.run.item, strict=True))
    for line in items.itertuples():
        one, other = vectors[line.item], vectors[line.similar]
        assert line.score == pytest.approx(one @ other / np.linalg.norm(one) / np.linalg.norm(other), rel=1e-4)


def test_save_and_load_give_the_same_and_titles_too(model, tmp_path):
    model.save(tmp_path / "saved")
    again = Recommender.load(tmp_path / "saved")
    pd.testing.assert_frame_equal(again.recommend(), model.recommend())
    pd.testing.assert_frame_equal(again.similar_items("b1"), model.similar_items("b1"))
    assert repr(again) == repr(model) and not list((tmp_path / "saved").rglob("*.pkl"))
    with pytest.raises(UserError, match="folder=.*saved: it holds config.json, as a run does; nothing was touched"):
        model.save(tmp_path / "saved")
    with pytest.raises(UserError, match="not a run folder"):
        Recommender.load(tmp_path)


def test_export_writes_what_the_program_writes(model, tmp_path):
    model.save(tmp_path / "run")
    for name in ("vectors.npz", "vectors.csv", "VECTORS.CSV"):
        (tmp_path / "theirs").mkdir(exist_ok=True)
        assert run("export", f"--workdir={tmp_path / 'run'}", f"--out={tmp_path / 'theirs' / name}").returncode == 0
        for path in model.export(tmp_path / name):
            assert path.parent == tmp_path and path.read_bytes() == (tmp_path / "theirs" / path.name).read_bytes()
    with pytest.raises(UserError, match="out=.*txt: expected a name that ends in .npz"):
        model.export(tmp_path / "vectors.txt")
    with pytest.raises(UserError, match="out=.*: no such folder; the nearest in "):
        model.export(tmp_path / "folder" / "vectors.npz")


def test_it_is_the_run_of_the_programs_bit_for_bit(frame, tmp_path):
    frame.to_csv(tmp_path / "clicks.csv", index=False)
    fields = SMALL | {"split": "ratio", "epochs": 3, "refit": False}
    own = Recommender(**fields).fit(tmp_path / "clicks.csv", user="listener", item="artist", workdir=tmp_path / "own")
    of_frame = Recommender(**fields).fit(frame, user="listener", item="artist")
    flags = [f"--config.{name}={value}" for name, value in fields.items()]
    flags += [
        "--config.user_column=listener",
        "--config.item_column=artist",
        f"--config.dataset={tmp_path / 'clicks.csv'}",
    ]
    (tmp_path / "plain.py").write_text("from onebp_jax.config import default_config as get_config\n")
    process = run("train", f"--config={tmp_path / 'plain.py'}", f"--workdir={tmp_path / 'run'}", *flags)
    assert process.returncode == 0, process.stderr
    for folder in (own.workdir, of_frame.workdir):
        for one, other in zip(tables(folder), tables(tmp_path / "run"), strict=True):
            np.testing.assert_array_equal(one, other)
    process = run("recommend", f"--workdir={tmp_path / 'run'}", f"--out={tmp_path / 'lists.parquet'}")
    assert process.returncode == 0, process.stderr
    lists = pd.read_parquet(tmp_path / "lists.parquet")
    pd.testing.assert_frame_equal(own.recommend(), lists, check_dtype=False)
    pd.testing.assert_frame_equal(Recommender.load(tmp_path / "run").recommend(), lists, check_dtype=False)
    assert own.evaluate() == own.result["metrics"] and own.evaluate()["NDCG@20"] > 0


def test_several_devices(frame, model, tmp_path):
    layout = make_layout("shard_map", jax.devices()[:2], "sharded")
    several = fit(frame, layout=layout, workdir=tmp_path / "run")
    for one, other in zip(tables(several.workdir), tables(model.workdir), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    loaded = Recommender.load(several.workdir, layout=layout)
    of_one = Recommender.load(several.workdir)
    for ask in (lambda of: of.recommend(k=4), lambda of: of.similar_items("b1"), lambda of: of.similar_users("ann, 1")):
        pd.testing.assert_frame_equal(ask(loaded), ask(of_one))
        pd.testing.assert_frame_equal(ask(several), ask(of_one))
    several.partial_fit(epochs=1)
    for made in (lambda: Recommender(layout=2), lambda: Recommender.load(several.workdir, layout=2)):
        with pytest.raises(UserError, match="layout=2: expected a layout, as onebp_jax.parallel.make_layout returns"):
            made()


@pytest.mark.parametrize("kind", ["csr", "integers", "dataset"])
def test_other_kinds_of_data(kind):
    frame = clicks()
    users, items = (pd.factorize(frame[name])[0] for name in ("listener", "artist"))
    if kind == "csr":
        matrix = scipy.sparse.csr_matrix((np.ones(len(frame)), (users, items)), (30, 22))
        with pytest.raises(UserError, match="a sparse matrix has no columns: leave user='listener' out"):
            fit(matrix)
        model = Recommender(**SMALL).fit(matrix)
        assert len(model.user_ids) == 30 and len(model.item_ids) == 22
    elif kind == "integers":
        model = Recommender(**SMALL).fit(pd.DataFrame({"user": users + 100, "item": items - 3}))
        assert model.user_ids.dtype == np.int64 and set(model.recommend(np.int64(100))["user"]) == {100}
    else:
        pairs = np.stack([users, items], 1).astype(np.int32)
        dataset = Dataset("own", pairs[:200], pairs[200:], np.arange(25), np.arange(20), "given")
        model = Recommender(**SMALL).fit(dataset)
        assert model.result["metrics"]
    lists = model.recommend([*model.user_ids[:2]], k=2)
    assert lists["rank"].tolist() == [1, 2, 1, 2]


def test_without_a_method_settings_follow_the_size_of_the_data(frame, tmp_path):
    model = Recommender(epochs=2, decay_epochs=0).fit(frame, user="listener", item="artist")
    assert model.config.method == "onebp_spectral" and model.config.dim and model.config.options.spectral_dim
    lists = model.recommend()
    assert not {*zip(frame.listener, frame.artist, strict=True)} & {*zip(lists["user"], lists["item"], strict=True)}
    model.save(tmp_path / "own")
    pd.testing.assert_frame_equal(Recommender.load(tmp_path / "own").recommend(), lists)
    more = pd.DataFrame({"listener": ["zoe", "zoe"], "artist": ["b1", "b2"]})
    model.partial_fit(more, epochs=1)
    assert len(model.recommend("zoe", k=3)) == 3


def test_new_ids_of_another_kind_are_refused_and_nothing_changes(frame):
    numbers = pd.DataFrame({"listener": np.arange(150) % 25, "artist": np.arange(150) * 7 % 83})
    for known, new, words in (
        (
            numbers,
            {"listener": ["x1", "x1"], "artist": ["3", "5"]},
            "user ids so far are integers such as 0, the new ones",
        ),
        (frame, {"listener": [3, 4], "artist": ["b1", "b2"]}, "user ids so far are text such as 'ann,"),
    ):
        model = fit(known, epochs=1)
        before = model.user_ids
        with pytest.raises(UserError, match=words):
            model.partial_fit(pd.DataFrame(new))
        assert model.user_ids is before


@pytest.mark.parametrize("k", [0, 1.5, "3", None, True])
def test_a_length_that_is_none_is_refused(model, k):
    for ask in (lambda: model.recommend(k=k), lambda: model.similar_items("b1", k=k)):
        with pytest.raises(UserError, match=f"k={k!r}: expected a whole number, at least 1"):
            ask()


def test_partial_fit_adds_users_items_and_epochs(frame, tmp_path):
    model = fit(frame)
    before, user = model.run, model.user_ids[0]
    more = pd.DataFrame({"listener": ["zoe", "zoe", "zoe", user], "artist": ["b1", "b2", "new", "new"]})
    assert model.partial_fit(more, epochs=2, workdir=tmp_path / "grown") is model
    assert list(model.user_ids) == [*before.user_ids, "zoe"] and list(model.item_ids) == [*before.item_ids, "new"]
    assert model.result["epochs_done"] == model.result["epoch"] == 2
    assert "new" not in set(model.recommend(["zoe", user], k=100)["item"])
    assert len(model.recommend("zoe", k=100)) == 21 - 3
    close = np.linalg.norm(model.run.item[:-1] - before.item, axis=1) / np.linalg.norm(before.item, axis=1)
    assert np.median(close) < 0.5
    again = Recommender.load(tmp_path / "grown")
    again.partial_fit(epochs=1)
    assert len(again.user_ids) == 26 and again.result["epoch"] == 1


def test_fit_begins_with_the_vectors_of_another_model(frame):
    model, more = fit(frame), clicks(seed=1, users=30)
    warm, cold = (fit(more, epochs=1, init=init) for init in (model, None))
    shared = np.isin(warm.item_ids, model.item_ids)
    of = lambda fitted: pd.DataFrame(fitted.run.item, fitted.item_ids).loc[warm.item_ids[shared]].to_numpy()
    assert np.linalg.norm(of(warm) - of(model)) < np.linalg.norm(of(cold) - of(model))


def test_a_method_without_training_is_fitted_and_grows(frame):
    model = fit(frame, method="popularity")
    model.partial_fit(pd.DataFrame({"listener": ["zoe"] * 3, "artist": ["b1", "b2", "new"]}))
    assert "zoe" in set(model.recommend("zoe", k=1)["user"]) and len(model.item_ids) == 21


def test_evaluate_on_other_interactions(frame):
    rest, test = frame.iloc[:200], frame.iloc[200:]
    model = fit(rest)
    unknown = pd.DataFrame({"listener": ["zoe", rest["listener"].iloc[0]], "artist": ["b1", rest["artist"].iloc[0]]})
    metrics = model.evaluate(pd.concat([test, unknown]))
    assert metrics == model.evaluate(test) and 0 < metrics["NDCG@20"] < 1
    with pytest.raises(UserError, match="test=None: nothing was held out"):
        model.evaluate()
    with pytest.raises(UserError, match="nothing is left to measure: all its pairs were trained on"):
        model.evaluate(rest)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dims": 3}, "unknown config field 'dims', expected .* the nearest: dim, "),
        ({"dim": 0}, "dim=0: expected at least 1"),
        ({"dim": "x"}, "dim='x': expected a value of type int"),
        ({"options": {"no": 1}}, "unknown config field 'no'"),
        ({"options": 5}, "options=5: expected a dictionary, with names such as '"),
        ({"options": "x"}, "options='x': expected a dictionary"),
        ({"options": None}, "options=None: expected a dictionary"),
        ({"synthetic": 5}, "synthetic=5: expected a dictionary, with names such as 'interactions_per_user'"),
        ({"split": "rato"}, "split='rato': expected one of .*did you mean 'ratio'"),
        ({"test_fraction": 2.0}, "test_fraction=2.0: expected above 0"),
        ({"deduplicate": "x"}, "deduplicate='x': expected one of"),
        ({"dataset": "clicks.csv"}, "dataset='clicks.csv': it is an argument of fit"),
    ],
)
def test_wrong_fields_are_refused_at_once(fields, words):
    with pytest.raises(UserError, match=words):
        Recommender(**fields)


def test_what_is_not_fitted_says_so(frame):
    model = Recommender(options={"ease_l2": 300.0}, method="ease")
    assert repr(model) == "Recommender(method='ease', not fitted)" and model.config.options.ease_l2 == 300.0
    for wrong in (
        model.recommend,
        lambda: model.similar_items(1),
        lambda: model.save("x"),
        lambda: model.export("x.npz"),
        model.partial_fit,
        model.evaluate,
        lambda: model.fit(frame, init=Recommender()),
        lambda: model.user_ids,
    ):
        for kind in (UserError, AttributeError):
            with pytest.raises(kind, match="not fitted: call fit"):
                wrong()
    assert not hasattr(model, "run")
    with pytest.raises(UserError, match="list, expected a pandas DataFrame"):
        model.fit([1, 2])


# None of these can be made or written: no text, no path, too long, in a file, where the system allows nothing.
@pytest.mark.parametrize("path", [None, "", 5, True, b"bb", ["x"], "a\0b", "x" * 300, "FILE/x", "/proc/x"], ids=repr)
def test_what_is_no_path_is_refused_by_every_argument(model, frame, tmp_path, path):
    (tmp_path / "file").touch()
    path = path.replace("FILE", str(tmp_path / "file")) if isinstance(path, str) else path
    as_npz = f"{path}.npz" if path and isinstance(path, str) else path
    asks = [("folder=|folder:", lambda: model.save(path)), ("folder=|folder:", lambda: Recommender.load(path))]
    asks += [("out=|out:", lambda: model.export(as_npz))]
    if path is not None:
        asks += [
            ("workdir=|workdir:|cannot make the run folder /", lambda: fit(frame, method="popularity", workdir=path))
        ]
        asks += [("items=|items:", lambda: fit(frame, items=path))]
    for said, ask in asks:
        with pytest.raises(UserError, match=f"^({said})"):
            ask()


def test_a_folder_in_which_nothing_can_be_written_is_said_with_its_file(model, frame):
    for argument, ask in {
        "folder": model.save,
        "workdir": lambda path: fit(frame, method="popularity", workdir=path),
    }.items():
        with pytest.raises(
            UserError, match=f"^{argument}=/proc: .*cannot be written .*; give another path, or make room"
        ):
            ask("/proc")


def test_other_files_may_lie_where_a_run_is_written_and_stay(model, frame, tmp_path):
    for folder in ("saved", "fitted", "items"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / ("items.csv" if folder == "items" else "notes.txt")).write_text("mine")
    model.save(tmp_path / "saved")
    fit(frame, method="popularity", workdir=tmp_path / "fitted")
    for write in (model.save, lambda folder: fit(frame, method="popularity", workdir=folder)):
        with pytest.raises(UserError, match="items: it holds items.csv|items holds items.csv but no config.json"):
            write(tmp_path / "items")
    assert (tmp_path / "saved/notes.txt").read_text() == (tmp_path / "items/items.csv").read_text() == "mine"
    assert Recommender.load(tmp_path / "saved").item_ids.tolist() == model.item_ids.tolist()


@pytest.mark.parametrize(
    ("items", "said"),
    [
        (pd.DataFrame({"artist": ["b1"], "year": [1990]}), "items: the frame of items has no column title or name"),
        (
            pd.DataFrame({"artist": ["zz"], "title": ["Z"]}),
            "the frame of items: none of its 1 ids is an item of the run",
        ),
        ("nope.csv", "items=nope.csv: no such file"),
    ],
)
def test_items_are_checked_before_the_training(frame, tmp_path, items, said):
    with pytest.raises(UserError, match=said):
        fit(frame, items=items, workdir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_columns_and_fields_that_cannot_have_an_effect_are_said(frame, caplog):
    logging.use_absl_handler()
    pairs = np.stack([pd.factorize(frame[name])[0] for name in ("listener", "artist")], 1).astype(np.int32)
    dataset = Dataset("own", pairs[:200], pairs[200:], np.arange(25), np.arange(20), "given")
    with pytest.raises(UserError, match="user='x': a Dataset has no columns"):
        Recommender(**SMALL).fit(dataset, user="x")
    with pytest.raises(UserError, match="user='listener': the recommender has user_column='x': give one of them"):
        Recommender(**SMALL, user_column="x").fit(frame, user="listener", item="artist")
    few = SMALL | {"method": "popularity"}
    Recommender(**few).fit(dataset)
    assert "without an effect" not in caplog.text
    Recommender(**few, split="ratio", min_user_items=3).fit(dataset)
    assert "without an effect on these data (a Dataset is read and split): split=ratio, min_user_items=3" in caplog.text
    Recommender(**few, synthetic={"num_users": 30}).fit(frame, user="listener", item="artist")
    assert "fields without an effect on these data: synthetic={" in caplog.text
    caplog.clear()
    Recommender(**few, synthetic={"num_users": 30}).fit("synthetic")
    assert "without an effect" not in caplog.text


def test_a_start_that_is_no_recommender_is_refused(frame):
    with pytest.raises(UserError, match="init='saved': expected a Recommender; Recommender.load"):
        fit(frame, init="saved")


def test_switches_are_true_or_false(model):
    for given in ("no", "none", None, 0, 1):
        for name in ("exclude_seen", "skip_unknown"):
            with pytest.raises(UserError, match=f"{name}={given!r}: expected True or False"):
                model.recommend(**{name: given})
    assert len(model.recommend("ann, 1", exclude_seen=np.bool_(False), k=20)) == 20


def test_ids_are_one_or_several_never_bytes(model):
    one = model.user_ids[0]
    pd.testing.assert_frame_equal(model.recommend(np.array(one)), model.recommend(one))
    for ask in (model.recommend, model.similar_users, lambda ids: model.recommend(one, items=ids), model.similar_items):
        with pytest.raises(UserError, match="(users|items): of type bytes, expected an id, or several"):
            ask(b"17")


def test_other_interactions_are_read_by_the_columns_of_fit(model):
    for ask in (model.evaluate, model.partial_fit):
        with pytest.raises(
            UserError, match="expected listener, the file has visitor, artist.*; rename it: these data are read by"
        ):
            ask(pd.DataFrame({"visitor": ["ann, 1"], "artist": ["b1"]}))


def test_the_temporary_folder_lives_as_long_as_the_model(frame):
    model = fit(frame, method="popularity")
    folder = model.workdir
    assert (folder / "result.json").exists()
    model.partial_fit()
    assert not folder.exists() and model.workdir.exists()
    folder = model.workdir
    del model
    assert not folder.exists()


def test_the_package_imports_nothing_before_it_is_used():
    code = (
        "import sys, onebp_jax; heavy = {'jax', 'numpy', 'pandas', 'flax', 'optax'} & set(sys.modules); "
        "assert not heavy, heavy; assert {'Recommender', 'data', '__version__'} <= set(dir(onebp_jax)); "
        "onebp_jax.data.load; from onebp_jax import Recommender; help(onebp_jax)"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert "class Recommender" in process.stdout and "partial_fit" in process.stdout


def test_the_version_is_that_of_the_package():
    assert f"version = {onebp_jax.__version__}\n" in (ROOT / "setup.cfg").read_text()
    with pytest.raises(AttributeError, match="no attribute 'recommender'"):
        onebp_jax.recommender  # noqa: B018


def test_what_no_data_make_right_is_refused_when_it_is_made():
    with pytest.raises(UserError, match="^method='nope': expected one of"):
        Recommender(method="nope")
    with pytest.raises(UserError, match="^transform='adma': expected one of .*did you mean 'adam'"):
        Recommender(transform="adma")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({}, "no user column: expected user or .*the file has listener, plays, artist, when.*; choose one with user=$"),
        (
            {"user": "listner", "item": "artist"},
            "expected listner, the file has .*nearest: listener.*; choose one with user=$",
        ),
        ({"user": "listener", "item": "artist", "time": "wen"}, "expected wen, .*; choose one with time=$"),
        ({"user": "listener", "item": "artist", "rating": "when_"}, "expected when_, .*; choose one with rating=$"),
    ],
    ids=str,
)
def test_errors_of_columns_name_the_arguments_of_fit(frame, columns, said):
    with pytest.raises(UserError, match=said):
        Recommender(**SMALL).fit(frame, **columns)
    with pytest.raises(UserError, match="the file has user_column, b .nearest: user_column.; choose one with user=$"):
        Recommender(**SMALL).fit(frame[["plays", "when"]].set_axis(["user_column", "b"], axis=1))
