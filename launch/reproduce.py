"""Makes a table of the paper again on one data set: every row tuned on validation with one budget, then run with several seeds.

    python -m launch.reproduce --table=2 --config=configs/ml100k_table.py --workdir=runs/table2 --out=results/table2_ml100k.json
    python -m launch.reproduce --table=3 --config=configs/ml100k_table.py --workdir=runs/table2 --out=results/table3_ml100k.json
    python -m launch.reproduce --table=2 --config=configs/ml100k_table.py --workdir=runs/table2 --methods=ease,itemknn

Both protocols are run: `honest`, and `paper_oracle` as the paper, to compare with its numbers (on its own split only). --out is
written after every row, a Markdown table of the same name beside it at the end; rows that are in it already stay. All runs are
folders below --workdir, and the same command goes on where it was stopped. Exit status as launch.train.
"""

from pathlib import Path

from absl import flags, logging

from onebp_jax.cli import devices, program
from onebp_jax.errors import UserError
from onebp_jax.experiments.reproduce import reproduce, rows_of
from onebp_jax.experiments.report import markdown
from onebp_jax.training import run_folder

program.define_config()
devices.define_layout()
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the runs; made if missing.")
_TABLE = flags.DEFINE_integer("table", 2, "Which table of the paper: 2 or 3.")
_METHODS = flags.DEFINE_list("methods", "", "Our names of methods, comma separated; empty for the rows of the table.")
_TRIALS = flags.DEFINE_integer("trials", 9, "Trials of every row, the first with the settings of the config.")
_SEEDS = flags.DEFINE_list("seeds", "0,1,2", "Seeds of the final runs.")
_OUT = flags.DEFINE_string("out", None, "The JSON file of rows; WORKDIR/tableN.json if not given.")


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
    layout = devices.layout()
    dataset = program.load_data(config, flags.FLAGS.data_dir)
    out = Path(_OUT.value or workdir / f"table{_TABLE.value}.json")
    if missing:
        logging.warning("rows whose methods are not in this version: %s", ", ".join(missing))
    budget = (_TRIALS.value, [int(seed) for seed in seeds])
    done = reproduce(config, dataset, workdir, _TABLE.value, rows, *budget, out, layout)
    text = markdown(done, _TABLE.value, config.dataset)
    run_folder.write_atomically(out.with_suffix(".md"), lambda file: file.write(text.encode()))
    print(f"\n{text}\nrows in {out}")


if __name__ == "__main__":
    program.run(main, __doc__)
