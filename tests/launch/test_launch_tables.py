"""The programs that print tables, started as a user starts them: `compare` and `benchmark_step`."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from support.programs import SMALL, assert_one_line, run

from onebp_jax.config import default_config
from onebp_jax.data import generate
from onebp_jax.errors import UserError
from onebp_jax.experiments.compare import compare
from onebp_jax.parallel import make_layout


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


def test_benchmark_step_makes_a_row_of_each_number_of_devices(tmp_path):
    out = f"--out={tmp_path / 'step.json'}"
    arguments = ("benchmark_step", *SMALL, "--optimizer=rowwise", "--repeats=1", "--parallel=shard_map", out)
    process = run(*arguments, "--tables=replicated,sharded", "--num_devices=1,2")
    assert process.returncode == 0, process.stderr
    assert "2 simulated devices share" in process.stdout
    rows = json.loads((tmp_path / "step.json").read_text())
    assert [(row["devices"], row["row"].split(", ")[2]) for row in rows] == [
        *((1, "replicated"), (2, "replicated"), (1, "sharded"), (2, "sharded"))
    ]
    one, copied, _, parts = rows
    # The gradients of 256 x 6 item rows of 8 numbers, of which each of two devices has half, and the mean loss.
    assert one["sent_mb_per_step"] == 0 and copied["sent_mb_per_step"] == pytest.approx((256 * 6 * 32 / 2 + 4) / 1e6)
    assert copied["state_mb_per_device"] == one["state_mb_per_device"] > 1.9 * parts["state_mb_per_device"]
    assert one["scaling"] == 1 and copied["scaling"] == copied["examples_per_s"] / one["examples_per_s"]
    assert_one_line(run(*arguments, "--num_devices=1,x"), 2, "--num_devices=1,x")
    assert_one_line(run(*arguments, "--num_devices=3"), 2, "batch_size=256", "3 devices")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--parallel=foo", "--num_devices=2"], ["--parallel=foo", "pmap, shard_map, jit"]),
        (["--parallel=pmap,jti"], ["--parallel=pmap,jti", "did you mean 'jit'"]),
        (["--parallel="], ["--parallel=", "one or more"]),
        (["--unroll=4", "--num_devices=2"], ["--num_devices and --unroll exclude each other"]),
        (["--tables=foo", "--num_devices=2"], ["--tables=foo", "replicated, sharded"]),
        (["--method=onebp,itemknn", "--num_devices=2"], ["--method=itemknn", "no training step"]),
    ],
)
def test_benchmark_step_says_which_flag_is_at_fault_before_the_work(flags, words):
    process = run("benchmark_step", *SMALL, *flags)
    assert_one_line(process, 2, *words)
    assert not process.stdout


def test_an_output_that_cannot_be_written_is_found_before_the_work(tmp_path):
    lost = tmp_path / "missing" / "out.json"
    for program, arguments in (("benchmark_step", SMALL), ("compare", (*SMALL, f"--workdir={tmp_path / 'runs'}"))):
        assert_one_line(run(program, *arguments, f"--out={lost}"), 2, str(lost))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("flag", ["--methods=", "--seeds=0,0"])
def test_a_comparison_of_nothing_or_of_the_same_is_refused(flag, tmp_path):
    assert_one_line(run("compare", *SMALL, f"--workdir={tmp_path / 'runs'}", flag), 2, flag.split("=")[0])
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("last", "devices", "tables", "words"),
    [
        ("onebpp", 1, None, "method='onebpp': expected one of"),
        ("twobp:l2=-1", 1, None, "l2=-1"),
        ("onebp_features", 1, None, "^spec='onebp_features': the item tower reads features, and the data have none"),
        (
            "twobp:num_negatives=89",
            1,
            None,
            "^spec='twobp:num_negatives=89': num_negatives=89, but .* users have fewer",
        ),
        (
            "twobp:batch_size=33",
            2,
            "replicated",
            "^spec='twobp:batch_size=33': batch_size=33: expected a multiple of the 2 devices",
        ),
        ("directau", 2, "replicated", "^spec='directau': the loss directau compares .* use driver=jit"),
        ("lightgcn", 2, "sharded", "^spec='lightgcn': .* the encoder lightgcn reads other rows"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_before_the_first_is_trained(last, devices, tables, words, tmp_path):
    config, said = default_config(), []
    config.update(dim=8, batch_size=64, epochs=1)
    dataset = generate(num_users=40, num_items=90, interactions_per_user=12.0, seed=0)
    layout = make_layout("pmap", jax.devices()[:devices], tables) if tables else None
    with pytest.raises(UserError, match=words):
        compare(config, dataset, tmp_path / "runs", ["onebp", last], [0, 1], layout, said.append)
    assert not said and not (tmp_path / "runs").exists()


def test_compare_measures_on_later_interactions_too(tmp_path):
    random = np.random.default_rng(0)
    users, items = np.divmod(random.choice(40 * 30, 600, replace=False), 30)
    for name, part in {"first.csv": slice(0, 500), "last.csv": slice(500, 600)}.items():
        rows = [f"{user},{item}\n" for user, item in zip(users[part], items[part], strict=True)]
        (tmp_path / name).write_text("user,item\n" + "".join([*rows, "new,1\n"] if name == "last.csv" else rows))
    data = ("--config=quickstart", f"--config.dataset={tmp_path / 'first.csv'}", "--methods=popularity,itemknn")
    process = run("compare", *data, f"--workdir={tmp_path / 'runs'}", f"--later={tmp_path / 'last.csv'}")
    assert process.returncode == 0, process.stderr
    known, text = set(users[:500]), process.stdout.split("\nOn ")
    count = sum(user in known for user in users[500:])
    assert (
        text[1].startswith(f"{count} later pairs of {len(known & set(users[500:]))} users") and "| itemknn" in text[1]
    )
    assert "1 are of users or items that it does not know" in process.stderr
    again = run("compare", *data, f"--workdir={tmp_path / 'runs'}", f"--later={tmp_path / 'first.csv'}")
    assert_one_line(again, 2, f"--later={tmp_path / 'first.csv'}: it has no new pair")
