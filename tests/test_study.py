"""Longer studies on real data, run with `-m study`: the paper's numbers come out of the code as it is."""

from __future__ import annotations

import os

import pytest
from support.programs import ROOT

from onebp_jax.config import check_config
from onebp_jax.data import load
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
