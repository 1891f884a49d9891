"""Runs of users that are made of their histories: as exact and as complete as those of any other method."""

import functools

import numpy as np
import pytest
from support.configs import config_of
from support.same import assert_same

from onebp_jax import Recommender
from onebp_jax.data import generate
from onebp_jax.errors import UserError
from onebp_jax.methods.build import build_method
from onebp_jax.training import checkpoint, run_folder, runner
from onebp_jax.training.train import train

pytestmark = pytest.mark.usefixtures("shared_scan")


@pytest.fixture(scope="module")
def dataset():
    return generate(num_users=60, num_items=50, interactions_per_user=12, seed=3)


small = functools.partial(
    config_of,
    method="onebp_history",
    dim=8,
    batch_size=16,
    learning_rate=0.02,
    l2=0.0,
    temperature=0.2,
    epochs=6,
    patience=0,
    checkpoint_seconds=0.0,
)


@pytest.fixture(scope="module")
def done(dataset, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "run"
    return train(small(decay_epochs=6), dataset, workdir), run_folder.read_run(workdir), workdir


def test_it_learns(done, dataset, tmp_path):
    popularity = train(small(method="popularity"), dataset, tmp_path / "popularity")
    assert done[0]["metrics"]["NDCG@20"] > 1.2 * popularity["metrics"]["NDCG@20"]


def test_users_are_the_sums_of_the_items_of_their_training_pairs(done, dataset, tmp_path):
    whole = train(small(validation_fraction=0.0), dataset, tmp_path / "all")
    run = run_folder.read_run(tmp_path / "all")
    assert whole["epoch"] == 6
    sums = np.zeros_like(run.user)
    np.add.at(sums, dataset.train[:, 0], run.item[dataset.train[:, 1]])
    np.testing.assert_allclose(run.user, sums / np.linalg.norm(sums, axis=1, keepdims=True), atol=1e-5)


def test_a_stopped_run_goes_on_bit_for_bit(done, dataset, tmp_path):
    """Also past the end of a finished run, as the rate depends on decay_epochs, not on epochs."""
    _, expected, _ = done
    train(small(decay_epochs=6, epochs=4), dataset, tmp_path / "run")
    train(small(decay_epochs=6, steps_per_call=1), dataset, tmp_path / "run")
    assert_same(run_folder.read_run(tmp_path / "run").item, expected.item)


def test_smoothed_items_go_on_bit_for_bit_within_an_epoch(dataset, tmp_path):
    """The context of an epoch is a part of its checkpoints: it was made of items that have moved since."""
    config = small(options={"smoothing": 1.0})
    prepared = lambda: runner.prepare(config, build_method(config), dataset)
    job, run = prepared()
    assert job.epoch_steps > 2
    run = job.advance(run, 1)
    assert np.asarray(run.state.context).any()
    checkpoint.save(tmp_path / "checkpoints", run)
    restored = checkpoint.restore(tmp_path / "checkpoints", prepared()[1])
    assert_same(restored.state.context, run.state.context)
    assert_same(job.advance(restored, 2).state.item, job.advance(run, 2).state.item)


@pytest.mark.parametrize("method", ["onebp_history", "onebp_spectral"])
def test_its_vectors_begin_another_run(done, dataset, tmp_path, method):
    """Of vectors side by side, the learned ones begin; another width is refused."""
    _, first, _ = done
    if method == "onebp_spectral":
        train(small(method=method, epochs=1), dataset, tmp_path / "first")
        first = run_folder.read_run(tmp_path / "first")
        assert first.item.shape[1] > 8
    train(small(method=method, epochs=1, learning_rate=1e-9), dataset, tmp_path / "run", init=first)
    np.testing.assert_allclose(run_folder.read_run(tmp_path / "run").item[:, :8], first.item[:, :8], atol=1e-4)
    with pytest.raises(UserError, match="give both the same method and dim"):
        train(small(method=method, dim=6), dataset, tmp_path / "other", init=first)


def test_the_recommender_takes_it(dataset):
    model = Recommender(method="onebp_history", dim=8, batch_size=16, epochs=2).fit(dataset)
    lists = model.partial_fit(epochs=1).recommend([0, 7], k=5)
    known = {tuple(pair) for pair in np.concatenate([dataset.train, dataset.test]).tolist()}
    assert len(lists) == 10
    assert not known & set(zip(lists["user"], lists["item"], strict=True))
