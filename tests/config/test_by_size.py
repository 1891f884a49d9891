"""Settings by the size of the data: what is open is filled in and said, what is given stays."""

import numpy as np
import pandas as pd
import pytest
from absl import logging

from onebp_jax.config import OPTIONS, as_plain, check_config, default_config
from onebp_jax.config.by_size import choose_by_size, chosen, own_config, own_row
from onebp_jax.config.fields import FIELDS, OPEN
from onebp_jax.data import from_frame, generate
from onebp_jax.errors import UserError
from onebp_jax.experiments.compare import compare, variant
from onebp_jax.experiments.search_space import parse
from onebp_jax.experiments.sweep import sweep
from onebp_jax.methods.build import build_method, check_method, unused_fields
from onebp_jax.training.run_folder import read_run
from onebp_jax.training.train import train

# Users, items, pairs: a toy, the shapes of public sets, and a hundred times the largest.
SIZES = [(3, 2, 4), (943, 1682, 80_000), (6040, 3706, 800_000), (29858, 40981, 810_128), (3_000_000, 4_000_000, 10**8)]


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_size_has_settings_that_a_run_accepts(size, ordered):
    config = own_config()
    check_config(config)
    for name, value in chosen(*size, ordered).items():
        option = name.removeprefix("options.")
        assert option in (OPTIONS if option != name else FIELDS)
        (config.options if option != name else config)[option] = value
    assert all(config[name] is not None for name in OPEN)
    check_config(config)
    build_method(config)
    assert not unused_fields(config)


def test_open_fields_are_filled_in_and_said_and_given_ones_stay(monkeypatch):
    lines = []
    monkeypatch.setattr(logging, "info", lambda text, *values: lines.append(text % values))
    dataset = generate(num_users=60, num_items=40, seed=1)
    config = own_config()
    config.dim, config.options.item_power = 8, 0.3
    choose_by_size(config, dataset)
    expected = chosen(60, 40, len(dataset.train), False)
    assert config.dim == 8 and config.options.item_power == 0.3
    assert config.batch_size == expected["batch_size"] and config.options.smoothing == expected["options.smoothing"]
    (line,) = lines
    assert line.startswith(f"chosen by the size of the data (60 users, 40 items, {len(dataset.train)} pairs): ")
    assert (
        "batch_size=" in line and "options.spectral_dim=" in line and " dim=" not in line and "item_power" not in line
    )
    before = as_plain(config)
    choose_by_size(config, dataset)
    assert as_plain(config) == before and len(lines) == 1, "nothing is open any more"


@pytest.mark.parametrize(
    "split, validation, ordered",
    [
        ("time", "auto", True),
        ("leave_one_out_time", "auto", True),
        ("time_global", "auto", False),
        ("ratio", "auto", False),
        ("ratio", "last", True),
    ],
)
def test_recent_events_count_more_where_the_latest_ones_are_held_out(split, validation, ordered):
    made = generate(num_users=60, num_items=40, seed=1)
    pairs = np.concatenate([made.train, made.test])
    frame = pd.DataFrame(pairs, columns=["user", "item"]).assign(time=np.arange(len(pairs)))
    config = own_config()
    config.validation = validation
    choose_by_size(config, from_frame(frame, split=split))
    assert (config.options.half_life, config.options.lasting) == ((3.0, 0.03) if ordered else (0.0, 0.0))


def test_another_method_gets_no_options():
    dataset = generate(num_users=60, num_items=40, seed=1)
    config = own_config()
    config.method = "twobp"
    choose_by_size(config, dataset)
    assert as_plain(config)["options"] == {} and config.dim == chosen(60, 40, len(dataset.train), False)["dim"]
    build_method(config)


def test_other_configs_stay_as_they_are():
    config = default_config()
    choose_by_size(config, generate(num_users=60, num_items=40, seed=1))
    assert as_plain(config) == as_plain(default_config())


def test_train_fills_in_what_is_open(tmp_path):
    config = own_config()
    config.epochs = 2
    dataset = generate(num_users=60, num_items=40, seed=1)
    result = train(config, dataset, tmp_path / "run")
    assert result["dim"] == chosen(60, 40, len(dataset.train), False)["dim"] and config.dim is None
    assert 0 < result["metrics"]["NDCG@20"] < 1


def test_a_row_has_the_data_and_the_evaluation_of_the_other_config():
    dataset, config = generate(num_users=60, num_items=40, seed=1), default_config()
    config.update(dataset="mine.csv", min_user_items=3, seed=5, validation_fraction=0.2, eval_users=50, epochs=77)
    made = own_row(config)
    assert made.dim is None
    choose_by_size(made, dataset)
    given = ("dataset", "min_user_items", "seed", "validation_fraction", "eval_users")
    assert [made[name] for name in given] == [config[name] for name in given]
    assert made.epochs == own_config().epochs and made.dim == chosen(60, 40, len(dataset.train), False)["dim"]
    row = variant(config, "own:dim=8:options.item_power=0.3", 6, own=made)
    assert (row.method, row.dim, row.options.item_power, row.seed) == ("onebp_spectral", 8, 0.3, 6)
    with pytest.raises(UserError, match="'own'"):
        variant(config, "own", 6)


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({}, ""),
        ({"method": "nope"}, "method='nope': expected one of"),
        ({"transform": "adma"}, "transform='adma': expected one of .* .did you mean 'adam'"),
        ({"options.cutoff": 0.5}, "options.cutoff=0.5 has no effect on method='onebp_spectral'"),
        ({"user_updater": "nope"}, "user_updater='nope': expected one of"),
        # right for data of some sizes
        ({"negative_alpha": 0.5}, ""),
        ({"method": "popularity"}, ""),
        ({"method": "popularity", "dim": 8, "item_updater": "in_ball"}, "item_updater='in_ball' has no effect"),
    ],
    ids=str,
)
def test_what_no_size_can_make_right_is_refused_before_the_size_is_known(fields, refused, caplog):
    config = own_config()
    for name, value in fields.items():
        (config.options if "." in name else config)[name.removeprefix("options.")] = value
    if refused:
        with pytest.raises(UserError, match=f"^{refused}"):
            check_method(config)
    else:
        check_method(config)
    assert any(config[name] is None for name in OPEN) and not caplog.messages


def test_rows_of_other_methods_do_without_the_options_of_own(caplog, tmp_path):
    dataset, config = generate(num_users=60, num_items=40, seed=1), own_config()
    config.update(epochs=2, decay_epochs=0, dim=8)
    config.options.item_power = 0.3
    text = compare(config, dataset, tmp_path, ["own", "twobp", "spectral", "popularity"], [0], say=lambda line: None)
    runs = {name: read_run(tmp_path / f"{name}-seed0") for name in ("own", "twobp", "spectral")}
    assert runs["own"].result["dim"] == 8 and runs["own"].result["epochs_done"] == 2 and "| popularity" in text
    assert as_plain(runs["own"].config)["options"]["item_power"] == 0.3
    assert as_plain(runs["twobp"].config)["options"] == {} and runs["twobp"].result["dim"] == 8
    assert set(as_plain(runs["spectral"].config)["options"]) == {"item_power"}


def test_trials_of_own_have_settings_by_size(tmp_path):
    dataset, config = generate(num_users=60, num_items=40, seed=1), own_config()
    config.update(epochs=1, decay_epochs=0)
    space = parse("dim=8|4")
    report = sweep(config, dataset, tmp_path, ["onebp_spectral", "twobp"], space, 2, say=lambda line: None)
    assert [len(found["trials"]) for found in report["methods"].values()] == [2, 2]


def test_rows_on_sparse_data_have_no_part_of_own(tmp_path):
    dataset, config = generate(num_users=300, num_items=900, interactions_per_user=8, seed=1), own_config()
    assert chosen(300, 900, len(dataset.train), False)["item_updater"] == "on_sphere"
    config.update(epochs=1, decay_epochs=0, dim=8)
    compare(config, dataset, tmp_path, ["own", "twobp", "popularity"], [0], say=lambda line: None)
    parts = {name: read_run(tmp_path / f"{name}-seed0").config.item_updater for name in ("own", "twobp", "popularity")}
    assert parts == {"own": "on_sphere", "twobp": "", "popularity": ""}
