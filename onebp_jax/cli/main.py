"""`onebp PROGRAM ...`: runs a program of `launch/` in any folder. It loads JAX only with the program."""

from __future__ import annotations

import runpy
import sys

import onebp_jax
from onebp_jax.cli.shipped import shipped
from onebp_jax.errors import nearest, one_of

# What follows `onebp` -> what it does. "benchmark step" is launch/benchmark_step.py.
PROGRAMS = {
    "train": "one method on one data set, in a folder of its own",
    "compare": "several methods and seeds, one table",
    "recommend": "top-k lists for some users or for all",
    "similar": "the most similar items of an item, or users of a user",
    "serve": "an HTTP service: events in, recommendations out, and a page to look at",
    "evaluate": "measure a finished run again, on any part of its data",
    "export": "vectors of users and items with their original ids",
    "sweep": "search settings of several methods on validation",
    "analyse": "finished runs as the paper looks at them: genres, latent types, pictures",
    "report": "one page about finished runs: tables with intervals, curves, lists, commands",
    "prepare": "filter, split and number a log larger than memory, for training from files",
    "reproduce": "a table of the paper, each row tuned with the same budget",
    "doctor": "what is installed: versions, devices, data folders, extras",
    "benchmark step": "time of a training step, beside its memory traffic",
    "benchmark ranking": "time of top-k lists, beside another library",
    "benchmark quality": "quality against time, beside implicit's ALS and BPR",
    "benchmark serving": "lists and durable events a second of the service",
}


def main() -> None:
    """Runs the program that the first words of the command line name; `--help` and `--version` are answered here."""
    words = sys.argv[1:]
    if not words or words[0] in ("--help", "-h", "-help", "help"):
        print(_listing())
        return
    if words[0] == "--version":
        print(f"onebp_jax {onebp_jax.__version__}")
        return
    length = 2 if words[0] == "benchmark" else 1
    name, rest = " ".join(words[:length]), words[length:]
    if name not in PROGRAMS:
        print(f"error: {_unknown(name)}", file=sys.stderr)
        sys.exit(2)
    file = shipped("launch") / f"{name.replace(' ', '_')}.py"
    sys.argv = [str(file), *rest]
    # A config file may import modules of the current folder, as under `python -m`. At the end: they hide no package.
    sys.path.append("")
    runpy.run_path(str(file), run_name="__main__")


def _listing() -> str:
    lines = [f"  {name:<18} {text}" for name, text in PROGRAMS.items()]
    start = "onebp compare --config=quickstart --workdir=runs/quickstart"
    ends = ["onebp PROGRAM --help shows the flags of a program. A first run, in seconds:", f"\n  {start}"]
    return "\n".join(["Usage: onebp PROGRAM --FLAG=VALUE ...", "", *lines, "", *ends])


def _unknown(name: str) -> str:
    if name.startswith("-"):
        return f"{name}: the program comes first, as in onebp train {name}; onebp --help lists the programs"
    if name.split()[0] == "benchmark":
        known = [program.removeprefix("benchmark ") for program in PROGRAMS if program.startswith("benchmark ")]
        given = name.removeprefix("benchmark").strip()
        return f"onebp {name}: expected {one_of(given, known)} after benchmark"
    return f"unknown program {name!r}{nearest(name, PROGRAMS)}: onebp --help lists the programs"


if __name__ == "__main__":
    main()
