"""Trains several methods with several seeds on one data set and prints one table: mean and standard deviation.

    onebp compare --config=quickstart --workdir=runs/quickstart
    onebp compare --config=ml100k --workdir=runs/ml100k --config.protocol=paper_oracle \\
        --methods=onebp,onebp:duplicates=last,twobp,user_only --seeds=0,1,2,3,4

Each run has a folder of its own below --workdir; the same command resumes after a stop. Exit status as for onebp train.
"""

import re
from pathlib import Path

from absl import flags

from onebp_jax.cli import devices, program
from onebp_jax.data import Dataset
from onebp_jax.errors import UserError
from onebp_jax.experiments.compare import check_rows, compare
from onebp_jax.training import run_folder

program.define_config()
devices.define_layout()
_WORKDIR = program.define_path("workdir", "Folder of the runs; made if missing.")
_METHODS = flags.DEFINE_list(
    "methods",
    "own,onebp,twobp,popularity",
    "Rows of the table: METHOD or METHOD:FIELD=VALUE, comma separated; own is the config of that name.",
)
_SEEDS = flags.DEFINE_list("seeds", "0", "Seeds of each row, comma separated.")
_LATER = program.define_path(
    "later", "Also measure on these later interactions, a file as --config.dataset, of users and items of the data."
)
_OUT = program.define_path("out", "Also write the table to this Markdown file.")


def main() -> None:
    config = program.read_config()
    workdir = Path(program.need("workdir", _WORKDIR.value, "runs/quickstart"))
    if not all(seed.isdigit() for seed in _SEEDS.value):
        raise UserError(f"--seeds={','.join(_SEEDS.value)}: expected whole numbers, comma separated")
    seeds = [int(seed) for seed in _SEEDS.value]
    program.check_out(_OUT.value)
    check_rows(config, _METHODS.value, seeds)
    layout = devices.layout()
    dataset, later = program.load_data(config, flags.FLAGS.data_dir), None
    if _LATER.value:
        fields = {
            "dataset": _LATER.value,
            "split": "none",
            "min_user_items": 0,
            "min_item_users": 0,
            "stream_window": 0,
        }
        (more := config.copy_and_resolve_references()).update(fields)
        try:
            later = program.load_data(more, flags.FLAGS.data_dir)
        except UserError as error:
            raise UserError(re.sub("^dataset=", "later=", str(error))) from error
        assert isinstance(later, Dataset)  # with stream_window=0
    text = compare(config, dataset, workdir, _METHODS.value, seeds, layout, later=later)
    print("\n" + text)
    if _OUT.value:
        run_folder.write_atomically(Path(_OUT.value), lambda file: file.write((text + "\n").encode()))


if __name__ == "__main__":
    program.run(main, __doc__)
