"""The script that measures a GPU, with commands that do next to nothing and a card that is a shell script."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from support.programs import ROOT

from onebp_jax.benchmarks import gpu
from onebp_jax.benchmarks.gpu import Clock, Part, same
from onebp_jax.config import default_config

# `python -m stub WHAT`; `train` stands for a run, which stops in its middle in a folder that is to be killed.
STUB = """
import os, pathlib, sys, time
import numpy as np
what, *rest = sys.argv[1:]
print("flags:", os.environ.get("XLA_FLAGS", ""))
print(what, *rest)
if what == "fail":
    sys.exit(3)
if what == "sleep":
    time.sleep(60)
if what == "train":
    folder = pathlib.Path(rest[0])
    if folder.name.endswith("killed") and not folder.exists():
        (folder / "checkpoints" / "1").mkdir(parents=True)
        time.sleep(60)
    folder.mkdir(exist_ok=True)
    other = rest[1:] == ["other"] and folder.name.endswith("second")
    np.savez(folder / "embeddings.npz", user=np.ones(2), item=np.full(2, float(other)))
"""
# Of its power it says three things, then nothing.
CARD = """#!/bin/sh
case "$*" in
*power.draw*)
  echo >> "$0.asked"
  case $(wc -l < "$0.asked") in 1) echo 101.25 ;; 2) echo '[N/A]' ;; 3) echo 301 ;; esac ;;
*) echo 'A card, 1.0' ;;
esac
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """With the stub to run, and without a card."""
    (tmp_path / "stub.py").write_text(STUB)
    (tmp_path / "out").mkdir()
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    return tmp_path


def clock_of(folder, limit=100.0):
    return Clock(folder / "out", folder, limit)


def rows(folder):
    """`{part: (result, watts)}` of the page."""
    text = (folder / "out" / "gpu.md").read_text()
    found = re.findall(r"^\| ([^|]*) \| ([^|]*) \| [\d.]+ \| ([^|]*) \|$", text, re.MULTILINE)
    return {name: (said, watts) for name, said, watts in found}


def test_each_part_is_a_row_whatever_becomes_of_it(folder):
    clock = clock_of(folder)
    assert clock.run(Part("fine", 30, ["stub", "{work}", "a", "b"], "--some_flag=1"), lines=2)
    assert not clock.run(Part("failing", 30, ["stub", "fail"]))
    assert not clock.run(Part("slow", 1, ["stub", "sleep"]))
    clock.end = 0
    assert not clock.run(Part("late", 30, ["stub", "fine"]))
    said = {"fine": "done", "failing": "exit status 3", "slow": "stopped after 1 s", "late": "not run: out of time"}
    assert rows(folder) == {name: (result, "") for name, result in said.items()}
    page = (folder / "out" / "gpu.md").read_text()
    assert page.startswith("Card: none.")
    # The last lines of a part that succeeded, so many as asked for; those of one that failed in any case.
    assert f"## fine\n\nflags: --some_flag=1\n{folder} a b\n\n## failing\n\nflags: \nfail\n" in page
    assert "## late" not in page and "== slow" in (folder / "out" / "log.txt").read_text()


def test_watts_are_sampled_while_a_part_runs(folder):
    card = folder / "bin" / "nvidia-smi"
    card.write_text(CARD)
    card.chmod(0o755)
    clock_of(folder).run(Part("slow", 3, ["stub", "sleep"]))
    assert rows(folder) == {"slow": ("stopped after 3 s", "201, 301")}
    assert (folder / "out" / "gpu.md").read_text().startswith("Card: A card, 1.0.")


@pytest.mark.parametrize("second", ["alike", "other"])
def test_bits_are_compared_and_one_run_is_killed(second, folder, monkeypatch):
    monkeypatch.setattr(gpu, "_train", lambda config, path, *rest: ["stub", "train", path, second])
    gpu.compare_bits(clock_of(folder), tiny=True)
    found = {name: said for name, (said, _) in rows(folder).items()}
    assert found == {
        "onebp: first": "done",
        "onebp: second": "done",
        "onebp: same seed, two processes": "OTHER BITS: item, by at most 1.0e+00"
        if second == "other"
        else "the same bits",
        "onebp: killed": "killed in the middle",
        "onebp: resumed": "done",
        "onebp: killed and resumed": "the same bits",
    }


def test_a_run_that_ended_before_it_was_killed_is_not_compared(folder, monkeypatch):
    monkeypatch.setattr(gpu, "_train", lambda config, path, *rest: ["stub", "train", path.replace("killed", "short")])
    gpu.compare_bits(clock_of(folder), tiny=True)
    assert list(rows(folder).items())[-1] == ("onebp: killed", ("not killed: it had ended, or has no checkpoint", ""))


def test_runs_that_cannot_be_compared_say_why(tmp_path):
    assert same(tmp_path, tmp_path).startswith("not compared: ")
    np.savez(tmp_path / "embeddings.npz", user=np.ones(2))
    assert same(tmp_path, tmp_path).startswith("not compared: ")


def test_the_whole_script_with_stubs(folder, monkeypatch):
    monkeypatch.setattr(gpu, "_train", lambda config, path, *rest: ["stub", "train", path])
    monkeypatch.setattr(gpu, "parts", lambda tiny: [Part("a part", 30, ["stub", "fine"])])
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr(sys, "argv", ["gpu", "--tiny", f"--out={folder / 'out'}"])
    with pytest.raises(SystemExit):
        gpu.main()  # the folder is there
    (folder / "out").rmdir()
    gpu.main()
    assert rows(folder)["a part"] == ("done", "") and len(rows(folder)) == 7
    assert {path.name for path in (folder / "out").iterdir()} == {"gpu.md", "log.txt"}


@pytest.mark.parametrize("tiny", [True, False])
def test_the_commands_name_what_there_is(tiny):
    """Programs, their flags, configurations, fields and tests. The whole of --tiny is run by the study below."""
    commands = [part.arguments for part in gpu.parts(tiny)]
    commands += [gpu._train("ml100k", "folder", 1, 1, *fields) for fields in gpu.kinds(tiny).values()]
    for program, *arguments in commands:
        if program == "pytest":
            assert all((ROOT / path).exists() for path in arguments if path.startswith("tests/"))
            continue
        source = (ROOT / f"{program.replace('.', '/')}.py").read_text()
        source += (ROOT / "onebp_jax" / "cli" / "program.py").read_text()
        for name, value in (argument.removeprefix("--").split("=") for argument in arguments):
            if name == "config":
                assert (ROOT / "configs" / f"{value}.py").exists()
            elif name.startswith("config."):
                assert name.removeprefix("config.") in default_config()
            else:
                assert f'"{name}"' in source


@pytest.mark.study
def test_the_tiny_run(tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "onebp_jax.benchmarks.gpu", "--tiny", f"--out={out}"]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"JAX_PLATFORMS": "cpu"}, check=True, timeout=600)
    found = [said for said, _ in rows(tmp_path).values()]
    assert set(found) == {"done", "the same bits", "killed in the middle"} and len(found) == 9
