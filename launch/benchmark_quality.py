"""Measures wall time against test NDCG@20: our methods beside implicit's ALS and BPR, on the same cores in one run.

    onebp benchmark quality --config=gowalla --method=onebp_spectral --out=quality.json --plot=quality.png
    onebp benchmark quality --config=gowalla_pairs --method=onebp,twobp --als=64:100:40,256:100:40 --bpr=64:0.02:300

Our rows are those of --method (NAME or NAME:FIELD=VALUE); --als takes FACTORS:REGULARIZATION:ALPHA, --bpr takes
FACTORS:LEARNING_RATE:EPOCHS. Every curve is measured on the test set, and the best point of each is chosen there.
Needs the extra `bench`. Exit status: 0 done, 2 bad flags, config or data.
"""

import math
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as implicit advises; must come before NumPy is loaded

from pathlib import Path

from absl import flags

from onebp_jax.benchmarks import quality
from onebp_jax.benchmarks.peers import load_implicit, machine
from onebp_jax.cli import devices, program
from onebp_jax.config import as_plain
from onebp_jax.errors import UserError
from onebp_jax.evaluation.protocols import CRITERION
from onebp_jax.experiments import report
from onebp_jax.experiments.compare import variant
from onebp_jax.training import run_folder
from onebp_jax.training.versions import versions

_METHOD = flags.DEFINE_list("method", "onebp,twobp", "Our rows: NAME or NAME:FIELD=VALUE, comma separated.")
_ALS = flags.DEFINE_list("als", "64:100:40,256:100:40", "implicit ALS: FACTORS:REGULARIZATION:ALPHA.")
_BPR = flags.DEFINE_list("bpr", "64:0.02:300", "implicit BPR: FACTORS:LEARNING_RATE:EPOCHS.")
_OUT = program.define_path("out", "Also write every point to this JSON file.")
_PLOT = program.define_path("plot", "Also draw the curves into this PNG file.")
program.define_config()
devices.define_layout(several_processes=False)


def _numbers(flag: str, text: str) -> tuple[int, float, float]:
    try:
        factors, second, third = text.split(":")
        factors, second, third = int(factors), float(second), float(third)
    except ValueError as error:
        raise UserError(f"--{flag}={text}: expected three numbers separated by colons; see --help") from error
    if factors < 1 or not 0 <= second < math.inf or not 0 < third < math.inf:
        raise UserError(f"--{flag}={text}: expected one factor or more, then a number from 0 on and one above 0")
    return factors, second, third


def main() -> None:
    program.check_out(_OUT.value, _PLOT.value)
    config = program.read_config()
    als = [_numbers("als", text) for text in _ALS.value]
    bpr = [_numbers("bpr", text) for text in _BPR.value]
    for text, (_, rate, epochs) in zip(_BPR.value, bpr, strict=True):
        if not (rate > 0 and epochs >= 1):
            raise UserError(f"--bpr={text}: expected a learning rate above 0 and one epoch or more")
    if als or bpr:
        load_implicit()
    for spec in _METHOD.value:
        variant(config, spec, config.seed)
    layout = devices.layout()
    dataset = program.load_data(config, flags.FLAGS.data_dir)
    say = lambda line: print(line, flush=True)
    curves = [
        quality.own_curve(variant(config, spec, config.seed), dataset, spec, say, layout) for spec in _METHOD.value
    ]
    for factors, regularization, alpha in als:
        settings = {"factors": factors, "regularization": regularization, "alpha": alpha, "iterations": 15}
        curves.append(quality.implicit_curve("als", dataset, 1, say, **settings))
    for factors, rate, epochs in bpr:
        settings = {"factors": factors, "learning_rate": rate, "iterations": int(epochs)}
        curves.append(quality.implicit_curve("bpr", dataset, max(1, int(epochs) // 20), say, **settings))
    rivals = [curve.best[2] for curve in curves if curve.label.startswith("implicit BPR")]
    rows = []
    for curve in curves:
        epoch, seconds, value = curve.best
        row = {"best NDCG@20": value, "at epoch": epoch, "after s": seconds, "train s": curve.points[-1][1]}
        past = curve.seconds_to(max(rivals)) if rivals else None
        row |= {"past BPR's best after s": past} if past is not None else {}
        rows.append((curve.label, [row | {"compile s": curve.compile_s}]))
    columns = ("best NDCG@20", "at epoch", "after s", "train s", "past BPR's best after s", "compile s")
    print(f"\n{dataset.name} ({dataset.split}): curves on the test set, the best point of each chosen there. 1 seed.\n")
    print(report.table(rows, columns))
    if _PLOT.value:
        quality.plot(curves, f"{dataset.name}: quality against time", _PLOT.value)
    if _OUT.value:
        made_by = {"machine": machine(), "versions": versions()}
        shared = {"dataset": dataset.name, "split": dataset.split, "config": as_plain(config)}
        shared |= {"devices": layout.num_devices, "tables": flags.FLAGS.tables} if layout else {"devices": 1}
        names = ("epoch", "train_s", CRITERION)
        value = [
            {"label": curve.label, "compile_s": curve.compile_s}
            | {"points": [dict(zip(names, point, strict=True)) for point in curve.points]}
            | shared
            | made_by
            for curve in curves
        ]
        run_folder.write_json(Path(_OUT.value), value)


if __name__ == "__main__":
    program.run(main, __doc__)
