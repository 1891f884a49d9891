"""Finds the most similar items of an item, or users of a user, in a finished run, with their original ids.

    onebp similar --workdir=runs/ml100k --item=50 --k=5
    onebp similar --workdir=runs/ml100k --user=0,17 --out=similar.csv

The score is the cosine of two vectors (minus the squared distance for methods that compare by distance). Without --out the lists
are printed as CSV. An id with commas or double quotes is written as in CSV: --item='"Earth, Wind & Fire"'.
Exit status: 0 done, 2 bad flags, folder or data.
"""

from absl import flags

from onebp_jax import serving
from onebp_jax.cli import program
from onebp_jax.errors import UserError
from onebp_jax.serving.flag_ids import rows_of_flag
from onebp_jax.serving.items import known_titles
from onebp_jax.serving.recommend import WRITERS
from onebp_jax.training import run_folder

_WORKDIR = program.define_path("workdir", "The folder of a finished run.")
_ITEM = flags.DEFINE_string("item", None, "Original item ids, comma separated as in CSV.")
_USER = flags.DEFINE_string("user", None, "Original user ids, comma separated as in CSV.")
_ITEMS = program.define_path(
    "items", "List only the items of this CSV, TSV or Parquet file; its column title or name is shown."
)
_K = flags.DEFINE_integer("k", 10, "Similar items or users of each.")
_OUT = program.define_path("out", "Write the lists to this .csv, .parquet or .jsonl file.")


def main() -> None:
    program.check_out(_OUT.value, endings=WRITERS)
    workdir = program.need("workdir", _WORKDIR.value, "runs/quickstart")
    if (_ITEM.value is None) == (_USER.value is None):
        raise UserError("give --item or --user, one of them, for example --item=50")
    run = run_folder.read_run(workdir)
    if _USER.value is not None:
        if _ITEMS.value:
            raise UserError(f"--items={_ITEMS.value}: it is for similar items, give --item in place of --user")
        lists = serving.similar_users(run, rows_of_flag("user", _USER.value, run.user_ids), _K.value)
    else:
        rows = rows_of_flag("item", _ITEM.value or "", run.item_ids)
        items = serving.read_items(_ITEMS.value, run) if _ITEMS.value else None
        lists = serving.similar_items(run, rows, _K.value, items=items.rows if items else None)
        lists = serving.with_titles(lists, items or known_titles(workdir, run), run.item_ids, "similar")
    serving.write_lists(lists, _OUT.value)
    if _OUT.value:
        print(f"{len(lists)} lines in {_OUT.value}")


if __name__ == "__main__":
    program.run(main, __doc__)
