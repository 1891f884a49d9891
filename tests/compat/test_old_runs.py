"""Run folders and config files of 0.1.0 with the programs of today.

`data/runs_0_1_0.zip` was made with 0.1.0 (jax 0.10.2) by `launch.train --config=tests/compat/data/NAME.py`:

    finished              old_config.py, to the end
    interrupted           old_config.py, stopped by SIGTERM after step 7 of 8, within the second epoch
    graph_interrupted     graph_config.py, stopped there too; its checkpoint calls the field `pre_step` by its old name, `before`
    graph_finished        the vectors that graph_config.py ends with

On the machine that made them, the interrupted runs end with the same bits today. The tests allow 1e-5, because another machine
or another jax may differ in the last bits.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.programs import run, tables

DATA = Path(__file__).parent / "data"
CONFIG, GRAPH_CONFIG = (f"--config=tests/compat/data/{name}_config.py" for name in ("old", "graph"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    with zipfile.ZipFile(DATA / "runs_0_1_0.zip") as archive:
        archive.extractall(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_finished_run_is_read_by_every_program(runs, tmp_path):
    folder = runs / "finished"
    before = contents(folder)
    result = json.loads(before["result.json"])
    again = run("train", CONFIG, f"--workdir={folder}")
    assert again.returncode == 0 and f"{result['metrics']['NDCG@20']:.4f}" in again.stdout, again.stderr
    measured = run("evaluate", f"--workdir={folder}")
    assert measured.returncode == 0 and f"{result['metrics']['NDCG@20']:.4f}" in measured.stdout, measured.stderr
    lists = run("recommend", f"--workdir={folder}", "--users=u03,u07", "--k=3")
    assert lists.returncode == 0 and "u07" in lists.stdout, lists.stderr
    assert run("export", f"--workdir={folder}", f"--out={tmp_path / 'vectors.npz'}").returncode == 0
    with np.load(tmp_path / "vectors.npz") as vectors:
        np.testing.assert_array_equal(vectors["user"], tables(folder)[0])
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("config", "interrupted", "finished"),
    [(CONFIG, "interrupted", "finished"), (GRAPH_CONFIG, "graph_interrupted", "graph_finished")],
)
def test_an_interrupted_run_goes_on_and_ends_as_it_would_have(runs, config, interrupted, finished):
    process = run("train", config, f"--workdir={runs / interrupted}")
    assert process.returncode == 0 and "step 7" in process.stderr, process.stderr
    for today, then in zip(tables(runs / interrupted), tables(runs / finished), strict=True):
        np.testing.assert_allclose(today, then, atol=1e-5, rtol=0)
    epochs = [json.loads(line)["epoch"] for line in (runs / interrupted / "metrics.jsonl").read_text().splitlines()]
    assert epochs == [1, 2]
