"""Measures a finished run on a split of its data set.

    onebp evaluate --workdir=runs/ml100k
    onebp evaluate --workdir=runs/ml100k --split=validation --out=validation.json
    onebp evaluate --workdir=runs/clicks --dataset=later.csv

Exit status: 0 done, 2 bad flags, folder or data.
"""

from pathlib import Path

from absl import flags

from onebp_jax import serving
from onebp_jax.cli import devices, program
from onebp_jax.experiments import report
from onebp_jax.parallel import processes
from onebp_jax.serving.recommend import SPLITS
from onebp_jax.training import run_folder
from onebp_jax.training.run_data import OTHER_DATA

_WORKDIR = program.define_path("workdir", "The folder of a finished run.")
_SPLIT = flags.DEFINE_enum("split", "test", SPLITS, "The part to measure on.")
_OUT = program.define_path("out", "Also write the metrics to this JSON file.")
program.define_run_data()
devices.define_layout()


def main() -> None:
    program.check_out(_OUT.value)
    layout = devices.layout()
    workdir = program.need("workdir", _WORKDIR.value, "runs/quickstart")
    run = run_folder.read_run(workdir)
    dataset = program.load_run_data(workdir, run, flags.FLAGS.data_dir)
    metrics = serving.evaluate(run, dataset, _SPLIT.value, layout)
    if not processes.is_lead():
        return
    result, part = run.result, f"{run.result['dataset']}, {_SPLIT.value} split"
    if dataset.split.startswith(OTHER_DATA) and _SPLIT.value == "test":
        part = dataset.split
    print(f"{result['label']} on {part}, epoch {result['epoch']}\n")
    print(report.by_length(metrics))
    if _OUT.value:
        run_folder.write_json(Path(_OUT.value), metrics)


if __name__ == "__main__":
    program.run(main, __doc__)
