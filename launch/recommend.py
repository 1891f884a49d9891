"""Recommends items to users from a finished run, with their original ids.

    onebp recommend --workdir=runs/ml100k --users=0,17 --k=5
    onebp recommend --workdir=runs/ml100k --users_file=users.txt --items=movies.csv --k=20 --out=lists.parquet
    onebp recommend --workdir=runs/ml100k --history=today.csv --k=5

Items that a user already has are left out. Without --out the lists are printed as CSV (user, rank, item, score, and title where
titles are known). An id with commas or double quotes is written as in CSV: --users='"Smith, J","Al ""Bo"" C",u2'.
Exit status: 0 done, 2 bad flags, folder or data.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from absl import flags, logging

from onebp_jax import Recommender, serving
from onebp_jax.cli import devices, program
from onebp_jax.errors import UserError
from onebp_jax.parallel import Layout, processes
from onebp_jax.serving.events import events_of, known_items
from onebp_jax.serving.flag_ids import rows_of_flag
from onebp_jax.serving.ids import rows_of_file
from onebp_jax.serving.items import known_titles
from onebp_jax.serving.recommend import SEEN, WRITERS, seen_pairs
from onebp_jax.training import run_folder

_WORKDIR = program.define_path("workdir", "The folder of a finished run.")
_USERS = flags.DEFINE_string("users", None, "Original user ids, comma separated as in CSV; all users if not given.")
_USERS_FILE = program.define_path("users_file", "A text file with one original user id per line.")
_HISTORY = program.define_path(
    "history",
    "New events, with the columns of the training data: lists for their users, known or new, without training.",
)
_SKIP_UNKNOWN = flags.DEFINE_bool(
    "skip_unknown", False, "Leave out users, or items of --history, that the run does not know."
)
_ITEMS = program.define_path(
    "items", "Recommend only the items of this CSV, TSV or Parquet file; its column title or name is shown."
)
_K = flags.DEFINE_integer("k", 10, "Items per user.")
_EXCLUDE = flags.DEFINE_enum(
    "exclude", "all", SEEN, "Leave out the items that a user has in these pairs (train, to compare with the test set)."
)
_OUT = program.define_path("out", "Write the lists to this .csv, .parquet or .jsonl file.")
program.define_run_data()
devices.define_layout()


def main() -> None:
    program.check_out(_OUT.value, endings=WRITERS)
    layout = devices.layout()
    workdir = program.need("workdir", _WORKDIR.value, "runs/quickstart")
    run = run_folder.read_run(workdir)
    if _HISTORY.value:
        processes.lead_does(lambda: _hand_over(*_of_history(workdir, layout)))
        return
    rows = _rows(run)
    items = serving.read_items(_ITEMS.value, run) if _ITEMS.value else None
    seen = None
    if _EXCLUDE.value != "none":
        seen = seen_pairs(program.load_run_data(workdir, run, flags.FLAGS.data_dir), _EXCLUDE.value, rows)
    lists = serving.recommend(run, rows, _K.value, seen, layout, items.rows if items else None)
    lists = serving.with_titles(lists, items or known_titles(workdir, run), run.item_ids)
    asked = len(run.user) if rows is None else len(set(rows.tolist()))
    processes.lead_does(lambda: _hand_over(lists, asked))


def _of_history(workdir: Path, layout: Layout | None) -> tuple[pd.DataFrame, int]:
    """The lists of the users of `--history`, and how many users these are."""
    if _USERS.value is not None or _USERS_FILE.value:
        raise UserError("--history names the users itself: leave --users and --users_file out")
    if _EXCLUDE.value == "train":
        raise UserError("--exclude=train is to compare with the test set, which --history is not: give all or none")
    model = Recommender.load(workdir, layout)
    events = events_of(model.config, _HISTORY.value, flags.FLAGS.data_dir)
    model.observe_many(
        known_items(events, model.item_ids, _SKIP_UNKNOWN.value), time="time" if "time" in events else None
    )
    users = list(dict.fromkeys(events["user"].tolist()))
    items = serving.read_items(_ITEMS.value, model.run) if _ITEMS.value else None
    wanted = model.item_ids[items.rows] if items else None
    lists = model.recommend(users, _K.value, _EXCLUDE.value == "all", wanted)
    return serving.with_titles(lists, items, model.item_ids) if items else lists, len(users)


def _rows(run: run_folder.Trained) -> np.ndarray | None:
    """The rows of the users that the flags name; None for all."""
    users = _USERS.value
    if users is not None and _USERS_FILE.value:
        raise UserError("--users and --users_file: give one of them")
    if users is not None:
        return rows_of_flag("users", users, run.user_ids, _SKIP_UNKNOWN.value)
    if _USERS_FILE.value:
        return rows_of_file(_USERS_FILE.value, run.user_ids, _SKIP_UNKNOWN.value)
    return None


def _hand_over(lists: pd.DataFrame, asked: int) -> None:
    """Prints or writes the lists; `asked` is the number of users they are for."""
    sizes = lists["user"].value_counts()
    if short := asked - int((sizes >= _K.value).sum()):
        logging.warning(
            "%d of %d users have fewer than %d items left after --exclude=%s (%d have none): their lists are shorter",
            *(short, asked, _K.value, _EXCLUDE.value, asked - len(sizes)),
        )
    serving.write_lists(lists, _OUT.value)
    if _OUT.value:
        print(f"{len(sizes)} users, {len(lists)} recommendations in {_OUT.value}")


if __name__ == "__main__":
    program.run(main, __doc__)
