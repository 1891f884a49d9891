"""Measures a finished run on a split of its data set.

    onebp evaluate --workdir=runs/ml100k
    onebp evaluate --workdir=runs/ml100k --split=validation --out=validation.json

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
    metrics = serving.evaluate(run, program.load_run_data(workdir, run, flags.FLAGS.data_dir), _SPLIT.value, layout)
    if not processes.is_lead():
        return
    result = run.result
    print(f"{result['label']} on {result['dataset']}, {_SPLIT.value} split, epoch {result['epoch']}\n")
    print(report.by_length(metrics))
    if _OUT.value:
        run_folder.write_json(Path(_OUT.value), metrics)


if __name__ == "__main__":
    program.run(main, __doc__)
