"""Trains one method on one data set, in a folder of its own.

    onebp train --config=ml100k --workdir=runs/ml100k
    onebp train --config=ml100k --workdir=runs/seed1 --config.seed=1 --config.method=twobp
    onebp train --config=ml100k --workdir=runs/grown --config.dataset=grown.csv --init=runs/ml100k

At the end the folder holds result.json (metrics of the chosen epoch), embeddings.npz (its vectors) and report.md. The same
command resumes a run that was stopped, with the same result as without the stop. With a larger --config.epochs it goes on with a
run that has ended; with --config.refit=True it then trains on all pairs, for the model that will be used.
Exit status: 0 done, 1 the run failed, 2 bad flags, config, data or folder, 128 + n stopped by signal n.
"""

import jax
from absl import flags, logging

from onebp_jax.cli import devices, program
from onebp_jax.config.by_size import closed
from onebp_jax.experiments import report
from onebp_jax.methods.build import check_method, unused_fields
from onebp_jax.parallel import processes
from onebp_jax.training import run_folder
from onebp_jax.training.events import check_tensorboard
from onebp_jax.training.train import train

program.define_config()
devices.define_layout()
_WORKDIR = program.define_path("workdir", "The run's own folder; made if missing.")

_INIT = program.define_path(
    "init", "The folder of a finished run whose vectors are the first rows, matched by original ids."
)


def main() -> None:
    config = program.read_config()
    check_method(config)
    check_tensorboard(config)
    layout = devices.layout()
    if layout is None:
        logging.info("one process, one device (%s)", jax.devices()[0].device_kind)
    workdir = program.need("workdir", _WORKDIR.value, "runs/quickstart")
    init = run_folder.read_run(_INIT.value, "init") if _INIT.value else None
    dataset = program.load_data(config, flags.FLAGS.data_dir)
    config = closed(config, dataset)
    if idle := unused_fields(config):
        settings = ", ".join(f"{field}={config[field]}" for field in idle)
        logging.warning("these fields have no effect on method=%s: %s", config.method, settings)
    result = train(config, dataset, workdir, layout, init)
    if not processes.is_lead():
        return
    seconds = result["seconds"]
    print(
        f"{result['label']} on {result['dataset']} ({result['split']}), seed {result['seed']}, epoch {result['epoch']}"
    )
    print(f"protocol {result['protocol']}: {result['selection']}\n")
    if metrics := result["metrics"] or result["validation"]:
        print(report.by_length(metrics) + "\n")
    if refit := result.get("refit"):
        print(f"refit: {refit['says']}\n")
    print(
        f"train {seconds['train']:.1f} s ({1e3 * seconds['per_epoch']:.1f} ms per epoch), eval {seconds['eval']:.1f} s, "
        f"compile {seconds['compile']:.1f} s; results in {workdir}"
    )


if __name__ == "__main__":
    program.run(main, __doc__)
