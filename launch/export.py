"""Writes the vectors of a finished run with their original ids.

    onebp export --workdir=runs/ml100k --out=vectors.npz
    onebp export --workdir=runs/ml100k --out=vectors.parquet     (vectors_user.parquet, vectors_item.parquet)

A user's score for an item is the dot product of their vectors. A user with several vectors scores by the best of them: the
array `user` is then [users, vectors, dim], and a table of users has one row per vector, numbered from 0 in the column `interest`.
The program computes nothing; of several processes the first one writes.
Exit status: 0 done, 2 bad flags or folder.
"""

from pathlib import Path

from onebp_jax import serving
from onebp_jax.cli import devices, program
from onebp_jax.parallel import processes
from onebp_jax.training import run_folder

_WORKDIR = program.define_path("workdir", "The folder of a finished run.")
_OUT = program.define_path("out", "A name ending in .npz, .csv, .tsv or .parquet.")
devices.define_layout()


def main() -> None:
    out = Path(program.need("out", _OUT.value, "vectors.npz"))
    program.check_out(_OUT.value)
    devices.layout()
    processes.lead_does(lambda: _export(out))


def _export(out: Path) -> None:
    run = run_folder.read_run(program.need("workdir", _WORKDIR.value, "runs/quickstart"))
    for path in serving.export(run, out):
        print(path)


if __name__ == "__main__":
    program.run(main, __doc__)
