"""Searches settings of several methods on validation, with the same number of trials for each.

    onebp sweep --config=ml100k --methods=onebp,twobp --trials=6 --workdir=runs/sweep \\
        '--space=learning_rate=1e-4:1e-2:log,l2=0|1e-6|1e-5|1e-4'

FIELD=a|b|c draws one of these, FIELD=low:high draws uniformly, FIELD=low:high:log log-uniformly; options.NAME is an option of a
method. The first trial of each method is the config as it is. No trial reads the test set: train with the chosen settings to do
that. Each trial is a run folder below --workdir, and sweep.json there lists all trials; the same command resumes after a stop.
Exit status as for onebp train.
"""

from pathlib import Path

from absl import flags

from onebp_jax.cli import devices, program
from onebp_jax.errors import UserError
from onebp_jax.experiments import search_space, sweep
from onebp_jax.experiments.sweep import SEARCHES

program.define_config()
devices.define_layout()
_WORKDIR = program.define_path("workdir", "Folder of the trials; made if missing.")
_METHODS = flags.DEFINE_list("methods", "onebp,twobp", "Names of methods, comma separated.")
_SPACE = flags.DEFINE_string(
    "space", "learning_rate=1e-4:1e-2:log,l2=0|1e-6|1e-5|1e-4", "The fields to search and their values."
)
_TRIALS = flags.DEFINE_integer("trials", 6, "Trials of each method; the first has the settings of the config.")
_SEARCH = flags.DEFINE_enum(
    "search", "random", SEARCHES, "How settings are chosen: grid takes every combination of values."
)
_SEARCH_SEED = flags.DEFINE_integer("search_seed", 0, "Seed of the random search.")


def main() -> None:
    config = program.read_config()
    workdir = Path(program.need("workdir", _WORKDIR.value, "runs/sweep"))
    space = search_space.parse(_SPACE.value)
    for name, value, least in (("trials", _TRIALS.value, 1), ("search_seed", _SEARCH_SEED.value, 0)):
        if value < least:
            raise UserError(f"--{name}={value}: expected at least {least}")
    search = (_METHODS.value, space, _TRIALS.value, _SEARCH.value, _SEARCH_SEED.value)
    sweep.plan(config, workdir, *search)
    layout = devices.layout()
    dataset = program.load_data(config, flags.FLAGS.data_dir)
    report = sweep.sweep(config, dataset, workdir, *search, layout)
    print(f"\n{sweep.table(report)}\n\nall trials in {workdir / 'sweep.json'}")


if __name__ == "__main__":
    program.run(main, __doc__)
