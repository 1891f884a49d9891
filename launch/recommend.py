"""Recommends items to users from a finished run, with their original ids.

    python -m launch.recommend --workdir=runs/ml100k --users=0,17 --k=5
    python -m launch.recommend --workdir=runs/ml100k --k=20 --out=lists.parquet

Without --out the lists are printed as CSV (user, rank, item, score). Exit status: 0 done, 2 bad flags, folder or data.
"""

import sys
from pathlib import Path

import pandas as pd
from absl import flags, logging

from onebp_jax import serving
from onebp_jax.cli import devices, program
from onebp_jax.errors import UserError
from onebp_jax.parallel import processes
from onebp_jax.serving.recommend import SEEN, WRITERS, seen_pairs
from onebp_jax.training import run_folder

_WORKDIR = flags.DEFINE_string("workdir", None, "The folder of a finished run.")
_USERS = flags.DEFINE_list("users", None, "Original user ids, comma separated; all users if not given.")
_K = flags.DEFINE_integer("k", 10, "Items per user.")
_EXCLUDE = flags.DEFINE_string("exclude", "train", f"Leave out the items that a user has seen in: {', '.join(SEEN)}.")
_OUT = flags.DEFINE_string("out", None, "Write the lists to this .csv, .parquet or .jsonl file.")
program.define_data_dir()
devices.define_layout()


def main() -> None:
    program.check_out(_OUT.value, endings=WRITERS)
    layout = devices.layout()
    workdir = program.need("workdir", _WORKDIR.value, "runs/quickstart")
    run = run_folder.read_run(workdir)
    if _K.value < 1:
        raise UserError(f"--k={_K.value}: expected at least 1")
    if _USERS.value is not None and not all(_USERS.value or [""]):
        raise UserError(f"--users={','.join(_USERS.value)}: an id is empty; leave the flag out for all users")
    rows = serving.parse_ids(_USERS.value, run.user_ids) if _USERS.value else None
    seen = None
    if _EXCLUDE.value != "none":
        seen = seen_pairs(program.load_run_data(workdir, run, flags.FLAGS.data_dir), _EXCLUDE.value, rows)
    lists = serving.recommend(run, rows, _K.value, seen, layout)
    asked = len(run.user) if rows is None else len(set(rows.tolist()))
    processes.lead_does(lambda: _hand_over(lists, asked))


def _hand_over(lists: pd.DataFrame, asked: int) -> None:
    """Prints or writes the lists; `asked` is the number of users they are for."""
    sizes = lists["user"].value_counts()
    if short := asked - int((sizes >= _K.value).sum()):
        logging.warning(
            "%d of %d users have fewer than %d items left after --exclude=%s (%d have none): their lists are shorter",
            *(short, asked, _K.value, _EXCLUDE.value, asked - len(sizes)),
        )
    if _OUT.value:
        serving.write_lists(lists, Path(_OUT.value))
        print(f"{len(sizes)} users, {len(lists)} recommendations in {_OUT.value}")
    else:
        lists.to_csv(sys.stdout, index=False, float_format="%.6f")


if __name__ == "__main__":
    program.run(main, __doc__)
