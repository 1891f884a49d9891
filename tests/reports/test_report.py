"""Reports as a user makes them: the page, its files, the commands on it, and what is refused."""

from __future__ import annotations

import html
import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.programs import SMALL, assert_one_line, run

from onebp_jax import Recommender
from onebp_jax.errors import UserError
from onebp_jax.reports import pictures
from onebp_jax.reports.runs import read


@pytest.fixture(scope="module")
def folder(compared) -> Path:
    """Runs, genres of their items, and their report."""
    made = run(
        "report", f"--runs={compared / 'runs'}", f"--items={compared / 'items.csv'}", f"--out={compared / 'page.html'}"
    )
    assert made.returncode == 0, made.stderr
    return compared


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
    "several_vectors": (("--config.method=onebp_k",), "of NDCG@20 on the test set"),
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
    assert_one_line(run("report", f"--runs={without}", out), 2, "no_genres.csv: a file, expected a folder")
    made = run("train", *SMALL, "--config.method=ease", "--config.synthetic.seed=5", f"--workdir={tmp_path / 'other'}")
    assert made.returncode == 0, made.stderr
    assert_one_line(
        run("report", f"--runs={one},{tmp_path / 'other'}", out), 2, f"other: it is on other data than {one}"
    )
    streamed = tmp_path / "streamed"
    shutil.copytree(one, streamed)
    (streamed / "interactions.npz").unlink()
    assert_one_line(run("report", f"--runs={streamed}", out), 2, "streamed: it holds no interactions.npz")
    assert not (tmp_path / "page.html").exists() and not (tmp_path / "page_files").exists()


def test_a_recommender_reports_itself_and_runs_beside_it(tmp_path):
    users, items = np.divmod(np.random.default_rng(0).choice(30 * 20, 240, replace=False), 20)
    clicks = pd.DataFrame({"user": users, "item": items})
    titles = pd.DataFrame({"item": range(20), "title": "x", "genre": np.resize(["Comedy", "War"], 20)})
    fields = {"dim": 4, "epochs": 2, "split": "ratio", "refit": False}
    other = Recommender("twobp", **fields).fit(clicks, workdir=tmp_path / "other")
    model = Recommender("onebp", **fields).fit(clicks, items=titles)
    page = model.report(tmp_path / "own.html", beside=[other.workdir], types=2).read_text()
    assert "has the highest NDCG@20" in page and "Latent types: 2 clusters" in page
    command = "Recommender(method='onebp', dim=4, epochs=2, refit=False, split='ratio').fit(data, workdir="
    assert f"beside=['{other.workdir}'], types=2)" in html.unescape(page)
    assert command in html.unescape(page) and "onebp train" not in page
    with pytest.raises(UserError, match=r"out=.*own.pdf: expected a name that ends in .html"):
        model.report(tmp_path / "own.pdf")
    with pytest.raises(UserError, match=r"out=.*nowhere is not a folder"):
        model.report(tmp_path / "nowhere" / "own.html")
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "file_files").write_text("")
    for name, said in {"folder.html": "folder.html is in the way", "file.html": "file_files is in the way"}.items():
        with pytest.raises(UserError, match=f"out=.*{said}"):
            model.report(tmp_path / name)
    for beside in (None, str(other.workdir), 3):
        with pytest.raises(UserError, match="beside=.*expected a list of folders"):
            model.report(tmp_path / "own.html", beside=beside)
    with pytest.raises(UserError, match="^beside=.*nowhere: no such folder"):
        model.report(tmp_path / "own.html", beside=[tmp_path / "nowhere"])
    for types in (1, -1, "x", 20):
        with pytest.raises(UserError, match=f"^types={types!r}: expected"):
            model.report(tmp_path / "own.html", types=types)
    refitted = Recommender("onebp", dim=4, epochs=2).fit(clicks, items=titles)
    page = refitted.report(tmp_path / "refitted.html").read_text()
    assert (
        "vectors were refitted" in page and "Recommender(method=&#x27;onebp&#x27;, dim=4, epochs=2).fit(data, " in page
    )
    with pytest.raises(UserError, match="on another split, or refitted"):
        model.report(tmp_path / "both.html", beside=[refitted.workdir])


def test_an_earlier_page_leaves_nothing_behind(folder, tmp_path):
    out, runs = f"--out={tmp_path / 'page.html'}", folder / "runs"
    files = tmp_path / "page_files"
    assert run("report", f"--runs={runs}", "--types=0", out).returncode == 0
    assert (files / "differences.csv").exists()
    (files / "notes.txt").write_text("my own")
    made = run("report", f"--runs={next(runs.glob('ease-*0'))}", "--types=0", out)
    assert made.returncode == 0, made.stderr
    page = (tmp_path / "page.html").read_text()
    assert len(list(files.glob("*.svg"))) == page.count("<svg") and not (files / "differences.csv").exists()
    assert (files / "notes.txt").exists()
    assert "1 run of 1 method, seed 0." in page and "the highest" not in page


def test_users_who_all_differ_alike_have_a_page(tmp_path):
    """The mean of equal numbers is rounded; it may lie outside of its interval by a last digit."""
    frame = pd.DataFrame(
        {"model": ["a", "b"], "mean": [0.2, 0.1], "low": [0.2 + 1e-16, 0.1], "high": [0.2, 0.1 - 1e-16]}
    )
    pictures.differences(frame, "NDCG@20", "c", tmp_path / "alike.svg")
    assert (tmp_path / "alike.svg").read_text().rstrip().endswith("</svg>")


# What is put at the end of a metrics.jsonl, or None for no such file, and what is said.
BAD_LINES = {
    "cut": ('{"epoch": 2', "metrics.jsonl is damaged: line 5 is no JSON"),
    "list": ("[1, 2]", "line 5 is no evaluation"),
    "no loss": ('{"epoch": 2, "step": 3}', "line 5 has no number 'loss'"),
    "text": ('{"epoch": 2, "step": 3, "loss": 1, "metrics": {"P@5": "x"}}', "the metrics of line 5 are"),
    "gone": (None, "its metrics.jsonl is gone"),
}


@pytest.mark.parametrize("kind", BAD_LINES)
def test_a_damaged_learning_curve_is_refused(folder, tmp_path, kind):
    line, said = BAD_LINES[kind]
    shutil.copytree(next((folder / "runs").glob("twobp-*0")), tmp_path / "run")
    path = tmp_path / "run" / "metrics.jsonl"
    path.write_text(f"{path.read_text()}{line}\n")
    if line is None:
        path.unlink()
    with pytest.raises(UserError, match=re.escape(said)):
        read([str(tmp_path / "run")], 5)


def test_metrics_of_a_result_are_numbers(folder, tmp_path):
    shutil.copytree(next((folder / "runs").glob("twobp-*0")), tmp_path / "run")
    path = tmp_path / "run" / "result.json"
    result = json.loads(path.read_text())
    result["metrics"]["R@20"] = "abc"
    path.write_text(json.dumps(result))
    with pytest.raises(UserError, match="result.json is damaged: 'R@20' of 'metrics' is 'abc'"):
        read([str(tmp_path / "run")], 5)
