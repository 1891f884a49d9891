"""Looks at finished runs as section 5 of the paper does: pictures (SVG), numbers (CSV) and a page (Markdown).

    onebp analyse --runs=runs/onebp,runs/twobp --out=runs/analysis
    onebp analyse --runs=runs/compared --items=movies.csv --types=8 --out=runs/analysis

Are the items near the centre of a genre of that genre (Table 5)? Which latent types do item vectors form, and where are users
among them (Fig. 4)? Which types are in the list of one user (Fig. 7), and how much of the lists of all users is of their majority
and minority types (Fig. 8)?

--runs takes run folders, and folders of onebp compare, which stand for all their runs. Runs of one method that differ in seeds
are one row, with a standard deviation; the vectors before the first step are a row too. Genres are in the column genres, genre,
category or group of --items, by default the items.csv in the folder of the first run or of its data set. It needs the extra
`analysis`.
Exit status: 0 done, 2 bad flags, folder or data.
"""

import os
import shlex
import sys
from pathlib import Path

from absl import flags

from onebp_jax.analysis import models, pictures
from onebp_jax.analysis.folder import write
from onebp_jax.analysis.study import KS, study
from onebp_jax.cli import program
from onebp_jax.errors import UserError
from onebp_jax.serving.genres import genres_of_run
from onebp_jax.training.folder_kinds import folders_of_runs

_RUNS = flags.DEFINE_list("runs", None, "Folders of finished runs on the same data, comma separated.")
_OUT = program.define_path("out", "The folder of the results; made if missing.")
_ITEMS = program.define_path("items", "A file with an id and the genres of each item, such as Comedy|Romance.")
_TYPES = flags.DEFINE_integer("types", 6, "The number of clusters of items.", 2)
_SEED = flags.DEFINE_integer("seed", 0, "Of clusters, shuffles and maps; those of training are in the runs.", 0)
program.define_data_dir()


def main() -> None:
    given = program.need("runs", _RUNS.value, "runs/onebp,runs/twobp")
    workdirs = folders_of_runs([os.path.expanduser(folder) for folder in given])
    out = Path(program.need("out", _OUT.value, "runs/analysis"))
    pictures.plotting()  # without the extra, this is said before any work
    genres = genres_of_run(workdirs[0], _ITEMS.value, flags.FLAGS.data_dir)
    if genres is None:
        raise UserError(
            f"runs={workdirs[0]}: no genres are known of its items: give items=FILE, with the columns item and genres"
        )
    dataset, found = models.read_models(workdirs, max(KS))
    numbers = study(dataset, found, genres, _TYPES.value, _SEED.value)
    out.mkdir(parents=True, exist_ok=True)
    write(numbers, out, shlex.join(["onebp", "analyse", *sys.argv[1:]]))
    print(f"{out / 'analysis.md'}: tables and pictures of {len(workdirs)} runs")


if __name__ == "__main__":
    program.run(main, __doc__)
