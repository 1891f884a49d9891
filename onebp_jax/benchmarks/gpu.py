"""What there is to know about one GPU, in at most ten minutes: tests, steps, epochs, ranking, and whether bits repeat.

    python -m onebp_jax.benchmarks.gpu --out=gpu_results                      in the root of a checkout, with $ONEBP_DATA_DIR
    JAX_PLATFORMS=cpu python -m onebp_jax.benchmarks.gpu --tiny --out=gpu_try      a try without a card: synthetic data, few steps

It needs pytest for the tests; ml-100k, gowalla and gowalla-paper for the rest. A part that fails or is out of time is a row of
the table, and the others go on. `OUT/gpu.md` is the table, `OUT/PART.log` what each part printed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

_BENCHMARK = "launch.benchmark_"


class Part(NamedTuple):
    """A command that is measured: `python -m ARGUMENTS`, for at most so many seconds."""

    name: str
    seconds: float
    arguments: list[str]


def parts(tiny: bool) -> list[Part]:
    """The tests, and the benchmarks whose printed tables are taken over."""
    step = [_BENCHMARK + "step"]
    if tiny:
        tests = ["tests/ops/test_repeated.py", "-k", "numpy", "-n", "0"]
        sizes = ["--num_users=200", "--num_items=300", "--num_pairs=4000", "--dim=8", "--batch_size=256", "--repeats=2"]
        return [Part("tests", 120, ["pytest", "-m", "gpu", "-q", *tests]), Part("steps", 120, step + sizes)]
    both = ["--method=onebp,twobp", "--optimizer=dense,rowwise"]
    wide = ["--dim=256", "--batch_size=8192", "--shared_negatives=512,8192", "--optimizer=rowwise"]
    return [
        Part("steps", 60, [*step, "--dataset=gowalla", "--dim=64,1024", *both]),
        Part("large steps", 40, [*step, "--dataset=gowalla", "--batch_size=65536", "--optimizer=rowwise"]),
        Part("shared negatives", 40, [*step, "--dataset=gowalla", *wide]),
        Part("ranking", 40, [_BENCHMARK + "ranking", "--dataset=gowalla", "--peer=none"]),
        Part("epochs of ml-100k", 40, _train("ml100k", "{out}/ml100k", 300, 100)),
        Part("epochs of gowalla-paper", 60, _train("gowalla_paper", "{out}/gowalla_paper", 6, 3)),
        Part("tests", 240, ["pytest", "-m", "gpu", "-q", "--tb=short", "-p", "no:cacheprovider", "-n", "8"]),
    ]


def _train(config: str, folder: str, epochs: int, every: int, *fields: str) -> list[str]:
    own = [f"--config.epochs={epochs}", f"--config.eval_every={every}", "--config.patience=0", *fields]
    return ["launch.train", f"--config={config}", f"--workdir={folder}", *own]


def kinds(tiny: bool) -> dict[str, list[str]]:
    """The runs whose bits are compared: each updater, a graph, whole histories."""
    if tiny:
        return {"onebp": ["--config.dim=8"]}
    return {
        "onebp": [],
        "twobp, rowwise": ["--config.method=twobp", "--config.optimizer=rowwise"],
        "lightgcn": ["--config.method=lightgcn"],
        "onebp_history": ["--config.method=onebp_history", "--config.shared_negatives=512", "--config.batch_size=128"],
    }


class Clock:
    """Runs commands while there is time."""

    def __init__(self, out: Path, limit: float):
        self.out, self.end, self.rows = out, time.monotonic() + limit, []

    def run(self, part: Part) -> bool:
        """Whether the command succeeded; what it printed lies in its file."""
        seconds = min(part.seconds, self.end - time.monotonic())
        started, said = time.monotonic(), "not run: out of time"
        if seconds > 5:
            command = [sys.executable, "-m", *(argument.format(out=self.out) for argument in part.arguments)]
            with open(self.log(part.name), "w") as log:
                try:
                    status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, timeout=seconds).returncode
                    said = "done" if status == 0 else f"exit status {status}"
                except subprocess.TimeoutExpired:
                    said = f"stopped after {seconds:.0f} s"
        self.say(part.name, said, time.monotonic() - started)
        return said == "done"

    def killed(self, part: Part, folder: Path) -> None:
        """Starts the command and kills it when the first checkpoint is there."""
        command = [sys.executable, "-m", *part.arguments]
        with open(self.log(part.name + " killed"), "w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
            until = time.monotonic() + part.seconds
            while process.poll() is None and time.monotonic() < until:
                if any(one.name.isdecimal() for one in folder.glob("checkpoints/*")):
                    break
                time.sleep(0.02)
            early = process.poll() is None
            process.kill()
            process.wait()
        self.say(part.name + ", killed", "killed in the middle" if early else "had ended: nothing was killed", 0)

    def log(self, name: str) -> Path:
        """The file for what a part prints."""
        return self.out / (name.replace(",", "").replace(" ", "_") + ".log")

    def say(self, name: str, said: str, seconds: float) -> None:
        """A row of the table."""
        self.rows.append(f"| {name} | {said} | {seconds:.1f} |")
        print(self.rows[-1], flush=True)


def compare_bits(clock: Clock, tiny: bool) -> None:
    """Each kind of run twice; the first one once more, killed and started again."""
    config, epochs, every = ("quickstart", 3, 1) if tiny else ("ml100k", 20, 5)
    for number, (name, fields) in enumerate(kinds(tiny).items()):
        folders = [clock.out / f"{name.split(',')[0]}-{turn}" for turn in ("one", "two", "killed")]
        commands = [Part(name, 90, _train(config, str(folder), epochs, every, *fields)) for folder in folders]
        made = [clock.run(command) for command in commands[:2]]
        if all(made):
            clock.say(f"{name}: same seed, two processes", same(*folders[:2]), 0)
        if number == 0 and made[0]:
            clock.killed(commands[2], folders[2])
            if clock.run(commands[2]):
                clock.say(f"{name}: killed and resumed", same(folders[0], folders[2]), 0)


def same(one: Path, other: Path) -> str:
    """Whether two runs have the same vectors, bit by bit."""
    with np.load(one / "embeddings.npz") as first, np.load(other / "embeddings.npz") as second:
        differ = [name for name in ("user", "item") if first[name].tobytes() != second[name].tobytes()]
        away = max(float(np.abs(first[name] - second[name]).max()) for name in ("user", "item"))
    return f"OTHER BITS: {', '.join(differ)}, by at most {away:.1e}" if differ else "the same bits"


def _card() -> str:
    ask = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version,power.draw", "--format=csv,noheader"]
    if shutil.which(ask[0]) is None:
        return "no card"
    return subprocess.run(ask, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Runs all parts and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="a new folder")
    parser.add_argument("--limit", type=float, default=570, help="seconds in all")
    parser.add_argument("--tiny", action="store_true", help="a try without a card")
    given = parser.parse_args()
    out = Path(given.out).resolve()
    if out.exists():
        parser.error(f"--out={given.out}: it exists, give a new folder")
    out.mkdir(parents=True)
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    clock = Clock(out, given.limit)
    compare_bits(clock, given.tiny)
    measured = parts(given.tiny)
    for part in measured:
        clock.run(part)
    text = [
        f"Card: {_card()}. Made by `python -m onebp_jax.benchmarks.gpu`.",
        "",
        "| part | result | seconds |",
        "| --- | --- | --- |",
    ]
    text += clock.rows
    for part in measured:
        if clock.log(part.name).exists():
            lines = clock.log(part.name).read_text().splitlines()
            text += ["", f"## {part.name}", "", *(line[:400] for line in lines[-14:])]
    (out / "gpu.md").write_text("\n".join(text) + "\n")
    print(f"wrote {out / 'gpu.md'}")


if __name__ == "__main__":
    main()
