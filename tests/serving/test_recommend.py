"""Lists and metrics on many devices, and by slices of users, equal those of one device at once."""

import importlib

import jax
import numpy as np
import pandas as pd
import pytest

from onebp_jax import serving
from onebp_jax.config import default_config
from onebp_jax.data import generate
from onebp_jax.parallel import make_layout
from onebp_jax.training.run_folder import Trained

# The package has a function of the module's name.
module = importlib.import_module("onebp_jax.serving.recommend")
DATA = generate(num_users=45, num_items=37, interactions_per_user=8)
LAYOUTS = [("pmap", 4, "replicated"), ("shard_map", 8, "sharded")]


def run_of(*shape):
    random = np.random.default_rng(0)
    user, item = (random.normal(size=each).astype(np.float32) for each in ((45, *shape), (37, shape[-1])))
    return Trained(default_config(), {}, user, item, DATA.user_ids, DATA.item_ids)


def spread(layout):
    return make_layout(layout[0], jax.devices()[: layout[1]], layout[2])


@pytest.mark.parametrize("shape", [(4,), (3, 4)], ids=["a vector", "several"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_lists_are_those_of_one_device(layout, shape, monkeypatch):
    run, rows = run_of(*shape), np.array([7, 3, 3, 44, 0, 21, 8, 9, 10])
    for asked, seen in ((rows, DATA.train), (None, DATA.train), (rows, None)):
        expected = serving.recommend(run, asked, 5, seen)
        found = serving.recommend(run, asked, 5, seen, spread(layout))
        pd.testing.assert_frame_equal(found, expected, rtol=1e-6)
    monkeypatch.setattr(module, "SLICE", 4)
    pd.testing.assert_frame_equal(serving.recommend(run, rows, 5, DATA.train), expected_of(run, rows), rtol=1e-6)


def expected_of(run, rows, k=5):
    """By sorting all scores, one user after the other."""
    lines = []
    for row in rows:
        scores = np.atleast_2d(run.user[row]) @ run.item.T
        scores = scores.max(axis=0)
        scores[DATA.train[DATA.train[:, 0] == row, 1]] = -np.inf
        for rank, item in enumerate(np.argsort(-scores, kind="stable")[:k], 1):
            lines.append((run.user_ids[row], rank, run.item_ids[item], scores[item]))
    return pd.DataFrame(lines, columns=["user", "rank", "item", "score"]).astype({"score": np.float32})


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_metrics_are_those_of_one_device(layout):
    run = run_of(4)
    expected = serving.evaluate(run, DATA, "test")
    assert serving.evaluate(run, DATA, "test", spread(layout)) == pytest.approx(expected, rel=1e-6)


def test_no_users_no_lists():
    assert serving.recommend(run_of(4), np.zeros(0, int), 5, None).empty
