"""The programs, started as a user starts them: results, exit statuses, one clear line for bad input."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.programs import ROOT, SMALL, assert_one_line, run, tables


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Small data files, good and bad."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    users, items = np.divmod(rng.choice(40 * 30, 500, replace=False), 30)
    good = pd.DataFrame({"user": [f"u{u}" for u in users], "item": [f"i{i}" for i in items], "stars": 5})
    good.to_csv(folder / "own.csv", index=False)
    good.rename(columns={"user": "wer", "item": "was"}).to_csv(folder / "columns.csv", index=False)
    (folder / "empty.csv").write_text("")
    (folder / "header.csv").write_text("user,item\n")
    for name, train, test in (
        ("stranger", "0 0 1 2 3 4 5\n1 0 1 2 3 4 5\n", "7 3\n"),
        ("sparse_ids", "0 0 1 2\n1 0 99999999\n", "0 3\n"),
        ("negative_ids", "0 0 1 2\n1 0 -4\n", "0 3\n"),
        ("words", "0 0 1 two\n", "0 3\n"),
    ):
        (folder / name).mkdir()
        (folder / name / "train.txt").write_text(train)
        (folder / name / "test.txt").write_text(test)
    (folder / "broken.py").write_text("def get_config():\n    return 1 +\n")
    (folder / "file").write_text("in the way")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("trained") / "run"
    process = run("train", *SMALL, f"--workdir={workdir}", "--config.epochs=30")
    assert process.returncode == 0, process.stderr
    assert "NDCG" in process.stdout and "protocol honest" in process.stdout
    return workdir


# name: (arguments, words of the one line); WORK and FILES stand for folders.
BAD = {
    "no config": (["--workdir=WORK"], ["--config", "missing"]),
    "no workdir": (["--config=configs/quickstart.py"], ["--workdir", "missing"]),
    "no such config": (["--config=configs/quickstrt.py", "--workdir=WORK"], ["configs/quickstrt.py"]),
    "broken config": (["--config=FILES/broken.py", "--workdir=WORK"], ["broken.py", "invalid syntax"]),
    "unknown flag": ([*SMALL, "--workdr=WORK"], ["--workdr", "workdir"]),
    "stray word": ([*SMALL, "--workdir=WORK", "quick"], ["'quick'"]),
    "unknown field": ([*SMALL, "--workdir=WORK", "--config.learing_rate=1"], ["learing_rate", "learning_rate"]),
    "unknown method": (
        [*SMALL, "--workdir=WORK", "--config.method=onebpp"],
        ["onebpp", "the nearest: onebp, "],
    ),
    "unknown rule": ([*SMALL, "--workdir=WORK", "--config.duplicates=lst"], ["'lst'", "expected", "last"]),
    "unknown protocol": ([*SMALL, "--workdir=WORK", "--config.protocol=onest"], ["onest", "honest"]),
    "unknown optimizer": ([*SMALL, "--workdir=WORK", "--config.optimizer=lazy"], ["lazy", "dense"]),
    "nan": ([*SMALL, "--workdir=WORK", "--config.learning_rate=nan"], ["learning_rate", "finite"]),
    "negative": ([*SMALL, "--workdir=WORK", "--config.l2=-1"], ["l2", "-1"]),
    "beta": ([*SMALL, "--workdir=WORK", "--config.beta=1.5"], ["beta", "1.5"]),
    "not a number": ([*SMALL, "--workdir=WORK", "--config.epochs=ten"], ["epochs", "ten"]),
    "impossible negatives": (
        [*SMALL, "--workdir=WORK", "--config.num_negatives=90"],
        ["num_negatives=90", "untouched"],
    ),
    "unknown set": ([*SMALL, "--workdir=WORK", "--config.dataset=ml-10k"], ["ml-10k", "ml-100k"]),
    "missing file": ([*SMALL, "--workdir=WORK", "--config.dataset=FILES/nowhere.csv"], ["nowhere.csv"]),
    "wrong columns": ([*SMALL, "--workdir=WORK", "--config.dataset=FILES/columns.csv"], ["wer", "was"]),
    "wrong column": (
        [*SMALL, "--workdir=WORK", "--config.dataset=FILES/own.csv", "--config.user_column=usr"],
        ["usr", "user"],
    ),
    "empty file": ([*SMALL, "--workdir=WORK", "--config.dataset=FILES/empty.csv"], ["empty.csv", "empty"]),
    "no rows": ([*SMALL, "--workdir=WORK", "--config.dataset=FILES/header.csv"], ["header.csv"]),
    "unknown test user": ([*SMALL, "--workdir=WORK", "--config.dataset=FILES/stranger"], ["7", "train"]),
    "sparse ids": ([*SMALL, "--workdir=WORK", "--config.dataset=FILES/sparse_ids"], ["out of range", "99999999"]),
    "negative ids": ([*SMALL, "--workdir=WORK", "--config.dataset=FILES/negative_ids"], ["-4"]),
    "words for ids": ([*SMALL, "--workdir=WORK", "--config.dataset=FILES/words"], ["two", "line 1"]),
    "file in the way": ([*SMALL, "--workdir=FILES/file/run"], ["file/run"]),
}


@pytest.fixture(scope="module")
def refusals(files, tmp_path_factory):
    """All bad commands, two at a time: name -> (process, the folder that should not have become a run)."""

    def start(name: str):
        workdir = tmp_path_factory.getbasetemp() / ("bad-" + name.replace(" ", "-"))
        swap = {"WORK": str(workdir), "FILES": str(files)}
        arguments = []
        for argument in BAD[name][0]:
            for word, path in swap.items():
                argument = argument.replace(word, path)
            arguments.append(argument)
        return run("train", *arguments), workdir

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(BAD, pool.map(start, BAD), strict=True))


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_status_2(refusals, name):
    process, workdir = refusals[name]
    assert_one_line(process, 2, *BAD[name][1])
    assert not workdir.exists() or not list(workdir.iterdir())


PROGRAMS = sorted(path.stem for path in (ROOT / "launch").glob("[a-z]*.py"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_reads_and_ends_well(program):
    process = run(program, "--help", cold=program == "train")
    assert process.returncode == 0 and not process.stderr
    assert f"    onebp {program.replace('_', ' ')}" in process.stdout and "Exit status" in " ".join(
        process.stdout.split()
    )
    assert "  --" in process.stdout or program == "doctor"


def test_another_configuration_in_the_folder_is_refused(trained):
    before = {path: path.stat().st_mtime_ns for path in trained.iterdir()}
    process = run("train", *SMALL, f"--workdir={trained}", "--config.epochs=29")
    assert_one_line(process, 2, "epochs is 30 there and 29 here")
    assert {path: path.stat().st_mtime_ns for path in trained.iterdir()} == before


def test_evaluate_gives_the_result_again(trained, tmp_path):
    process = run("evaluate", f"--workdir={trained}", f"--out={tmp_path / 'metrics.json'}")
    assert process.returncode == 0, process.stderr
    result = json.loads((trained / "result.json").read_text())
    assert json.loads((tmp_path / "metrics.json").read_text()) == pytest.approx(result["metrics"], rel=1e-12)
    assert_one_line(run("evaluate", f"--workdir={trained}", "--split=tets"), 2, "tets", "test")
    assert_one_line(run("evaluate", f"--workdir={tmp_path}"), 2, "not a run folder")


def test_recommend_and_export(trained, tmp_path):
    formats = {name: tmp_path / f"lists.{name}" for name in ("csv", "parquet", "jsonl")}
    for path in formats.values():
        assert run("recommend", f"--workdir={trained}", "--k=4", f"--out={path}").returncode == 0
    lists = pd.read_csv(formats["csv"])
    pd.testing.assert_frame_equal(lists, pd.read_parquet(formats["parquet"]), check_dtype=False, rtol=1e-5)
    lines = [json.loads(line) for line in formats["jsonl"].read_text().splitlines()]
    assert [line["items"] for line in lines] == [group["item"].tolist() for _, group in lists.groupby("user")]
    printed = run("recommend", f"--workdir={trained}", "--k=4", "--users=7,3")
    assert printed.stdout.splitlines()[0] == "user,rank,item,score"
    assert [line.split(",")[0] for line in printed.stdout.splitlines()[1:]] == ["7"] * 4 + ["3"] * 4
    assert_one_line(run("recommend", f"--workdir={trained}", "--users=7,new"), 2, "'new'")
    assert_one_line(run("recommend", f"--workdir={trained}", "--k=0"), 2, "k")
    assert_one_line(run("recommend", f"--workdir={trained}", "--out=lists.xls"), 2, ".csv")
    assert run("export", f"--workdir={trained}", f"--out={tmp_path / 'v.tsv'}").returncode == 0
    vectors = pd.read_csv(tmp_path / "v_item.tsv", sep="\t").drop(columns="id").to_numpy(np.float32)
    np.testing.assert_allclose(vectors, tables(trained)[1], rtol=1e-6)


def test_a_user_without_items_left_is_told_of(tmp_path):
    pairs = [f"a,{item}" for item in range(9)] + [f"b,{item}" for item in range(5)]
    (tmp_path / "own.csv").write_text("\n".join(["user,item", *pairs]))
    arguments = (*SMALL, f"--workdir={tmp_path / 'run'}", f"--config.dataset={tmp_path / 'own.csv'}")
    assert run("train", *arguments, "--config.method=popularity").returncode == 0
    process = run("recommend", f"--workdir={tmp_path / 'run'}", "--exclude=all", "--k=3")
    assert process.returncode == 0
    assert "1 of 2 users have fewer than 3 items left" in process.stderr and "(1 have none)" in process.stderr
    assert [line[0] for line in process.stdout.splitlines()[1:]] == ["b"] * 3
    process = run("recommend", f"--workdir={tmp_path / 'run'}", "--exclude=all", "--k=5")
    assert "2 of 2 users have fewer than 5 items left" in process.stderr and "(1 have none)" in process.stderr
    assert [line[0] for line in process.stdout.splitlines()[1:]] == ["b"] * 4
    assert_one_line(
        run("recommend", f"--workdir={tmp_path / 'run'}", "--exclude=al"), 2, "--exclude=al", "all, train, none"
    )


def test_own_file_comes_back_with_its_own_ids(files, tmp_path):
    arguments = (*SMALL, f"--workdir={tmp_path / 'run'}", f"--config.dataset={files / 'own.csv'}", "--config.epochs=2")
    assert run("train", *arguments).returncode == 0
    process = run("recommend", f"--workdir={tmp_path / 'run'}", "--users=u3", "--k=2")
    assert process.returncode == 0, process.stderr
    rows = [line.split(",") for line in process.stdout.splitlines()[1:]]
    own = pd.read_csv(files / "own.csv")
    assert {row[0] for row in rows} == {"u3"} and {row[2] for row in rows} <= set(own["item"])
