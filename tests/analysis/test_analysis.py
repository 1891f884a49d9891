"""The analyses on small examples whose answers are known, and the program as a user starts it."""

import json
import re
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
from support.programs import SMALL, assert_one_line, run

from onebp_jax.analysis import latent_types, page, pictures, published, shares
from onebp_jax.analysis import models as models_module
from onebp_jax.analysis.frames import rows_of
from onebp_jax.analysis.genres import CLOSENESS, KS, genres_of, probe
from onebp_jax.analysis.models import START, Model, read_models
from onebp_jax.analysis.study import study
from onebp_jax.data import Dataset
from onebp_jax.errors import UserError


def one_hot(sizes):
    """Vectors and genres of items with one genre each, whose vector is that of the genre."""
    kinds = np.repeat(np.arange(len(sizes)), sizes)
    cells = [f"g{kind}" for kind in kinds]
    return np.eye(len(sizes), dtype=np.float32)[kinds], genres_of(cells, np.arange(len(kinds)), len(kinds))


@pytest.mark.parametrize("closeness", CLOSENESS)
@pytest.mark.parametrize("own", [True, False])
def test_the_probe_finds_all_items_of_separate_genres(closeness, own):
    sizes = (3, 12, 60)
    frame = probe(*one_hot(sizes), closeness, own=own)
    for at, size in enumerate(sizes):
        rows = frame[frame["genre"] == f"g{at}"]
        np.testing.assert_allclose(rows["P"], [min(1, size / k) for k in KS])
        np.testing.assert_allclose(rows["R"], rows["P"] * rows["k"] / size)
    overall = frame[frame["genre"] == published.OVERALL]
    np.testing.assert_allclose(overall["P"], frame[frame["genre"] != published.OVERALL].groupby("k")["P"].mean())
    assert (overall["n"] == sum(sizes)).all()


def test_random_vectors_say_nothing_of_genres_once_the_item_is_left_out_of_the_mean():
    random = np.random.default_rng(0)
    item = random.standard_normal((200, 32)).astype(np.float32)
    genres = genres_of(random.choice([f"g{kind}" for kind in range(10)], 200), np.arange(200), 200)
    of_20 = [
        rows_of(probe(item, genres, own=own), genre=published.OVERALL, k=20)["P"].to_numpy()[0] for own in (True, False)
    ]
    assert of_20[0] > 0.3 and of_20[1] < 0.15  # by chance 0.1


def test_a_genre_of_one_item_has_no_others():
    frame = probe(np.eye(60, dtype=np.float32), genres_of(["a", *["b"] * 59], np.arange(60), 60), own=False)
    assert (frame[frame["genre"] == "a"]["P"] == 0).all()


def test_genres_are_read_as_they_are_written_and_must_be_there():
    genres = genres_of(["Comedy | Drama", "", "Drama"], np.array([2, 0, 1]), 4)
    assert genres.names == ("Comedy", "Drama")
    assert genres.has.tolist() == [[False, False], [False, True], [True, True], [False, False]]
    with pytest.raises(UserError, match="no item has a genre"):
        genres_of(["", " "], np.arange(2), 2)
    with pytest.raises(UserError, match="closeness='cos': expected one of cosine"):
        probe(np.eye(4), genres, "cos")


def test_the_published_table_is_consistent():
    table = published.genres()
    assert len(table) == 20
    for method in published.METHODS:
        printed = np.array([numbers[method] for name, numbers in table.items() if name != published.OVERALL])
        np.testing.assert_allclose(printed.mean(axis=0), published.overall("P")[method], atol=0.0006)
        hits = printed * KS
        np.testing.assert_allclose(hits, hits.round(), atol=1e-9)  # whole items
        np.testing.assert_allclose(hits.sum(axis=0) / 2893, published.overall("R")[method], atol=0.00051)
        assert table[published.OVERALL][method] == published.overall("P")[method]


def test_clusters_are_found_and_ordered_by_size():
    vectors, _ = one_hot((5, 30, 12))
    assert latent_types.clusters(vectors, 3, seed=0).tolist() == [2] * 5 + [0] * 30 + [1] * 12
    with pytest.raises(UserError, match="types=47: expected at least 2, and fewer than the 47 items"):
        latent_types.clusters(vectors, 47, 0)
    assert latent_types.clusters(vectors, 5, 0).max() == 2  # three vectors are different
    with pytest.raises(UserError, match="the same vector"):
        latent_types.clusters(vectors[:5], 2, 0)


def towers(by_distance=False):
    """Two types of four items, and a user with three items of the first and one of the second, who lies on the first."""
    item = np.array([[2, 0.1], [2, -0.1], [1, 0], [3, 0], [0.1, 1], [-0.1, 1], [0, 2], [0, 1]], np.float32)
    user = np.array([[2, 0], [0, 1]], np.float32)
    train = np.array([[0, 0], [0, 1], [0, 2], [0, 4], [1, 4], [1, 5]])
    return Model("m", 0, "", user, item, by_distance, np.zeros((2, 0), int)), np.repeat([0, 1], 4), train


def test_numbers_of_users_who_lie_on_their_majority_type():
    model, of_item, train = towers()
    found = latent_types.numbers(model, "raw", of_item, train, seed=0)
    assert found["largest"] == 0.5 and found["majority"] == (3 / 4 + 1) / 2
    shares_ = np.array([0.75, 0.25])
    assert found["entropy"] == pytest.approx(-(shares_ * np.log2(shares_)).sum() / 2)
    # Only the first user has minority items.
    assert found["cosine_majority"] == pytest.approx((2 * 2 / np.hypot(2, 0.1) + 1) / 3)
    assert found["cosine_minority"] == pytest.approx(0.1 / np.hypot(1, 0.1))
    assert found["place_majority"] == pytest.approx((1 + 2 + 3) / 3 / 7) and found["place_minority"] == pytest.approx(
        4 / 7
    )
    assert (found["centre_majority"], found["centre_minority"]) == (1, 2)
    assert found["distance_majority"] < 1 < found["distance_minority"]
    assert found["silhouette"] > 0.3
    logs, types = np.log([2, 2, 2, 1, 3, 2, 1, 1]), np.repeat([0, 1], 4)
    between = np.repeat([logs[:4].mean(), logs[4:].mean()], 4).var()
    assert found["popularity"] == pytest.approx(between / logs.var()) and (types == of_item).all()


def test_places_follow_the_distance_where_the_model_does():
    model, of_item, train = towers(by_distance=True)
    found = latent_types.numbers(model, "raw", of_item, train, seed=0)
    # The items at (1, 0) and (3, 0) are equally far, and the first comes first.
    assert found["place_majority"] == pytest.approx((0 + 1 + 2) / 3 / 7)


def test_many_users_are_looked_at_in_blocks(monkeypatch):
    random = np.random.default_rng(0)
    user, item = (random.standard_normal((n, 4)).astype(np.float32) for n in (30, 20))
    train = np.stack(np.divmod(random.choice(600, 200, replace=False), 20), 1)
    given = Model("m", 0, "", user, item, False, np.zeros((30, 0), int)), "raw", random.integers(0, 3, 20), train, 0
    whole = latent_types.numbers(*given)
    monkeypatch.setattr(latent_types, "_BLOCK", 7)
    assert latent_types.numbers(*given) == pytest.approx(whole)


def test_the_example_user_has_the_median_history_among_tested_users():
    train = np.array([[user, item] for user, count in enumerate([5, 1, 3, 9, 2]) for item in range(count)])
    assert latent_types.example_user(train, np.array([[0, 9], [2, 9], [4, 9]]), 5) == 2
    assert latent_types.example_user(train, np.array([[3, 9], [3, 8], [1, 9]]), 5) == 1


OF_ITEM = np.array([0, 0, 0, 1, 1, 2])


def test_types_of_one_list():
    frame = shares.of_one_user(np.array([0, 3, 4, 6]), np.array([1]), np.array([0, 2, 5]), OF_ITEM, 3)
    assert frame["listed"].tolist() == [1, 2, 0] and frame["hits"].tolist() == [1, 0, 0]
    np.testing.assert_allclose(frame["share"], [1 / 3, 2 / 3, 0])
    np.testing.assert_allclose(frame["P"], [1, 0, np.nan])
    np.testing.assert_allclose(frame["R"], [1 / 2, np.nan, 0])


def test_majority_and_minority_of_all_lists():
    train = np.array([[0, 1], [0, 2], [0, 3], [1, 4], [1, 5], [2, 0]])
    test = np.array([[0, 0], [0, 5], [1, 3]])  # user 2 has none and does not count
    lists = np.array([[0, 4], [3, 6], [1, 2]])  # user 1 has one item only
    frame = shares.of_all_users(lists, train, test, OF_ITEM, 3, (1, 2))
    value = frame.set_index(["k", "metric"])["value"]
    users = frame.set_index(["k", "metric"])["users"]
    # User 1 has one item of type 1 and one of type 2: of equal ones the first is the majority.
    assert value[0, "train_1"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert value[0, "test_1"] == pytest.approx((1 / 2 + 1) / 2)
    assert value[2, "share_1"] == pytest.approx((1 / 2 + 1) / 2) and value[2, "share_2"] == pytest.approx(
        (1 / 2 + 0) / 2
    )
    assert (value[2, "P_majority"], value[2, "R_majority"]) == (1, 1)
    assert (value[2, "P_minority"], users[2, "P_minority"]) == (0, 1)
    assert (value[2, "R_minority"], users[2, "R_minority"]) == (0, 1)
    assert np.isnan(value[1, "P_minority"]) and users[1, "P_minority"] == 0
    for k in (1, 2):
        assert sum(value[k, f"share_{rank}"] for rank in (1, 2, 3)) == pytest.approx(1)


def of_ml_100k(name="ml-100k"):
    """Data and models that stand in for those of ML-100K, with its genres."""
    random = np.random.default_rng(0)
    train, test = (np.stack(np.divmod(random.choice(200, 80, replace=False), 20), 1) for _ in range(2))
    dataset = Dataset(name, train, test, np.arange(10), np.arange(20), "given")
    vectors = lambda count: random.standard_normal((count, 4)).astype(np.float32)
    lists = np.argsort(random.random((10, 20)), axis=1)
    models = [Model(one, 0, "", vectors(10), vectors(20), False, lists) for one in ("start", "onebp", "twobp")]
    names = [genre for genre in published.genres() if genre != published.OVERALL]
    return dataset, models, genres_of(np.resize(names, 20), np.arange(20), 20)


def test_the_page_has_the_published_numbers_where_there_are_some():
    dataset, models, genres = of_ml_100k()
    text = page.markdown(study(dataset, models, genres, types=3), "onebp analyse")
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.split("\n") if line.startswith("|")]
    rows = {line[0]: line[1:] for line in cells}
    assert rows["TwoBP, the paper"][:5] == ["0.568", "0.484", "0.461", "0.351", "0.019"]
    assert rows["Romance"][0] == "1" and rows["Romance"][5].endswith("(0.80)") and rows["Romance"][4].endswith("(0.18)")
    other = page.markdown(study(*of_ml_100k("other"), types=3), "onebp analyse")
    assert "TwoBP, the paper" not in other and "Romance" not in other


def test_without_the_extra_one_line_says_so(monkeypatch):
    for package, function in (
        ("matplotlib", pictures.plotting),
        ("sklearn.cluster", lambda: latent_types.clusters(np.eye(4), 2, 0)),
    ):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(UserError, match=r"onebp-jax\[analysis\]"):
            function()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs of two methods and two seeds, as `onebp compare` makes them, and the genres of their items."""
    folder = tmp_path_factory.mktemp("analysis")
    rows = "--methods=onebp,twobp", "--seeds=0,1", "--config.epochs=1", "--config.eval_every=1"
    process = run("compare", *SMALL, *rows, f"--workdir={folder / 'runs'}")
    assert process.returncode == 0, process.stderr
    items = pd.DataFrame({"item": range(90)})
    items.assign(genres=np.resize(["Comedy", "Comedy|Drama", "War"], 90)).to_csv(folder / "items.csv", index=False)
    items.assign(title="x").to_csv(folder / "no_genres.csv", index=False)
    return folder


def test_the_program_writes_a_page_its_numbers_and_its_pictures(folder):
    out = folder / "out"
    process = run(
        "analyse", f"--runs={folder / 'runs'}", f"--items={folder / 'items.csv'}", f"--out={out}", "--types=3"
    )
    assert process.returncode == 0, process.stderr
    page = (out / "analysis.md").read_text()
    assert set(pd.read_csv(out / "table5.csv")["model"]) == {"start", "onebp", "twobp"}
    for picture in re.findall(r"\]\((\w+\.svg)\)", page):
        assert (out / picture).read_text().rstrip().endswith("</svg>")
    assert {path.name for path in out.iterdir()} == {
        "analysis.md",
        *(f"{name}.csv" for name in ("table5", "fig4", "fig7", "fig8")),
        *(f"{name}.svg" for name in ("table5", "fig4_raw", "fig4_unit", "fig7", "fig8")),
    }
    fig8 = pd.read_csv(out / "fig8.csv")
    assert set(fig8["types"]) == {"own", "own, unit", "of twobp", "genres"} and set(fig8["seed"]) == {0, 1}
    assert "OneBP, the paper" not in page  # its numbers are of ML-100K


def test_first_vectors_are_those_before_the_first_step(folder):
    one = next((folder / "runs").glob("onebp-*0"))
    dataset, models = read_models([str(one)], 10)
    start, trained = models
    assert (start.name, trained.name) == (START, "onebp") and start.user.shape == trained.user.shape
    assert not np.array_equal(start.item, trained.item)
    again = read_models([str(next((folder / "runs").glob("twobp-*0")))], 10)[1][0]
    np.testing.assert_array_equal(start.item, again.item)  # methods with plain tables begin alike
    known = set(map(tuple, dataset.train.tolist()))
    assert not known & {(user, item) for user, items in enumerate(trained.lists.tolist()) for item in items}


def test_what_a_run_lacks_is_said_in_one_line(folder, tmp_path):
    runs, out = folder / "runs", f"--out={tmp_path / 'out'}"
    assert_one_line(run("analyse", out), 2, "--runs is missing")
    assert_one_line(run("analyse", f"--runs={runs}", out), 2, "no genres are known", "--items=FILE")
    without = f"--items={folder / 'no_genres.csv'}"
    assert_one_line(run("analyse", f"--runs={runs}", without, out), 2, "no_genres.csv", "no column genres")
    with_items = f"--items={folder / 'items.csv'}"
    assert_one_line(run("analyse", f"--runs={runs}/nowhere", with_items, out), 2, "no such folder")
    one = next(runs.glob("onebp-*0"))
    assert_one_line(run("analyse", f"--runs={one},{one}", with_items, out), 2, "another run of onebp with seed 0")
    assert not (tmp_path / "out").exists()


def edited(one, folder, name, edit):
    """A copy of a run folder in which a file is another."""
    shutil.copytree(one, folder)
    path = folder / name
    if name.endswith(".npz"):
        with np.load(path) as arrays:
            np.savez(path, **edit(dict(arrays)))
    else:
        path.write_text(json.dumps(edit(json.loads(path.read_text()))))
    return folder


# What is another in a run folder, and the words that say so.
LACKING = {
    "untrained": ("config.json", {"config": {"method": "popularity"}}, "is not trained, so it has no first vectors"),
    "warm": ("config.json", {"data": {"init": {"crc32": 1}}}, "it began with the vectors of another run"),
    "refit": (
        "result.json",
        {"refit": {"says": "so", "pairs": 1, "epochs": 1}},
        "were refitted and have seen the test part",
    ),
}


def merged(value, change):
    """A JSON object with some of its values changed, at any depth."""
    if not isinstance(change, dict):
        return change
    return value | {key: merged(value[key], new) if key in value else new for key, new in change.items()}


@pytest.mark.parametrize("lack", LACKING)
def test_runs_without_what_is_needed_are_refused(folder, tmp_path, lack):
    name, change, words = LACKING[lack]
    one = next((folder / "runs").glob("onebp-*0"))
    run_folder = edited(one, tmp_path / lack, name, lambda value: merged(value, change))
    with pytest.raises(UserError, match=f"runs=.*{lack}: .*{words}"):
        read_models([str(run_folder)], 5)


def test_runs_that_do_not_belong_together_are_refused(folder, tmp_path):
    one = next((folder / "runs").glob("onebp-*0"))
    beta = edited(one, tmp_path / "beta", "config.json", lambda value: merged(value, {"config": {"beta": 0.5}}))
    assert [model.name for model in read_models([str(one), str(beta)], 5)[1]] == [
        START,
        "onebp (beta=0.99)",
        "onebp (beta=0.5)",
    ]

    def swapped(arrays):
        arrays["train"][[0, 1]] = arrays["train"][[1, 0]]
        return arrays

    other = edited(one, tmp_path / "other", "interactions.npz", swapped)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(UserError, match="other: it is on other data"):
        patch.setattr(models_module.run_folder, "check_pairs", lambda *_: None)  # which finds the damage before
        read_models([str(one), str(other)], 5)
    (tmp_path / "beta" / "interactions.npz").unlink()
    with pytest.raises(UserError, match="beta: it holds no interactions"):
        read_models([str(beta)], 5)
