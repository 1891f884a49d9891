"""Prepares a log larger than memory: filters, splits and numbers it, for training from its files.

    onebp prepare --input=logs/ --out=prepared --split=time --min_user_items=5 --min_item_users=5
    onebp prepare --input=logs/ --out=prepared --engine=spark://host:7077
    onebp train --config=quickstart --config.dataset=prepared --config.stream_window=8388608 --workdir=run

The log is one or several files or folders, .csv, .tsv, .inter (also .gz, .zst) or .parquet, with a column of users, one of
items, and perhaps times and ratings; text is UTF-8. It is read by DuckDB in this process, or by Spark. Needs the extra
`prepare`, Spark also the extra `spark`.
Exit status: 0 done, 2 bad flags or files, 128 + n stopped by signal n.
"""

from typing import Any

from absl import flags

from onebp_jax.cli import program
from onebp_jax.preparation import Rules, prepare
from onebp_jax.preparation.prepare import DEFAULT_RULES, ROWS_PER_FILE
from onebp_jax.preparation.rules import SPLITS

_INPUT = flags.DEFINE_multi_string("input", None, "A file or folder of the log; give the flag again for several.")
_OUT = program.define_path("out", "The new folder; it appears when it is whole.")
flags.DEFINE_string("engine", "duckdb", "duckdb, or the URL of a Spark master: spark://host:7077, local[4].")
flags.DEFINE_string("memory_limit", "4GB", "The most memory that DuckDB may take.")
program.define_path("temp_dir", "Where DuckDB keeps what does not fit; by default beside --out.")
flags.DEFINE_string("user_column", None, "The column of users; by default found by its usual spellings.")
flags.DEFINE_string("item_column", None, "The column of items; by default found by its usual spellings.")
flags.DEFINE_string("time_column", None, "The column of times; by default found by its usual spellings.")
flags.DEFINE_string("rating_column", None, "The column that --min_rating reads; by default found.")
flags.DEFINE_string("deduplicate", "first", "Which row of a repeated pair counts: first or last.")
flags.DEFINE_float("min_rating", None, "Leave out rows with a lower rating.")
flags.DEFINE_integer("min_user_items", 0, "Leave out users with fewer items.")
flags.DEFINE_integer("min_item_users", 0, "Leave out items with fewer users.")
flags.DEFINE_string("split", DEFAULT_RULES.split, f"How to make test and validation: {', '.join(SPLITS)}.")
flags.DEFINE_float("test_fraction", DEFAULT_RULES.test_fraction, "The share of the pairs for test.")
flags.DEFINE_float(
    "validation_fraction", DEFAULT_RULES.validation_fraction, "The share of the other pairs for validation."
)
flags.DEFINE_integer("split_seed", 0, "The seed of a random split and of the order of the pairs.")
flags.DEFINE_integer("rows_per_file", ROWS_PER_FILE, "About how many pairs a file holds.")


# The flags that are arguments of `prepare`; those of its rules have the names of the fields of `Rules`.
_OPTIONS = (
    "engine",
    "memory_limit",
    "temp_dir",
    "user_column",
    "item_column",
    "time_column",
    "rating_column",
    "rows_per_file",
)


def main() -> None:
    given = lambda names: {name: flags.FLAGS[name].value for name in names}
    rules: dict[str, Any] = given(Rules._fields)
    options: dict[str, Any] = given(_OPTIONS)
    out = program.need("out", _OUT.value, "prepared")
    summary = prepare(program.need("input", _INPUT.value, "logs/"), out, Rules(**rules), **options)
    said = ", ".join(f"{summary[name]} {name}" for name in ("users", "items", "train", "validation", "test"))
    print(f"{said} in {out} ({summary['split']}; {summary['seconds']} s by {summary['engine']})")


if __name__ == "__main__":
    program.run(main, __doc__)
