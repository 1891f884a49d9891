"""What people read of a run: the report, the picture of its curve, the events for TensorBoard."""

from __future__ import annotations

import functools
import json
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from support.configs import config_of

from onebp_jax.data import generate
from onebp_jax.errors import UserError
from onebp_jax.training import curves, events
from onebp_jax.training.train import train

DATA = generate(num_users=60, num_items=50, interactions_per_user=12, seed=3)


small = functools.partial(config_of, dim=4, batch_size=128, epochs=3, patience=0)


def test_the_report_says_what_was_done(tmp_path):
    result = train(small(loss="bpr", refit=True, num_negatives=1), DATA, tmp_path)
    assert result["label"] == "onebp (loss=bpr)" and result["method"] == "onebp"
    text = (tmp_path / "report.md").read_text()
    assert text.startswith("# onebp (loss=bpr) on synthetic\n")
    for words in (
        "one epoch, chosen on validation",
        "refitted on all",
        "## Metrics (test)",
        "curves.svg",
        "    loss='bpr'\n",
    ):
        assert words in text
    assert f"{result['metrics']['NDCG@20']:.4f}" in text
    assert "seed=" not in text.partition("## Settings")[2]


def test_a_method_without_training_has_a_report_without_a_curve(tmp_path):
    train(small(method="popularity"), DATA, tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "nothing was trained" in text and "curves.svg" not in text and not (tmp_path / "curves.svg").exists()


def test_the_picture_has_a_point_for_each_evaluation_and_marks_the_chosen_epoch(tmp_path):
    result = train(small(), DATA, tmp_path)
    root = ElementTree.parse(tmp_path / "curves.svg").getroot()
    lines = [node.get("points", "").split() for node in root.iter("{http://www.w3.org/2000/svg}polyline")]
    assert [len(points) for points in lines] == [3, 3]
    texts = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count(f"epoch {result['epoch']}") == 2 and "NDCG@20 on validation" in texts


def test_points_lie_where_they_should():
    picture = curves.svg([("t", [curves.Line("a", [(0, 0.0), (5, 1.0), (10, float("nan"))])])])
    (points,) = [node.get("points") for node in ElementTree.fromstring(picture).iter() if node.tag.endswith("polyline")]
    assert points == f"0.0,{curves.HEIGHT:.1f} {curves.WIDTH:.1f},0.0"


@pytest.mark.parametrize(
    "lines", [[], [curves.Line("a", [])], [curves.Line("<&>", [(1, 2.0)]), curves.Line("b", [(1, 2.0)])]]
)
def test_any_picture_is_well_formed(lines):
    ElementTree.fromstring(curves.svg([("a < b & c", lines)], chosen=1))


@pytest.mark.parametrize("low", [-3e5, -1e-7, 0, 1, 12345.678])
@pytest.mark.parametrize("span", [0, 1e-6, 0.03, 1, 7, 3e4])
def test_ticks_are_round_and_cover_the_range(low, span):
    found = curves.ticks(low, low + span)
    assert found[0] <= low + 1e-6 * span and found[-1] >= low + (1 - 1e-6) * span and 2 <= len(found) <= 8
    assert found == sorted(set(found))


def test_events_without_their_package_are_refused_in_one_line_before_anything(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match=r"tensorboardX is missing: pip install 'onebp-jax\[tensorboard\]'"):
        train(small(tensorboard=True), DATA, tmp_path / "run")
    assert not (tmp_path / "run").exists()


class Writer:
    """Stands for `tensorboardX.SummaryWriter`."""

    made: list = []

    def __init__(self, folder, purge_step):
        self.folder, self.purge_step, self.scalars = folder, purge_step, []
        self.made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *found):
        pass

    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))


def test_events_are_the_lines_of_the_metrics(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "_writer", lambda: Writer)
    monkeypatch.setattr(Writer, "made", [])
    train(small(tensorboard=True), DATA, tmp_path)
    (writer,) = Writer.made
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    expected = [("train/loss", line["loss"], line["step"]) for line in lines]
    expected += [
        (f"validation/{name}", value, line["step"]) for line in lines for name, value in line["metrics"].items()
    ]
    assert sorted(writer.scalars) == sorted(expected)
    assert writer.folder == str(tmp_path / "tensorboard") and writer.purge_step == 1
    train(small(), DATA, tmp_path)  # an option of how the run proceeds, not of what it computes


def test_the_real_writer_takes_our_arguments(tmp_path):
    pytest.importorskip("tensorboardX")
    with events.event_log(tmp_path, True, 0) as log:
        log({"step": 1, "split": "validation", "loss": 0.5, "metrics": {"NDCG@20": 0.25}})
    (file,) = (tmp_path / "tensorboard").iterdir()
    assert b"train/loss" in file.read_bytes() and b"validation/NDCG@20" in file.read_bytes()
