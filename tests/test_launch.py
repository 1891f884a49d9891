"""The programs, started as a user starts them: results, exit statuses, one clear line for bad input, kill -9 and resume."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from programs import ROOT, SMALL, assert_one_line, command, environment, run, tables


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
        ["onebpp", "did you mean 'onebp'", "twobp"],
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


BENCHMARKS = ("benchmark_step", "benchmark_ranking", "benchmark_quality")


@pytest.mark.parametrize("program", ["train", "compare", "evaluate", "recommend", "export", *BENCHMARKS])
def test_help_reads_and_ends_well(program):
    process = run(program, "--help")
    assert process.returncode == 0 and not process.stderr
    assert f"python -m launch.{program}" in process.stdout and "Exit status" in process.stdout
    assert "--" in process.stdout.split("Flags:")[1]


def test_another_configuration_in_the_folder_is_refused(trained):
    before = {path: path.stat().st_mtime_ns for path in trained.iterdir()}
    process = run("train", *SMALL, f"--workdir={trained}", "--config.epochs=31")
    assert_one_line(process, 2, "epochs is 30 there and 31 here")
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


def test_own_file_comes_back_with_its_own_ids(files, tmp_path):
    arguments = (*SMALL, f"--workdir={tmp_path / 'run'}", f"--config.dataset={files / 'own.csv'}", "--config.epochs=2")
    assert run("train", *arguments).returncode == 0
    process = run("recommend", f"--workdir={tmp_path / 'run'}", "--users=u3", "--k=2")
    assert process.returncode == 0, process.stderr
    rows = [line.split(",") for line in process.stdout.splitlines()[1:]]
    own = pd.read_csv(files / "own.csv")
    assert {row[0] for row in rows} == {"u3"} and {row[2] for row in rows} <= set(own["item"])


def test_compare_prints_one_table_and_reads_finished_runs_back(tmp_path):
    arguments = (
        *SMALL,
        f"--workdir={tmp_path}",
        "--config.epochs=2",
        "--methods=onebp,onebp:duplicates=last,popularity",
    )
    first = run("compare", *arguments, "--seeds=0,1", f"--out={tmp_path / 'table.md'}")
    assert first.returncode == 0, first.stderr
    text = (tmp_path / "table.md").read_text()
    assert text.strip() in first.stdout and "±" in text and "onebp:duplicates=last" in text
    assert run("compare", *arguments, "--seeds=0,1").stdout == first.stdout
    assert_one_line(run("compare", *arguments, "--seeds=0,x"), 2, "--seeds")


def test_benchmark_step_prints_and_writes(tmp_path):
    out = f"--out={tmp_path / 'step.json'}"
    process = run(
        "benchmark_step", *SMALL, "--method=onebp,twobp", "--optimizer=dense,rowwise:row_adagrad", "--repeats=1", out
    )
    assert process.returncode == 0, process.stderr
    rows = json.loads((tmp_path / "step.json").read_text())
    assert [row["row"] for row in rows] == [
        f"{method}:{optimizer}"
        for method in ("onebp", "twobp")
        for optimizer in ("optimizer=dense", "optimizer=rowwise:transform=row_adagrad")
    ]
    dense, lazy, two, _ = rows
    assert dense["flops"] < two["flops"] and dense["mbytes_per_step"] < two["mbytes_per_step"]
    # 256 user rows and 1536 item rows of 8 numbers, and a number more for each of the latter, once each way.
    assert lazy["mbytes_per_step"] == pytest.approx(2 * (256 * 32 + 1536 * (32 + 4)) / 1e6)
    # A user of OneBP is a row of 8 numbers; dense Adam keeps two more.
    assert (dense["state_bytes_per_user"], two["state_bytes_per_user"]) == (32, 96)
    assert all(row["floor_fraction"] > 0 and row["compile_s"] > 0 and row["versions"] for row in rows)
    assert_one_line(run("benchmark_step", *SMALL, "--method=popularity"), 2, "no training step")


def test_an_output_that_cannot_be_written_is_found_before_the_work(tmp_path):
    lost = tmp_path / "missing" / "out.json"
    for program, arguments in (("benchmark_step", SMALL), ("compare", (*SMALL, f"--workdir={tmp_path / 'runs'}"))):
        assert_one_line(run(program, *arguments, f"--out={lost}"), 2, str(lost))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("flag", ["--methods=", "--seeds=0,0"])
def test_a_comparison_of_nothing_or_of_the_same_is_refused(flag, tmp_path):
    assert_one_line(run("compare", *SMALL, f"--workdir={tmp_path / 'runs'}", flag), 2, flag.split("=")[0])
    assert not (tmp_path / "runs").exists()


LONG = (
    *SMALL,
    "--config.epochs=25",
    "--config.steps_per_call=3",
    "--config.checkpoint_seconds=0",
    "--config.patience=0",
)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert run("train", *LONG, f"--workdir={workdir}").returncode == 0
    return workdir


def start_and_signal(workdir: Path, number: int, delay: float) -> subprocess.Popen:
    """Starts the long run, waits for its first checkpoint and a little more, and sends it a signal."""
    arguments = command("train", *LONG, f"--workdir={workdir}")
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(arguments, cwd=ROOT, env=environment(), **pipes)
    deadline = time.monotonic() + 240
    while not list(workdir.glob("checkpoints/[0-9]*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(delay)
    process.send_signal(number)
    process.wait(240)
    return process


@pytest.mark.parametrize("trial", range(2))
def test_kill_9_at_a_random_moment_and_resume(uninterrupted, tmp_path, trial):
    process = start_and_signal(tmp_path / "run", signal.SIGKILL, random.uniform(0, 1.5))
    assert process.returncode == -signal.SIGKILL, "the run ended before it could be killed"
    process.stderr.close()
    again = run("train", *LONG, f"--workdir={tmp_path / 'run'}")
    assert again.returncode == 0, again.stderr
    assert_ends_as(uninterrupted, tmp_path / "run")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_exits_with_one_line_and_resumes(uninterrupted, tmp_path, number):
    process = start_and_signal(tmp_path / "run", number, 0.3)
    said = process.stderr.read()
    process.stderr.close()
    assert process.returncode == 128 + number, said
    assert "Traceback" not in said and signal.Signals(number).name in said.splitlines()[-1]
    assert run("train", *LONG, f"--workdir={tmp_path / 'run'}").returncode == 0
    assert_ends_as(uninterrupted, tmp_path / "run")


def assert_ends_as(one: Path, other: Path) -> None:
    for a, b in zip(tables(one), tables(other), strict=True):
        np.testing.assert_array_equal(a, b)
    results = [json.loads((folder / "result.json").read_text()) for folder in (one, other)]
    for result in results:
        del result["seconds"]
    assert results[0] == results[1]
    counts = [len((folder / "metrics.jsonl").read_text().splitlines()) for folder in (one, other)]
    assert counts[0] == counts[1] == 25
