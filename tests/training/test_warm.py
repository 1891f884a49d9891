"""A warm start: rows by original ids, new users and items as usual, and a run that can be stopped like any other."""

from __future__ import annotations

import functools
from dataclasses import replace

import jax
import numpy as np
import pytest
from support.configs import config_of

from onebp_jax.data import generate
from onebp_jax.errors import UserError
from onebp_jax.methods import build_method
from onebp_jax.training import run_folder, runner
from onebp_jax.training.train import train

pytestmark = pytest.mark.usefixtures("shared_scan")


small = functools.partial(config_of, dim=4, batch_size=128, epochs=3, learning_rate=0.01, patience=0)


@pytest.fixture(scope="module")
def old():
    return generate(num_users=60, num_items=50, interactions_per_user=12, seed=3)


@pytest.fixture(scope="module")
def init(old, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("init")
    train(small(), old, workdir)
    return run_folder.read_run(workdir)


@pytest.fixture(scope="module")
def grown(old):
    """The same data under other rows, and 20 more users and 10 more items."""
    more = generate(num_users=80, num_items=60, interactions_per_user=12, seed=3)
    rng = np.random.default_rng(0)
    return replace(more, user_ids=rng.permutation(80), item_ids=rng.permutation(60))


def first(config, dataset, init=None):
    _, run = runner.prepare(config, build_method(config), dataset, None, init)
    return run


@pytest.mark.parametrize("changes", [{}, {"table_dtype": "bfloat16"}, {"method": "twobp"}, {"options.tau": 0.5}])
def test_known_rows_are_those_of_init_and_new_ones_begin_as_usual(init, grown, changes):
    if "options.tau" in changes:
        changes = {"user_updater": "moving_average"}
    config = small(**changes)
    warm, cold = first(config, grown, init), first(config, grown)
    for tower, ids in (("user", grown.user_ids), ("item", grown.item_ids)):
        then, known = getattr(init, tower), ids < len(getattr(init, tower))
        vectors = np.asarray(warm.best[tower == "item"])
        np.testing.assert_allclose(vectors[known], then[ids[known]], rtol=0.01 * (config.table_dtype != "float32"))
        usual = getattr(cold.state, tower)
        np.testing.assert_array_equal(getattr(warm.state, tower)[~known], usual[~known])
        assert not np.array_equal(getattr(warm.state, tower)[known], usual[known])
    assert jax.tree.structure(warm.state) == jax.tree.structure(cold.state) and warm.step == 0


def test_ids_are_matched_as_text_if_one_side_is_text(init, grown):
    as_text = replace(grown, user_ids=grown.user_ids.astype(str), item_ids=grown.item_ids.astype(str))
    for one, other in zip(first(small(), grown, init).best, first(small(), as_text, init).best, strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_is_resumed_to_the_bit_and_another_init_is_refused(init, grown, tmp_path, monkeypatch):
    train(small(), grown, tmp_path / "straight", init=init)
    real, calls = runner.evaluate, []

    def crash(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(runner, "evaluate", crash)
    with pytest.raises(KeyboardInterrupt):
        train(small(checkpoint_seconds=0.0), grown, tmp_path / "run", init=init)
    monkeypatch.undo()
    for other in (None, init._replace(user=init.user + 1)):
        with pytest.raises(UserError, match=r"it began with the vectors of another run \(init\)"):
            train(small(), grown, tmp_path / "run", init=other)
    train(small(), grown, tmp_path / "run", init=init)
    one, other = (run_folder.read_run(tmp_path / name) for name in ("straight", "run"))
    np.testing.assert_array_equal(one.user, other.user)
    np.testing.assert_array_equal(one.item, other.item)


def test_it_begins_where_init_ended(init, old):
    job, run = runner.prepare(small(), build_method(small()), old, None, init)
    _, metrics = runner.evaluate(job, run)
    assert metrics["NDCG@20"] == pytest.approx(init.result["validation"]["NDCG@20"])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dim": 8}, r"shape \(4,\), and rows of this run have \(8,\)"),
        ({"method": "lightgcn"}, "of more than one row .* train on all data without init"),
        ({"method": "popularity"}, "not trained"),
    ],
)
def test_a_method_that_cannot_begin_with_vectors_is_refused(init, old, tmp_path, fields, words):
    with pytest.raises(UserError, match=words):
        train(small(**fields), old, tmp_path / "run", init=init)
    assert not (tmp_path / "run").exists()


def test_init_on_other_ids_is_refused(init, old, tmp_path):
    with pytest.raises(UserError, match="none of its 60 users"):
        train(small(), replace(old, user_ids=old.user_ids + 1000), tmp_path, init=init)
