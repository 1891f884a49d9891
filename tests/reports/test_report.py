"""Reports as a user makes them: the page, its files, the commands on it, and what is refused."""

from __future__ import annotations

import html
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.programs import SMALL, assert_one_line, run

ROWS = ("--methods=onebp,twobp,ease,onebp:dim=4", "--seeds=0,1", "--config.epochs=4", "--config.eval_every=1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Runs as `onebp compare` makes them, genres of their items, and their report."""
    folder = tmp_path_factory.mktemp("report")
    made = run("compare", *SMALL, *ROWS, f"--workdir={folder / 'runs'}")
    assert made.returncode == 0, made.stderr
    items = pd.DataFrame({"item": range(90), "genres": np.resize(["Comedy", "Comedy|Drama", "War"], 90)})
    items.to_csv(folder / "items.csv", index=False)
    made = run(
        "report", f"--runs={folder / 'runs'}", f"--items={folder / 'items.csv'}", f"--out={folder / 'page.html'}"
    )
    assert made.returncode == 0, made.stderr
    return folder


def test_the_page_says_what_the_runs_say(folder):
    page = (folder / "page.html").read_text()
    names = {"onebp (dim=8)", "onebp (dim=4)", "twobp", "ease"}
    metrics = pd.read_csv(folder / "page_files" / "metrics.csv")
    assert set(metrics["model"]) == names and set(metrics["seed"]) == {0, 1}
    of_seeds = metrics[(metrics["model"] == "twobp") & (metrics["metric"] == "NDCG@20")]["value"]
    sd = f"±{of_seeds.std():.4f}".replace("0.", ".", 1)
    assert f"{of_seeds.mean():.4f}".replace("0.", ".", 1) + f' <span class="sd">{sd}</span>' in page
    differences = pd.read_csv(folder / "page_files" / "differences.csv")
    assert len(differences.groupby(["model", "than"])) == 12
    assert ((differences["low"] <= differences["mean"]) & (differences["mean"] <= differences["high"])).all()


def test_the_page_and_its_files_are_complete(folder):
    page, files = (folder / "page.html").read_text(), folder / "page_files"
    assert all(len(pd.read_csv(path)) for path in files.glob("*.csv"))
    pictures = sorted(files.glob("*.svg"))
    assert len(pictures) == page.count("<svg")
    assert all(path.read_text().rstrip().endswith("</svg>") for path in pictures)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert not re.search(r'(?:src|href)="(?!#|data:)', page) and "url(http" not in page
    assert "Miscalibration" in set(pd.read_csv(files / "lists.csv")["measure"])


def test_the_commands_of_the_page_find_their_runs(folder):
    """A command with other settings would be refused in that folder, and one of another run would train again."""
    page = html.unescape((folder / "page.html").read_text())
    commands = re.findall(r"onebp train [^\n<]*", page)
    assert len(commands) == 8
    for line in (commands[0], commands[-1]):
        words = shlex.split(line)
        result = Path(words[-1].removeprefix("--workdir=")) / "result.json"
        before = result.stat().st_mtime_ns
        process = run("train", *words[2:])
        assert process.returncode == 0, process.stderr
        assert result.stat().st_mtime_ns == before


def test_the_same_runs_give_the_same_bytes(folder, tmp_path):
    one = next((folder / "runs").glob("twobp-*0"))
    pages = []
    for _ in range(2):
        made = run("report", f"--runs={one}", f"--out={tmp_path / 'one.html'}")
        assert made.returncode == 0, made.stderr
        pages.append((tmp_path / "one.html").read_bytes())
    assert pages[0] == pages[1]


# How a run is trained, and what its page says.
KINDS = {
    "no_test": (("--config.split=none", "--config.refit=False"), "There is no test part"),
    "refit": (("--config.refit=True",), "refitted"),
    "trial": (("--config.read_test=False",), "validation NDCG@20"),
    "several_vectors": (("--config.method=onebp_k",), "has the highest NDCG@20"),
    "oracle": (("--config.protocol=paper_oracle",), "biased upwards"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_runs_of_other_kinds_have_a_page_too(kind, tmp_path):
    flags, words = KINDS[kind]
    made = run("train", *SMALL, "--config.epochs=2", *flags, f"--workdir={tmp_path / 'run'}")
    assert made.returncode == 0, made.stderr
    made = run("report", f"--runs={tmp_path / 'run'}", f"--out={tmp_path / 'page.html'}")
    assert made.returncode == 0, made.stderr
    assert words in (tmp_path / "page.html").read_text()


def test_what_cannot_be_reported_is_said_in_one_line(folder, tmp_path):
    out, one = f"--out={tmp_path / 'page.html'}", next((folder / "runs").glob("ease-*0"))
    assert_one_line(run("report", out), 2, "--runs is missing")
    assert_one_line(run("report", f"--runs={one}", f"--out={tmp_path / 'page.pdf'}"), 2, "--out=", ".html")
    assert_one_line(run("report", f"--runs={folder / 'nowhere'}", out), 2, "--runs=", "no such folder")
    assert_one_line(run("report", f"--runs={one},{one}", out), 2, "is a run of ease with seed 0 too")
    without = folder / "no_genres.csv"
    pd.DataFrame({"item": range(90), "title": "x"}).to_csv(without, index=False)
    assert_one_line(run("report", f"--runs={one}", f"--items={without}", out), 2, "no_genres.csv", "no column genres")
    made = run("train", *SMALL, "--config.method=ease", "--config.synthetic.seed=5", f"--workdir={tmp_path / 'other'}")
    assert made.returncode == 0, made.stderr
    assert_one_line(
        run("report", f"--runs={one},{tmp_path / 'other'}", out), 2, "other: it is on other data", f"than {one}"
    )
    assert not (tmp_path / "page.html").exists() and not (tmp_path / "page_files").exists()
