"""Side information from a file to a list: `onebp_features` trained on a small set with two new items."""

import jax
import numpy as np
import pandas as pd
import pytest
from support.programs import run as run_program
from support.same import assert_same

from onebp_jax import serving
from onebp_jax.config import check_config, default_config
from onebp_jax.data import load
from onebp_jax.encoders import FeatureTower
from onebp_jax.errors import UserError
from onebp_jax.methods.build import build_method
from onebp_jax.training import checkpoint, run_folder, runner
from onebp_jax.training.train import train

USERS, ITEMS, LIKED = 40, 24, {"left": "early", "right": "late"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Users of two kinds and items of two kinds, all ids text; items `new-left`, `new-right` have features and no pair."""
    folder = tmp_path_factory.mktemp("features")
    random, kinds = np.random.default_rng(0), list(LIKED)
    items = {f"i{item}": kinds[item % 2] for item in range(ITEMS)}
    rows = []
    for user in range(USERS):
        own = [item for item, kind in items.items() if kind == kinds[user % 2]]
        rows += [(f"u{user}", item) for item in random.choice(own, 8, replace=False)]
    pd.DataFrame(rows, columns=["user", "item"]).to_csv(folder / "pairs.csv", index=False)
    items |= {f"new-{kind}": kind for kind in kinds}
    sides = pd.DataFrame({"item": list(items), "side": list(items.values())})
    sides["when"] = [LIKED[kind] + "|any" for kind in sides["side"]]
    sides["number"] = np.arange(len(sides)) % 2 + 0.1 * random.random(len(sides))
    sides.to_csv(folder / "items.csv", index=False)
    return folder


def config_of(folder, **fields):
    config = default_config()
    config.update({"dataset": str(folder / "pairs.csv"), "item_features": "auto", "method": "onebp_features", "dim": 8})
    config.update({"epochs": 12, "batch_size": 64, "learning_rate": 0.02, "eval_every": 4, "checkpoint_seconds": 0.0})
    config.options.hidden = "8"
    config.update(fields)
    check_config(config)
    return config


@pytest.fixture(scope="module")
def dataset(folder):
    return load(folder / "pairs.csv", item_features="auto")


@pytest.fixture(scope="module", params=[True, False], ids=["ids", "no ids"])
def finished(request, folder, dataset, tmp_path_factory):
    """The config of a run, its folder, and its job and end."""
    config = config_of(folder)
    config.options.ids = request.param
    workdir = tmp_path_factory.mktemp("run")
    train(config, dataset, workdir)
    job, run = runner.prepare(config, build_method(config), dataset)
    end = checkpoint.restore(workdir / "checkpoints", runner.prepare(config, build_method(config), dataset)[1])
    return config, workdir, job, run, end


def test_a_new_item_has_the_vector_of_its_features(finished, dataset):
    _, _, job, begun, ended = finished
    assert dataset.num_items == ITEMS + 2 and dataset.item_ids[-2:].tolist() == ["new-left", "new-right"]
    for run in (begun, ended):
        made = FeatureTower(8, (8,)).apply({"params": run.state.params["item"]}, dataset.item_features)
        np.testing.assert_allclose(job.vectors(run.state)[1][-2:], made[-2:], rtol=1e-5, atol=1e-6)
        assert np.isfinite(made).all()


def test_a_new_item_is_recommended_under_its_own_id_to_those_who_like_its_kind(finished):
    _, workdir, *_ = finished
    trained = run_folder.read_run(workdir)
    lists = serving.recommend(trained, None, 26, None)
    places = lists[lists["item"].str.startswith("new-")].pivot(index="user", columns="item", values="rank")
    left = places.index.map(lambda user: int(user[1:]) % 2 == 0)
    assert (places["new-left"] < places["new-right"])[left].mean() > 0.9
    assert (places["new-left"] > places["new-right"])[~left].mean() > 0.9


def test_the_program_shows_it_among_the_best(finished):
    """User u0 has 12 items of his kind, of which he was trained on at least 5."""
    config, workdir, *_ = finished
    if config.options.ids:
        pytest.skip("one run is enough")
    process = run_program("recommend", f"--workdir={workdir}", "--users=u0", "--k=8")
    shown = [line.split(",")[2] for line in process.stdout.splitlines()[1:]]
    assert len(shown) == 8 and "new-left" in shown and "new-right" not in shown, process.stderr


def test_what_learns_and_what_stays(finished):
    config, _, _, begun, ended = finished
    assert (np.asarray(begun.state.user) != ended.state.user).all()
    assert (np.asarray(begun.state.item) == ended.state.item).all() == (not config.options.ids)
    for before, after in zip(*(jax.tree.leaves(run.state.params) for run in (begun, ended)), strict=True):
        assert (np.asarray(before) != after).any()


def test_a_run_goes_on_with_its_parameters(finished, dataset, tmp_path):
    """Half of the steps, a checkpoint, and the other half end where the whole did, bit for bit."""
    config, _, job, begun, ended = finished
    run = runner.prepare(config, build_method(config), dataset)[1]
    for epoch in range(1, 13):
        run = job.advance(run, job.epoch_steps)
        if epoch % 4 == 0:
            run, _ = runner.evaluate(job, run)
        if epoch == 6:
            checkpoint.save(tmp_path, run)
            run = checkpoint.restore(tmp_path, begun)
    states = [run.state._replace(key=None) for run in (run, ended)]
    assert_same(*states)
    assert jax.tree.leaves(run.state.params_opt)


def test_both_towers(folder, tmp_path):
    pd.DataFrame(
        {"user": [f"u{user}" for user in range(USERS)], "group": [f"g{user % 2}" for user in range(USERS)]}
    ).to_csv(tmp_path / "people.csv", index=False)
    config = config_of(folder, user_features=str(tmp_path / "people.csv"))
    config.options.towers, config.options.ids, config.options.hidden = "both", False, ""
    people = load(folder / "pairs.csv", item_features="auto", user_features=config.user_features)
    job, run = runner.prepare(config, build_method(config), people)
    ended = job.advance(run, 1)
    assert set(ended.state.params) == {"user", "item"} and runner.is_finite(ended)


@pytest.mark.parametrize(
    "options, fields, message",
    [
        ({"towers": "items"}, {}, "options.towers='items': expected one of item, user, both"),
        ({"towers": "user", "ids": False}, {}, "options.ids=False leaves items no vector"),
        ({"hidden": "8,x"}, {}, "options.hidden='8,x': expected positive whole numbers"),
    ],
)
def test_options_that_cannot_be(folder, options, fields, message):
    config = config_of(folder, **fields)
    config.options.update(options)
    with pytest.raises(UserError, match=message):
        build_method(config)


def test_a_tower_without_features_is_the_users_error(folder):
    config = config_of(folder)
    with pytest.raises(UserError, match="the item tower reads features, and the data have none: set item_features"):
        runner.prepare(config, build_method(config), load(folder / "pairs.csv"))


@pytest.mark.parametrize("field", ["item_features", "user_features", "feature_columns"])
def test_a_field_that_is_no_text_is_refused(field):
    config = default_config()
    with config.unlocked():
        config[field] = None
    with pytest.raises(UserError, match=f"{field}=None: expected a text"):
        check_config(config)
