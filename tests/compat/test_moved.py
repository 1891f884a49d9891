"""Modules of 0.1.0 under their old names, and the functions that a `config.json` of 0.1.0 names."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

from onebp_jax import losses, methods, samplers
from onebp_jax.compat import moved
from onebp_jax.config.callables import callable_id
from onebp_jax.methods import parts

DATA = Path(__file__).parent / "data"
# Generated once with 0.1.0: the public names of every module, and the ids of functions that a config file could hold.
NAMES = json.loads((DATA / "names_0_1_0.json").read_text())
IDS = json.loads((DATA / "ids_0_1_0.json").read_text())
# Names of 0.1.0 that are gone: module, names, why. No room exported them for users' code (`parallel` for drivers only), no
# config file could hold them, and no page described them.
GONE = [
    (
        "cli",
        "check_out define_config define_data_dir load_data load_run_data need read_config run",
        "now in cli.program",
    ),
    ("data.dataset", "number_ids original_ids to_numbers", "now in data.ids"),
    ("data.dataset", "deduplicate to_pairs", "now in data.filters and data.pairs"),
    (
        "data.readers",
        "COLUMNS LIGHTGCN MOST RAW listed",
        "now in data.columns, lightgcn and text_tables",
    ),
    ("data.features", "with_features", "now in data.feature_files"),
    ("data.stream", "TouchedItems blocks", "now UserItemIndex and epoch_batches; data.blocks works"),
    ("data.streamed", "Streamed", "now StreamedDataset; data.Streamed works"),
    ("encoders.embedding", "check_whole unit_norm", "now in ops.checks and ops.geometry"),
    ("encoders.graph", "check_layers", "now in ops.checks"),
    ("errors", "in_words_of_the_user", "now as_user_error"),
    ("evaluation.protocols", "PROTOCOLS", "now in config.fields"),
    ("losses.metric", "check_margin", "now in ops.checks"),
    ("losses.scores", "check_temperature", "now in ops.checks"),
    ("parallel", "Placement lay_out lay_out_tables made place take_part take_up", "inside of the drivers"),
    ("parallel.distribute", "lay_out lay_out_rows lay_out_tables made take_part take_up", "inside of the drivers"),
    ("parallel.distribute", "DRIVERS TABLES make_layout", "now in parallel.layout; parallel.make_layout works"),
    ("parallel.distribute", "replicate", "now in parallel.sharding"),
    ("parallel.placement", "Placement", "merged into training.runner.Job"),
    ("report", "HEAD", "merged into the one writer of Markdown tables"),
    ("runner", "checked", "inside of the training loop"),
    ("serving.recommend", "parse_ids", "now in serving.ids; serving.parse_ids works"),
    ("samplers.full_row", "shares", "now popularity_share"),
    ("samplers.in_batch", "not_counting", "now false_negative_mask"),
    ("sources", "Source source", "merged into training.feed.Feed"),
    ("step", "partner_rows ready", "inside of the step"),
    ("sweep", "describe", "inside of the search"),
]


def import_as_new(module: str):
    """Imports a module as if for the first time, so that it warns."""
    sys.modules.pop(module, None)
    return importlib.import_module(module)


@pytest.mark.parametrize("module", sorted(moved.MOVED))
def test_every_old_module_imports_with_a_warning_that_names_the_new_one(module):
    with pytest.warns(DeprecationWarning, match=f"onebp_jax.{moved.MOVED[module][0]}"):
        import_as_new(f"onebp_jax.{module}")


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:onebp_jax", "ignore:.*since onebp_jax 0.2.0", "ignore:.*has moved"
)
@pytest.mark.parametrize("module", sorted(NAMES))
def test_every_public_name_of_the_last_version_is_found_or_known_to_be_gone(module):
    found = importlib.import_module(f"onebp_jax.{module}")
    missing = {name for name in NAMES[module] if not hasattr(found, name)}
    assert missing == {name for where, names, _ in GONE if where == module for name in names.split()}


def test_a_renamed_function_is_the_new_one():
    with pytest.warns(DeprecationWarning, match="onebp_jax.engine.collectives"):
        spread = import_as_new("onebp_jax.spread")
    assert spread.Spread is importlib.import_module("onebp_jax.engine.collectives").Collectives


def test_a_function_works_after_the_module_of_its_name_was_imported():
    with pytest.warns(DeprecationWarning):
        module = import_as_new("onebp_jax.samplers.without_new")
    for without_new in (samplers.without_new, module.without_new):
        assert without_new(samplers.uniform(2)).init is not None


def test_an_unknown_module_stays_unknown():
    with pytest.raises(ModuleNotFoundError, match="onebp_jax.no_such"):
        importlib.import_module("onebp_jax.no_such")


def test_install_twice_adds_one_finder():
    before = len(sys.meta_path)
    moved.install()
    assert len(sys.meta_path) == before


@pytest.mark.parametrize("expression", sorted(IDS))
def test_the_id_that_the_last_version_wrote_is_that_of_the_same_function(expression):
    names = {"losses": losses, "methods": methods, "parts": parts}
    assert moved.current_id(IDS[expression]) == callable_id(eval(expression, names))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("onebp", "onebp"),
        ("mine:sampler#12ab34cd(3)", "mine:sampler#12ab34cd(3)"),
        ("onebp_jax.parts:average", "onebp_jax.methods.parts:average"),
        ("onebp_jax.methods:onebp", "onebp_jax.methods.named:onebp"),
        ("onebp_jax.samplers.without_new:without_new", "onebp_jax.samplers.exclude_cold_items:exclude_cold_items"),
        ("mine:sampler(of=onebp_jax.parts:own_or_shared)", "mine:sampler(of=onebp_jax.methods.parts:own_or_shared)"),
    ],
)
def test_ids_of_functions_that_moved(old, new):
    assert moved.current_id(old) == new
