"""The benchmark of the ranking: same lists on both sides, a row of numbers, one line for bad input."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
from support.programs import assert_one_line, run

from onebp_jax.benchmarks import ranking as bench
from onebp_jax.data import generate
from onebp_jax.errors import UserError

INSTALLED = importlib.util.find_spec("implicit") is not None
needs_implicit = pytest.mark.skipif(not INSTALLED, reason="the package implicit (extra `bench`) is not installed")
PEERS = ["numpy", pytest.param("implicit", marks=needs_implicit)]


@pytest.fixture(scope="module")
def dataset():
    return generate(num_users=60, num_items=40, seed=1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("k", [1, 7, 40])
def test_both_sides_make_the_same_lists(dataset, peer, k):
    # k = 40: every user runs out of items, and both say so in the same way.
    tables = bench.random_tables(60, 40, 8)
    mine, compile_s = bench.ours(*tables, dataset.train, k)
    np.testing.assert_array_equal(mine(), bench.PEERS[peer](*tables, dataset.train, k)())
    assert compile_s > 0


def test_a_row_has_its_columns(dataset):
    row = bench.benchmark_ranking(dataset, dim=4, k=5, peer="numpy", repeats=2)
    assert set(row) == {"seconds", "compile_s", "peer_seconds", "ratio", "same"}
    assert row["same"] == 1 and row["ratio"] == pytest.approx(row["seconds"] / row["peer_seconds"])
    assert set(bench.benchmark_ranking(dataset, dim=4, k=5, peer="none", repeats=1)) == {"seconds", "compile_s"}


def test_different_lists_are_not_compared(dataset, monkeypatch):
    monkeypatch.setitem(bench.PEERS, "numpy", lambda user, item, seen, k: lambda: np.zeros((len(user), k), int))
    with pytest.raises(UserError, match="of the places of the lists are the same"):
        bench.benchmark_ranking(dataset, dim=4, k=5, peer="numpy", repeats=1)


@pytest.mark.parametrize(("k", "peer", "message"), [(41, "numpy", "has 40 items"), (5, "numpi", "expected one of")])
def test_bad_arguments(dataset, k, peer, message):
    with pytest.raises(UserError, match=message):
        bench.benchmark_ranking(dataset, dim=4, k=k, peer=peer, repeats=1)


@pytest.mark.skipif(INSTALLED, reason="the package implicit is installed")
def test_a_missing_peer_is_named(dataset):
    with pytest.raises(UserError, match=r"needs the package implicit: .*\[bench\]"):
        bench.benchmark_ranking(dataset, dim=4, k=5, peer="implicit", repeats=1)


def test_the_program(tmp_path):
    out = tmp_path / "ranking.json"
    flags = ("--dataset=synthetic", "--dim=8", "--k=5", "--peer=numpy", "--repeats=2", f"--out={out}")
    process = run("benchmark_ranking", *flags)
    assert process.returncode == 0, process.stderr
    assert "ratio" in process.stdout and "| synthetic" in process.stdout
    (row,) = json.loads(out.read_text())
    assert row["same"] >= bench.ENOUGH and row["versions"]["jax"] and row["machine"]["cores"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--dataset", "missing"]),
        (["--dataset=gowala"], ["gowala"]),
        (["--dataset=synthetic", "--peer=faiss"], ["faiss", "numpy"]),
        (["--dataset=synthetic", "--k=0"], ["k", "0"]),
        (["--dataset=synthetic", "--k=100000", "--peer=none"], ["100000", "items"]),
        (["--dataset=synthetic", "--peer=none", "--repeats=1", "--out=/nowhere/x.json"], ["/nowhere"]),
    ],
    ids=lambda value: value[-1] if value and isinstance(value, list) else "nothing",
)
def test_bad_input_is_one_line(arguments, words):
    assert_one_line(run("benchmark_ranking", *arguments), 2, *words)
