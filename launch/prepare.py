"""Prepares a log larger than memory: filters, splits and numbers it, for training from its files.

    onebp prepare --input=logs/ --out=prepared --split=time --min_user_items=5 --min_item_users=5
    onebp prepare --input=logs/ --out=prepared --engine=spark://host:7077
    onebp train --config=quickstart --config.dataset=prepared --config.stream_window=8388608 --workdir=run

The log is one or several files or folders, .csv, .tsv, .inter (also .gz, .zst) or .parquet, with a column of users, one of
items, and perhaps times and ratings. It is read by DuckDB in this process, or by Spark. Needs the extra `prepare`, Spark also the
extra `spark`.
Exit status: 0 done, 2 bad flags or files, 128 + n stopped by signal n.
"""

from absl import flags

from onebp_jax.cli import program
from onebp_jax.preparation import Rules, prepare
from onebp_jax.preparation.prepare import DEFAULT_RULES, ROWS_PER_FILE
from onebp_jax.preparation.rules import SPLITS

_INPUT = flags.DEFINE_multi_string("input", None, "A file or folder of the log; give the flag again for several.")
_OUT = program.define_path("out", "The new folder; it appears when it is whole.")
_ENGINE = flags.DEFINE_string("engine", "duckdb", "duckdb, or the URL of a Spark master: spark://host:7077, local[4].")
_MEMORY_LIMIT = flags.DEFINE_string("memory_limit", "4GB", "The most memory that DuckDB may take.")
_TEMP_DIR = flags.DEFINE_string("temp_dir", None, "Where DuckDB keeps what does not fit; by default beside --out.")
_USER_COLUMN = flags.DEFINE_string("user_column", None, "The column of users; by default found by its usual spellings.")
_ITEM_COLUMN = flags.DEFINE_string("item_column", None, "The column of items; by default found by its usual spellings.")
_TIME_COLUMN = flags.DEFINE_string("time_column", None, "The column of times; by default found by its usual spellings.")
_RATING_COLUMN = flags.DEFINE_string("rating_column", None, "The column that --min_rating reads; by default found.")
_DEDUPLICATE = flags.DEFINE_string("deduplicate", "first", "Which row of a repeated pair counts: first or last.")
_MIN_RATING = flags.DEFINE_float("min_rating", None, "Leave out rows with a lower rating.")
_MIN_USER_ITEMS = flags.DEFINE_integer("min_user_items", 0, "Leave out users with fewer items.")
_MIN_ITEM_USERS = flags.DEFINE_integer("min_item_users", 0, "Leave out items with fewer users.")
_SPLIT = flags.DEFINE_string("split", DEFAULT_RULES.split, f"How to make test and validation: {', '.join(SPLITS)}.")
_TEST_FRACTION = flags.DEFINE_float("test_fraction", DEFAULT_RULES.test_fraction, "The share of the pairs for test.")
_VALIDATION_FRACTION = flags.DEFINE_float(
    "validation_fraction", DEFAULT_RULES.validation_fraction, "The share of the other pairs for validation."
)
_SPLIT_SEED = flags.DEFINE_integer("split_seed", 0, "The seed of a random split and of the order of the pairs.")
_ROWS_PER_FILE = flags.DEFINE_integer("rows_per_file", ROWS_PER_FILE, "About how many pairs a file holds.")


def main() -> None:
    rules = Rules(
        deduplicate=_DEDUPLICATE.value,
        min_rating=_MIN_RATING.value,
        min_user_items=_MIN_USER_ITEMS.value,
        min_item_users=_MIN_ITEM_USERS.value,
        split=_SPLIT.value,
        test_fraction=_TEST_FRACTION.value,
        validation_fraction=_VALIDATION_FRACTION.value,
        split_seed=_SPLIT_SEED.value,
    )
    out = program.need("out", _OUT.value, "prepared")
    summary = prepare(
        program.need("input", _INPUT.value, "logs/"),
        out,
        rules,
        engine=_ENGINE.value,
        memory_limit=_MEMORY_LIMIT.value,
        temp_dir=_TEMP_DIR.value,
        user_column=_USER_COLUMN.value,
        item_column=_ITEM_COLUMN.value,
        time_column=_TIME_COLUMN.value,
        rating_column=_RATING_COLUMN.value,
        rows_per_file=_ROWS_PER_FILE.value,
    )
    said = ", ".join(f"{summary[name]} {name}" for name in ("users", "items", "train", "validation", "test"))
    print(f"{said} in {out} ({summary['split']}; {summary['seconds']} s by {summary['engine']})")


if __name__ == "__main__":
    program.run(main, __doc__)
