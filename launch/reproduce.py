"""Reproduces a table of the paper on one data set: tunes each row on validation with the same budget, then runs several seeds.

    onebp reproduce --table=2 --config=ml100k_table --workdir=runs/table2 --out=results/table2_ml100k.json
    onebp reproduce --table=3 --config=ml100k_table --workdir=runs/table2 --out=results/table3_ml100k.json
    onebp reproduce --table=2 --config=ml100k_table --workdir=runs/table2 --methods=ease,itemknn

It runs both protocols: `honest`, and `paper_oracle` to compare with the paper's numbers (on the paper's own split only). It
writes --out after each row, and at the end a Markdown table of the same name beside it; rows that are already in --out stay. All
runs are folders below --workdir; the same command resumes after a stop. Exit status as for onebp train.
"""

from pathlib import Path

from absl import flags, logging

from onebp_jax.cli import devices, program
from onebp_jax.errors import UserError
from onebp_jax.experiments.compare import variant
from onebp_jax.experiments.report import markdown
from onebp_jax.experiments.reproduce import reproduce, rows_of
from onebp_jax.training import run_folder

program.define_config()
devices.define_layout()
_WORKDIR = program.define_path("workdir", "Folder of the runs; made if missing.")
_TABLE = flags.DEFINE_integer("table", 2, "The number of the paper's table: 2 or 3.")
_METHODS = flags.DEFINE_list("methods", "", "Names of methods, comma separated; empty for the rows of the table.")
_TRIALS = flags.DEFINE_integer("trials", 9, "Trials of each row; the first has the settings of the config.")
_SEEDS = flags.DEFINE_list("seeds", "0,1,2", "Seeds of the final runs.")
_OUT = program.define_path("out", "The JSON file of rows; if not given, tableN.json in --workdir.")


def main() -> None:
    config = program.read_config()
    workdir = Path(program.need("workdir", _WORKDIR.value, "runs/table2"))
    rows, missing = rows_of(_TABLE.value, _METHODS.value)
    seeds = _SEEDS.value
    if not seeds or not all(seed.isdigit() for seed in seeds) or len(set(map(int, seeds))) < len(seeds):
        raise UserError(f"--seeds={','.join(seeds)}: expected whole numbers, each of them once, comma separated")
    if _TRIALS.value < 1:
        raise UserError(f"--trials={_TRIALS.value}: expected at least 1")
    program.check_out(_OUT.value)
    for method in rows.values():
        variant(config, method, config.seed, "methods")
    layout = devices.layout()
    dataset = program.load_data(config, flags.FLAGS.data_dir)
    out = Path(_OUT.value or workdir / f"table{_TABLE.value}.json")
    if missing:
        logging.warning("this version has no methods for these rows: %s", ", ".join(missing))
    budget = (_TRIALS.value, [int(seed) for seed in seeds])
    done = reproduce(config, dataset, workdir, _TABLE.value, rows, *budget, out, layout)
    text = markdown(done, _TABLE.value, config.dataset)
    run_folder.write_atomically(out.with_suffix(".md"), lambda file: file.write(text.encode()))
    print(f"\n{text}\nrows in {out}")


if __name__ == "__main__":
    program.run(main, __doc__)
