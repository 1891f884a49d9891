"""How runs were made: learning curves, time, sizes, and the commands that make them again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from onebp_jax.config import OPERATIONAL, PARTS, as_plain, default_config
from onebp_jax.data.catalogue import NAMES
from onebp_jax.evaluation.protocols import CRITERION
from onebp_jax.experiments.settings import flat
from onebp_jax.reports.runs import Run, Runs

# What `Recommender` sets where nothing is given.
_PYTHON = {"split": "none", "refit": True}


def curves(found: Runs) -> pd.DataFrame:
    """Every evaluation of every run: model, seed, split, epoch, seconds, loss, value (of the criterion), chosen."""
    rows = []
    for run in found.runs:
        for line in run.evaluations:
            value = (line.get("metrics") or {}).get(CRITERION, float("nan"))
            epoch, split = line["epoch"], line.get("split") or "none"
            chosen = epoch == run.result["epoch"]
            rows.append((run.name, run.seed, split, epoch, line.get("seconds", 0.0), line["loss"], value, chosen))
    columns = ["model", "seed", "split", "epoch", "seconds", "loss", "value", "chosen"]
    return pd.DataFrame(rows, columns=columns)


def speed(found: Runs) -> pd.DataFrame:
    """Time and size of every run: a row for each run; what a method without training has not is missing.

    The columns: epoch (the chosen one), epochs (done), step_ms, epoch_ms, to_best_s (training and evaluation up to the chosen
    epoch), prepare_s, train_s, eval_s, compile_s, total_s (their sum), vector_mb (of users and items, as the run folder holds
    them).
    """
    rows = []
    for run in found.runs:
        clocks, epochs, last = run.result["seconds"], run.result.get("epochs_done", 0), (run.evaluations or [None])[-1]
        steps = last["step"] / last["epoch"] if last and last["epoch"] else None
        to_best = [
            line["seconds"] for line in run.evaluations if line["epoch"] == run.result["epoch"] and "seconds" in line
        ]
        parts = {f"{name}_s": clocks.get(name, 0.0) for name in ("prepare", "train", "eval", "compile")}
        rows.append(
            {
                "model": run.name,
                "seed": run.seed,
                "epoch": run.result["epoch"] if epochs else None,
                "epochs": epochs or None,
                "step_ms": 1e3 * clocks["per_epoch"] / steps if steps and "per_epoch" in clocks else None,
                "epoch_ms": 1e3 * clocks["per_epoch"] if epochs and "per_epoch" in clocks else None,
                "to_best_s": to_best[0] if to_best else None,
                **parts,
                "total_s": sum(parts.values()),
                "vector_mb": run.vector_bytes / 1e6,
            }
        )
    return pd.DataFrame(rows)


def command(run: Run, bases: Mapping[str, dict]) -> str:
    """What makes a run again, in a shell or in Python.

    Args:
      bases: name -> plain values of the configs of `onebp train --config=NAME`: the one with the fewest other fields is taken.
        Without any, or for a run on data in memory or with functions of a user's own, the line is in Python.
    """
    plain = flat(as_plain(run.config))
    from_file = plain["dataset"] in NAMES or Path(str(plain["dataset"])).exists()
    own_functions = any(":" in str(plain[field]) for field in ("method", "transform", *PARTS))
    if not bases or not from_file or own_functions:
        return _in_python(run, str(plain["dataset"]) if from_file else None)
    flags = {name: _overrides(flat(base), plain) for name, base in bases.items()}
    name, given = min(((name, one) for name, one in flags.items() if one is not None), key=lambda pair: len(pair[1]))
    return shlex.join(["onebp", "train", f"--config={name}", *given, f"--workdir={run.folder}"])


def _overrides(base: dict, plain: dict) -> list[str] | None:
    """The flags that make a configuration of a base; None if there are none: a flag cannot take a value away."""
    found = []
    for field in dict.fromkeys([*plain, *base]):
        then, now = base.get(field), plain.get(field)
        if field in OPERATIONAL or then == now:
            continue
        if now is None:
            return None
        found.append(f"--config.{field}={now}")
    return found


def _in_python(run: Run, data: str | None) -> str:
    default = as_plain(default_config()) | _PYTHON
    plain = as_plain(run.config)
    given = {
        name: value for name, value in plain.items() if value != default[name] and name not in (*OPERATIONAL, "dataset")
    }
    method = given.pop("method", plain["method"])
    fields = ", ".join([f"method={method!r}", *(f"{name}={value!r}" for name, value in given.items())])
    return f"Recommender({fields}).fit({'data' if data is None else repr(data)}, workdir={run.folder!r})"
