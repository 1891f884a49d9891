"""Figs. 3 and 5 and learning curves, out of results whose numbers are known."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from onebp_jax.analysis.figures import frame_of, write_figure
from onebp_jax.config import default_config
from onebp_jax.experiments.plan import METHODS, VARIED, rows_of_figure
from onebp_jax.experiments.published import METRICS
from onebp_jax.experiments.rows import Done


def config():
    made = default_config()
    made.update({"beta": 0.99, "num_negatives": 5, "dataset": "ml-100k"})
    return made


def runs_of(experiment, folder, seeds=(0, 1), methods=()):
    """A run of each row and seed: row r with seed s has all metrics (r + 1) / 100 + s / 1000."""
    found = []
    for place, row in enumerate(rows_of_figure(experiment, config(), methods)):
        for seed in seeds:
            number = (place + 1) / 100 + seed / 1000
            at = folder / f"{place}-{seed}"
            at.mkdir()
            lines = [
                {
                    "step": 9 * epoch,
                    "epoch": epoch,
                    "seconds": 2.0 * epoch,
                    "loss": 1 / epoch,
                    "metrics": {"NDCG@20": value},
                }
                for epoch, value in ((5, number / 2), (10, 0.995 * number), (15, number), (20, number / 2))
            ]
            (at / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
            result = {
                "metrics": dict.fromkeys(METRICS, number),
                "validation": {"NDCG@20": number},
                "epoch": 15,
                "epochs_done": 20,
                "dataset": "ml-100k",
                "split": "given",
            }
            found.append(Done(row, row, seed, at, result))
    return found


def page_of(experiment, tmp_path, runs, seeds=(0, 1), methods=()):
    out = tmp_path / "out"
    out.mkdir()
    path = write_figure(experiment, config(), methods, runs, seeds, out, "onebp reproduce ..")
    assert sorted(one.name for one in out.iterdir()) == [f"{experiment}.{kind}" for kind in ("csv", "md", "svg")]
    picture = (out / f"{experiment}.svg").read_text()
    assert picture.rstrip().endswith("</svg>") and len(picture) < 60_000
    return re.sub(" +", " ", path.read_text()), pd.read_csv(out / f"{experiment}.csv"), picture


def test_figure_5_has_a_line_for_each_value_and_the_shared_run_in_both_parts(tmp_path):
    runs = runs_of("fig5", tmp_path)
    page, frame, picture = page_of("fig5", tmp_path, runs)
    assert {field: tuple(sorted(set(at["value"]))) for field, at in frame.groupby("field")} == {
        field: tuple(sorted(values)) for field, values in VARIED.items()
    }
    shared = frame[frame["row"] == "onebp"]
    assert len(shared) == 4 and set(shared["field"]) == set(VARIED)
    assert "| beta=0.99 | 0.0205 ±0.0007 |" in page and "| num_negatives=5 | 0.0205 ±0.0007 |" in page
    assert "| num_negatives=50 | 15 ±0 | 20 ±0 |" in page
    # In the order of the values, whatever the order of the runs.
    assert re.findall(r"^\| num_negatives=(\d+) \| 0", page, re.MULTILINE) == ["1", "2", "5", "10", "20", "50"]
    assert "1 - beta" in picture and "All rows have the same settings except what their names say" in page
    assert "Seeds 0, 1" in page and "test read once" in page and "Not made" not in page


def test_figure_3_says_what_onebp_changes_for_each_encoder_and_what_the_paper_prints(tmp_path):
    page, frame, picture = page_of("fig3", tmp_path, runs_of("fig3", tmp_path))
    assert set(zip(frame["encoder"], frame["onebp"], strict=True)) == {
        (name, with_it) for name in ("MF", "NGCF", "LightGCN") for with_it in (True, False)
    }
    for encoder in ("MF", "NGCF", "LightGCN"):
        assert f"| {encoder}, 2 seeds | 0.0100 ±0.0000 |" in page
        assert encoder in picture
    assert "| LightGCN | 0.4263 |" in page and "| OneBP | 0.4530 |" in page


def test_a_figure_of_some_of_its_runs_says_what_is_missing(tmp_path):
    runs = [
        run for run in runs_of("fig3", tmp_path) if (run.row, run.seed) not in {("ngcf", 0), ("ngcf", 1), ("onebp", 1)}
    ]
    page, _, _ = page_of("fig3", tmp_path, runs)
    assert (
        "**Not made, for lack of time or because they failed**: ngcf (seed 0), onebp (seed 1), ngcf (seed 1)." in page
    )
    assert "| MF, 1 seed | 0.0100 |" in page and "| NGCF, " not in page


def test_learning_curves_say_when_the_best_is_reached_and_nearly_reached(tmp_path):
    page, frame, picture = page_of("curves", tmp_path, runs_of("curves", tmp_path))
    assert "| twobp | 0.0205 | 15 | 30.0 | 10 | 20.0 |" in page
    assert len(frame) == 3 * 2 * 4 and frame["chosen"].sum() == 6
    assert (frame[frame["chosen"]]["epoch"] == 15).all()
    np.testing.assert_allclose(frame["seconds"], 2 * frame["epoch"])
    assert all(name in picture for name in METHODS["curves"])


def test_settings_that_trials_chose_are_said(tmp_path):
    runs = [run._replace(spec=f"{run.row}:l2=0.0") for run in runs_of("curves", tmp_path)]
    page, _, _ = page_of("curves", tmp_path, runs)
    assert "chosen on validation, with equal trials: onebp:l2=0.0; twobp:l2=0.0" in page


@pytest.mark.parametrize("experiment", ["fig3", "fig5", "curves"])
def test_pictures_are_the_same_bytes_for_the_same_numbers(experiment, tmp_path):
    runs = runs_of(experiment, tmp_path, seeds=(0,))
    texts = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_figure(experiment, config(), [], runs, [0], tmp_path / name, "")
        texts.append((tmp_path / name / f"{experiment}.svg").read_bytes())
    assert texts[0] == texts[1]
    assert len(frame_of(experiment, config(), METHODS[experiment], runs))
