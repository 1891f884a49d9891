"""Longer studies on real data, run with `-m study`: the paper's numbers come out of the code as it is."""

from __future__ import annotations

import os
from dataclasses import replace

import jax
import numpy as np
import pytest
from support.programs import ROOT

from onebp_jax.config import check_config, default_config
from onebp_jax.data import load
from onebp_jax.evaluation.measure import measure
from onebp_jax.methods.build import build_method
from onebp_jax.ops.fold import messages, user_vectors
from onebp_jax.training import runner
from onebp_jax.training.train import train

# Means and standard deviations of 5 seeds, results/ml100k.md.
MEASURED = {
    "onebp": {"P@5": (0.4534, 0.0013), "R@20": (0.3745, 0.0010), "NDCG@20": (0.4522, 0.0009)},
    "twobp": {"P@5": (0.4147, 0.0036), "R@20": (0.3524, 0.0015), "NDCG@20": (0.4185, 0.0021)},
}


@pytest.mark.study
@pytest.mark.parametrize(("method", "epochs"), [("onebp", 2000), ("twobp", 200)])
def test_ml_100k_at_the_authors_settings(method, epochs, tmp_path):
    """One new seed lies within five standard deviations of the five that were measured."""
    if "ONEBP_DATA_DIR" not in os.environ:
        pytest.skip("set ONEBP_DATA_DIR to the folder of the data sets")

    scope = {}
    exec(compile((ROOT / "configs" / "ml100k.py").read_text(), "ml100k.py", "exec"), scope)
    config = scope["get_config"]()
    config.update({"method": method, "epochs": epochs, "protocol": "paper_oracle", "eval_every": 1, "seed": 11})
    check_config(config)
    dataset = load("ml-100k")
    if dataset.split != "given":
        pytest.skip("the authors' split of ML-100k is not at hand")
    metrics = train(config, dataset, tmp_path)["metrics"]
    for name, (mean, deviation) in MEASURED[method].items():
        assert abs(metrics[name] - mean) < 5 * deviation, f"{name} is {metrics[name]}"


@pytest.mark.study
@pytest.mark.parametrize("method", ["onebp_history", "onebp_spectral"])
def test_users_that_training_has_not_seen(method):
    """ML-1M: a thousand users, built event by event, are as good without training as with it."""
    if "ONEBP_DATA_DIR" not in os.environ:
        pytest.skip("set ONEBP_DATA_DIR to the folder of the data sets")
    dataset, scope = load("ml-1m"), {}
    exec(compile((ROOT / "configs" / "best_ml1m.py").read_text(), "best_ml1m.py", "exec"), scope)
    config = scope["get_config"]()
    config.update({"method": method, "validation_fraction": 0.0})
    if method == "onebp_history":
        config.options = default_config().options
    encoder = build_method(config).encoder
    users = np.random.default_rng(0).choice(dataset.num_users, 1000, replace=False)
    theirs, wanted = (pairs[np.isin(pairs[:, 0], users)] for pairs in (dataset.train, dataset.test))

    def fit(train_pairs):
        job, run = runner.prepare(config, build_method(config), replace(dataset, train=train_pairs))
        while not runner.is_done(job, run):
            run = job.advance(run, runner.next_length(job, run))
        return jax.device_get(encoder.fold(job.data)), *map(np.array, job.vectors(run.state))

    def built(fold, item):
        rows = messages(fold, item)
        sums = np.zeros((dataset.num_users, rows.shape[1]), np.float32)
        for user, one in np.random.default_rng(1).permutation(theirs):
            sums[user] += rows[one]
        return user_vectors(fold, item)(sums[users])

    def quality(user, item):
        return measure(dataset, dataset.train, wanted, user, item)["NDCG@20"]

    fold, user, item = fit(dataset.train)
    with_them = quality(user, item)
    error = np.abs(built(fold, item) - user[users]).max() / np.abs(user).max()
    fold, user, item = fit(dataset.train[~np.isin(dataset.train[:, 0], users)])
    assert not user[users].any()
    user[users] = built(fold, item)
    without = quality(user, item)
    print(
        f"{method}: largest error {error:.1e}; NDCG@20 of the users {with_them:.4f} trained in, {without:.4f} built live"
    )
    assert error < 1e-5 and without > 0.99 * with_them
