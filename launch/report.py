"""Writes one page (HTML) about finished runs: accuracy with intervals, learning curves, what the lists are like, speed, commands.

    onebp report --runs=runs/onebp,runs/twobp --out=report.html
    onebp report --runs=runs/compared --items=movies.csv --out=runs/report.html

The page is one file that asks for nothing from a network; beside it, the folder report_files has its numbers as CSV and its
pictures as SVG. --runs takes run folders, and folders of onebp compare, which stand for all their runs. Runs that differ in seeds
only are one row, with a standard deviation. All runs must be on the same data and split. Genres, in the column genres, genre,
category or group of --items (by default the items.csv of the first run or of its data set), add what the lists are like by genre,
and the figures of onebp analyse, which take minutes (--types=0: without). It needs the extra `analysis`.
Exit status: 0 done, 2 bad flags, folder or data.
"""

import os
import shlex
import sys
from pathlib import Path

from absl import flags

from onebp_jax.cli import program
from onebp_jax.cli.config_flag import plain_configs
from onebp_jax.reports.report import write_report
from onebp_jax.serving.genres import genres_of_run
from onebp_jax.training.folder_kinds import folders_of_runs

_RUNS = flags.DEFINE_list("runs", None, "Folders of finished runs on the same data, comma separated.")
_OUT = program.define_path("out", "The HTML file of the page.")
_TYPES = flags.DEFINE_integer("types", 6, "The number of clusters of items; 0: no figures of genres and types.", 0)
_ITEMS = program.define_path("items", "A file with an id and the genres of each item, such as Comedy|Romance.")
program.define_data_dir()


def main() -> None:
    given = program.need("runs", _RUNS.value, "runs/onebp,runs/twobp")
    folders = folders_of_runs([os.path.expanduser(folder) for folder in given])
    out = Path(program.need("out", _OUT.value, "report.html"))
    program.check_out(str(out), endings=(".html", ".htm"))
    genres = genres_of_run(folders[0], _ITEMS.value, flags.FLAGS.data_dir)
    folder = write_report(
        folders, out, shlex.join(["onebp", "report", *sys.argv[1:]]), genres, _TYPES.value, plain_configs()
    )
    print(f"{out}: {len(folders)} run(s); numbers and pictures are in {folder}")


if __name__ == "__main__":
    program.run(main, __doc__)
