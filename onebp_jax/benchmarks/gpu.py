"""What there is to know about one GPU, in at most ten minutes: tests, steps, epochs, ranking, power, and whether bits repeat.

    python -m onebp_jax.benchmarks.gpu --out=gpu_results                      in the root of a checkout, with $ONEBP_DATA_DIR
    JAX_PLATFORMS=cpu python -m onebp_jax.benchmarks.gpu --tiny --out=gpu_try      a try without a card: synthetic data, few steps

It needs pytest, pytest-xdist and hypothesis for the tests, and the data sets for the rest. A part that fails or is out of time is
a row of the table, and the others go on. `OUT/gpu.md` is the table, written after each row; `OUT/log.txt` has what
all parts printed. Watts are those of the whole card while a part runs, as nvidia-smi says them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

# Below `tests`: what must hold on a GPU too, `pytest -m gpu`. The other rooms run the same programs on the host, or read what the
# compiler has made for a CPU (engine/test_compiled_step.py), or need several devices (parallel). Single tests that are for a CPU
# say why in a `skipif`.
ON_GPU = ("updaters", "samplers", "losses", "encoders", "evaluation", "ops/test_repeated.py", "ops/test_rows.py")
ON_GPU += ("engine/test_step.py", "engine/test_oracle.py", "engine/test_batches.py", "engine/test_histories.py")

_BENCHMARK = "launch.benchmark_"


class Part(NamedTuple):
    """A command that is measured: `python -m ARGUMENTS`, for at most so many seconds, with these XLA flags beside the others."""

    name: str
    seconds: float
    arguments: list[str]
    xla_flags: str = ""


def parts(tiny: bool) -> list[Part]:
    """The tests, and the benchmarks whose printed tables are taken over."""
    step, tests = [_BENCHMARK + "step"], [f"tests/{path}" for path in ON_GPU]
    # What is launched together; by default not loops, in jax 0.10.2 and 0.12.
    buffers = "--xla_gpu_enable_command_buffer="
    if tiny:
        tests = ["tests/ops/test_repeated.py", "-k", "numpy", "-n", "0"]
        sizes = ["--num_users=200", "--num_items=300", "--num_pairs=4000", "--dim=8", "--batch_size=256", "--repeats=2"]
        return [
            Part("tests", 120, ["pytest", "-m", "gpu", "-q", *tests]),
            Part("steps", 120, step + sizes, buffers),
            Part("steps, 4 in a turn", 120, [*step, *sizes, "--unroll=4"]),
        ]
    both = ["--method=onebp,twobp", "--optimizer=dense,rowwise"]
    small = [*step, "--dataset=gowalla", "--dim=64", "--optimizer=dense,rowwise"]
    wide = ["--dim=256", "--batch_size=8192", "--shared_negatives=512,8192", "--optimizer=rowwise"]
    return [
        Part("steps", 40, [*step, "--dataset=gowalla", "--dim=64", *both]),
        Part("wide steps", 40, [*step, "--dataset=gowalla", "--dim=1024", *both]),
        Part("large steps", 40, [*step, "--dataset=gowalla", "--batch_size=65536", "--optimizer=rowwise"]),
        Part("shared negatives", 40, [*step, "--dataset=gowalla", *wide]),
        Part("ranking", 40, [_BENCHMARK + "ranking", "--dataset=gowalla", "--peer=none"]),
        Part("epochs of ml-100k", 40, _train("ml100k", "{work}/ml100k", 300, 100)),
        Part("epochs of gowalla-paper", 60, _train("gowalla_paper", "{work}/gowalla_paper", 6, 3)),
        Part("tests", 180, ["pytest", "-m", "gpu", "-v", "--tb=short", "-p", "no:cacheprovider", "-n", "8", *tests]),
        Part("steps without command buffers", 30, small, buffers),
        Part("steps, loops in command buffers too", 30, small, buffers + "+WHILE"),
        Part("steps, 4 in a turn", 30, [*small, "--unroll=4"]),
        *(
            Part(f"epochs of {config}", 40, _train(config, f"{{work}}/{config}", 4, 2))
            for config in ("ml1m", "gowalla", "yelp2018", "yelp2018_paper")
        ),
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


class Power:
    """The watts of the first card in a `with` block, read twice a second; none without nvidia-smi."""

    def __init__(self):
        self.watts, self._over = [], threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Power:
        self._thread.start()
        return self

    def __exit__(self, *failure) -> None:
        self._over.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._over.is_set() and (said := _ask("power.draw")):
            with contextlib.suppress(ValueError):  # a card that does not know
                self.watts.append(float(said))
            self._over.wait(0.5)

    def said(self) -> str:
        """The median and the most; empty if nothing was measured."""
        return f"{statistics.median(self.watts):.0f}, {max(self.watts):.0f}" if self.watts else ""


class Clock:
    """Runs commands while there is time.

    Attributes:
      out: the folder of the table and the log. work: that of all runs, which is thrown away. end: when time is over.
    """

    def __init__(self, out: Path, work: Path, limit: float):
        self.out, self.work, self.end = out, work, time.monotonic() + limit
        self.card = _ask("name,driver_version") or "none"
        self.rows, self.shown = [], []

    def run(self, part: Part, lines: int = 0) -> bool:
        """Whether the command succeeded. Its last lines go to the page: so many of them, or some if it failed."""
        started, left = time.monotonic(), self.end - time.monotonic()
        said, watts = "not run: out of time", ""
        if left > 5:
            seconds = min(part.seconds, left)
            command = [sys.executable, "-m", *(argument.format(work=self.work) for argument in part.arguments)]
            flags = {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {part.xla_flags}".strip()}
            with open(self.work / "part.log", "w") as log, Power() as power:
                try:
                    status = subprocess.run(
                        command, stdout=log, stderr=subprocess.STDOUT, timeout=seconds, env=os.environ | flags
                    ).returncode
                    said = "done" if status == 0 else f"exit status {status}"
                except subprocess.TimeoutExpired:
                    said = f"stopped after {seconds:.0f} s"
            watts = power.said()
            self.keep(part.name, lines if said == "done" else max(lines, 8))
        self.say(part.name, said, time.monotonic() - started, watts)
        return said == "done"

    def killed(self, part: Part, folder: Path) -> bool:
        """Starts the command and kills it when the first checkpoint is there; whether it was killed before its end."""
        command = [sys.executable, "-m", *part.arguments]
        has_one = lambda: any(one.name.isdecimal() for one in folder.glob("checkpoints/*"))
        with open(self.work / "part.log", "w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
            until = min(self.end, time.monotonic() + part.seconds)
            while process.poll() is None and time.monotonic() < until and not has_one():
                time.sleep(0.02)
            early = process.poll() is None and has_one()
            process.kill()
            process.wait()
        self.keep(part.name, 0)
        self.say(part.name, "killed in the middle" if early else "not killed: it had ended, or has no checkpoint", 0)
        return early

    def keep(self, name: str, lines: int) -> None:
        """Adds what a part printed to the log, and its last lines to the page."""
        printed = (self.work / "part.log").read_text(errors="replace")
        with open(self.out / "log.txt", "a") as log:
            log.write(f"== {name}\n{printed}\n")
        if lines:
            self.shown += ["", f"## {name}", "", *(line[:400] for line in printed.splitlines()[-lines:])]

    def say(self, name: str, said: str, seconds: float, watts: str = "") -> None:
        """A row of the table; the page is written anew."""
        self.rows.append(f"| {name} | {said} | {seconds:.1f} | {watts} |")
        print(self.rows[-1], flush=True)
        head = [f"Card: {self.card}. Made by `python -m onebp_jax.benchmarks.gpu`.", ""]
        table = ["| part | result | seconds | watts: median, most |", "| --- | --- | --- | --- |", *self.rows]
        (self.out / "gpu.md").write_text("\n".join(head + table + self.shown) + "\n")


def compare_bits(clock: Clock, tiny: bool) -> None:
    """Each kind of run twice; the first one once more, killed and started again."""
    config, epochs, every = ("quickstart", 3, 1) if tiny else ("ml100k", 20, 5)
    for number, (name, fields) in enumerate(kinds(tiny).items()):
        turns = ("first", "second", "killed", "resumed")
        folders = [clock.work / f"{number}-{turn}" for turn in ("first", "second", "killed", "killed")]
        commands = [
            Part(f"{name}: {turn}", 90, _train(config, str(folder), epochs, every, *fields))
            for turn, folder in zip(turns, folders, strict=True)
        ]
        made = [clock.run(command) for command in commands[:2]]
        if all(made):
            clock.say(f"{name}: same seed, two processes", same(*folders[:2]), 0)
        if number == 0 and made[0] and clock.killed(commands[2], folders[2]) and clock.run(commands[3]):
            clock.say(f"{name}: killed and resumed", same(folders[0], folders[3]), 0)


def same(one: Path, other: Path) -> str:
    """Whether two runs have the same vectors, bit by bit; why, if they cannot be compared."""
    try:
        with np.load(one / "embeddings.npz") as first, np.load(other / "embeddings.npz") as second:
            differ = [name for name in ("user", "item") if first[name].tobytes() != second[name].tobytes()]
            away = max(float(np.abs(first[name] - second[name]).max()) for name in ("user", "item"))
    except (OSError, ValueError, KeyError) as error:
        return f"not compared: {error}"
    return f"OTHER BITS: {', '.join(differ)}, by at most {away:.1e}" if differ else "the same bits"


def _ask(fields: str) -> str:
    """What nvidia-smi says of the first card; nothing if it is not there or fails."""
    if shutil.which("nvidia-smi") is None:
        return ""
    ask = ["nvidia-smi", "--id=0", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
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
    if shutil.which("nvidia-smi"):  # as the programs do: products that are timed may differ from process to process
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_autotune_level=0".strip()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as work:
        clock = Clock(out, Path(work), given.limit)
        compare_bits(clock, given.tiny)
        for part in parts(given.tiny):
            clock.run(part, lines=14)
    print(f"wrote {out / 'gpu.md'}")


if __name__ == "__main__":
    main()
