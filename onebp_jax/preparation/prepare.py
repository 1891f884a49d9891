"""A preparation from the first file to the summary. It says what each rule leaves out."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from absl import logging

from onebp_jax.data.columns import Roles
from onebp_jax.data.prepared import FORMAT, ID_FILES, PARTS
from onebp_jax.errors import UserError
from onebp_jax.preparation import engines, expressions, folder, sources
from onebp_jax.preparation.cuts import cut
from onebp_jax.preparation.engines import Table
from onebp_jax.preparation.rules import Rules, check_rules, sentence
from onebp_jax.preparation.values import read_values
from onebp_jax.preparation.written_ids import as_integers

MOST_IDS = 2**31 - 1
ROWS_PER_FILE = 1 << 22
DEFAULT_RULES = Rules()


class _Log(NamedTuple):
    """Pairs and their id tables, kept by the engine; `dropped`: rule -> rows that it left out."""

    pairs: Table
    users: Table
    items: Table
    dropped: dict[str, int]


def prepare(
    inputs: Sequence[str | Path],
    out: str | Path,
    rules: Rules = DEFAULT_RULES,
    *,
    engine: str = "duckdb",
    memory_limit: str = "4GB",
    temp_dir: str | Path | None = None,
    user_column: str | None = None,
    item_column: str | None = None,
    time_column: str | None = None,
    rating_column: str | None = None,
    rows_per_file: int = ROWS_PER_FILE,
) -> dict[str, Any]:
    """Reads a log of interactions and writes the folder that `onebp_jax.data.load_streamed` opens.

    The same log, rules and `rows_per_file` give the same pairs in the same files, whatever the engine and the order of the log.

    Args:
      inputs: files or folders: `.csv`, `.tsv`, `.inter` (also `.gz`, `.zst`) or `.parquet`, with named columns. For Spark,
        paths that its workers see too.
      rules: what to keep, and how to split.
      engine: "duckdb", or the URL of a Spark master, such as "spark://host:7077" or "local[4]".
      memory_limit: the most memory that DuckDB may take; Spark has its own settings.
      temp_dir: where DuckDB keeps what does not fit, some 60 bytes per row; by default beside `out`.
      user_column, item_column, time_column, rating_column: names of columns, as in `onebp_jax.data.load`.
      rows_per_file: about how many pairs a file holds; also what memory holds at a time while files are written.
    Returns:
      What `summary.json` holds.
    Raises:
      UserError: an argument is wrong, the log cannot be read, nothing is left of it, `out` exists, or the engine fails.
    """
    check_rules(rules)
    if rows_per_file < 1:
        raise UserError(f"rows_per_file={rows_per_file}: expected 1 or more")
    rated = rules.min_rating is not None
    # Without ratings and without a split by time it does not matter which row of a repeated pair counts.
    roles = Roles.of(user_column, item_column, time_column, rating_column, rated=rated, timed=rules.by_time or rated)
    source = sources.find(inputs, roles)
    if rules.by_time and "time" not in source.columns:
        raise UserError(
            f"split={rules.split}: {source.files[0]} has no column timestamp or time; use split=ratio, or name it with "
            "time_column"
        )
    out = Path(out).expanduser().absolute()
    begun = time.monotonic()
    with folder.new_folder(out) as partial, ExitStack() as stack:
        temp = Path(tempfile.mkdtemp(prefix="onebp-", dir=temp_dir or partial))
        stack.callback(shutil.rmtree, temp, ignore_errors=True)
        connection = stack.enter_context(engines.connected(engine, memory_limit, temp))
        log = _one_row_per_pair(stack, sources.open_table(connection, source), source, rules)
        log = _core(stack, log, rules)
        log = _split(stack, log, rules)
        counts = _parts(log.pairs)
        if not counts[0]:
            raise UserError("no training pairs are left; lower test_fraction, validation_fraction or the thresholds")
        users, items = _count(log.users), _count(log.items)
        folder.write_pairs(partial, expressions.renumbered(log.pairs, log.users, log.items), counts, rows_per_file)
        for name, ids, count in zip(ID_FILES, (log.users, log.items), (users, items), strict=True):
            folder.write_ids(partial / name, ids, count, rows_per_file)
        summary = {
            "format": FORMAT,
            "inputs": [str(given) for given in inputs],
            "files": len(source.files),
            "columns": source.columns,
            "engine": engines.name_of(connection),
            "rules": rules._asdict(),
            "split": sentence(rules),
            "rows": log.dropped,
            "users": users,
            "items": items,
            **dict(zip(PARTS, counts, strict=True)),
            "rows_per_file": rows_per_file,
            "seconds": round(time.monotonic() - begun, 1),
        }
        folder.write_summary(partial, summary)
    return summary


def _one_row_per_pair(stack: ExitStack, table: Table, source: sources.Source, rules: Rules) -> _Log:
    """Reads the log once, numbers its ids and applies `deduplicate` and `min_rating`."""
    with engines.kept(table) as raw:
        log, dropped = read_values(source, raw)
        logging.info("read %d rows of %d files", dropped["read"], len(source.files))
        tables = {}
        for role in ("user", "item"):
            ids = stack.enter_context(engines.kept(log.select(id=role).distinct()))
            if _count(ids) > MOST_IDS:
                raise UserError(
                    f"{_count(ids)} different values of {source.columns[role]}, expected at most {MOST_IDS}"
                )
            if integers := as_integers(source, role, ids):
                # 7 and 7.0 are one id.
                ids, log = ids.select(id=integers(ids.id)).distinct(), log.mutate(**{role: integers(log[role])})
            tables[role] = stack.enter_context(engines.kept(expressions.id_table(ids)))
        pairs = expressions.one_row_per_pair(expressions.numbered(log, *tables.values()), rules.deduplicate)
        pairs = stack.enter_context(engines.kept(pairs))
        count = _count(pairs)
    dropped["repeated"] = dropped["read"] - dropped["without_ids"] - count
    if dropped["repeated"]:
        logging.warning(
            "%d repeated (user, item) pairs are left out, the %s row of each counts",
            dropped["repeated"],
            rules.deduplicate,
        )
    if rules.min_rating is not None:
        least = float(rules.min_rating)
        pairs = pairs.filter(pairs.rating >= least).drop("rating")
        left = _count(pairs)
        dropped["below_min_rating"] = count - left
        if not left:
            raise UserError(f"min_rating={least:g}: no row is left; lower it")
        logging.warning("min_rating=%g leaves out %d of %d rows", least, count - left, count)
    return _Log(pairs, tables["user"], tables["item"], dropped)


def _core(stack: ExitStack, log: _Log, rules: Rules) -> _Log:
    """Leaves out users and items with few pairs until all have enough (the k-core of the bipartite graph)."""
    if not rules.core:
        return log
    least = {"user": rules.min_user_items, "item": rules.min_item_users}
    pairs, sizes, rounds = log.pairs, None, 0
    before = [_count(log.pairs.select(role).distinct()) for role in least]
    enough: dict[str, Table] = {}
    while True:
        for role in least:
            enough[role] = stack.enter_context(engines.kept(expressions.with_enough(pairs, role, least[role])))
            pairs = log.pairs
            for other, rows in enough.items():
                pairs = pairs.semi_join(rows, other)
        now = [_count(rows) for rows in enough.values()]
        if now == sizes:
            break
        sizes, rounds = now, rounds + 1
    pairs = stack.enter_context(engines.kept(pairs))
    asked = f"min_user_items={least['user']}, min_item_users={least['item']}"
    if not now[0]:
        raise UserError(f"{asked}: no row is left; lower them")
    dropped = _count(log.pairs) - _count(pairs)
    logging.warning(
        "%s: left out %d of %d rows, %d users and %d items (in %d rounds)",
        *(asked, dropped, _count(log.pairs), before[0] - now[0], before[1] - now[1], rounds),
    )
    return log._replace(pairs=pairs, dropped=log.dropped | {"below_min_counts": dropped})


def _split(stack: ExitStack, log: _Log, rules: Rules) -> _Log:
    """The pairs with their part, and tables of the ids that are left, with new numbers in the column new."""
    pairs = expressions.with_places(log.pairs, log.users, log.items, rules.split_seed)
    if rules.split == "none":
        parts = expressions.held_out_from(pairs, None, None)
    elif rules.split == "time_global":
        last = cut(log.pairs, rules.test_fraction)
        rest = log.pairs if last is None else log.pairs.filter(log.pairs.time < last)
        parts = expressions.held_out_from(pairs, cut(rest, rules.validation_fraction), last)
    else:
        test = None if rules.split.startswith("leave_one_out") else rules.test_fraction
        parts = expressions.held_out_per_user(pairs, test, rules.validation_fraction, rules.by_time)
    parts = stack.enter_context(engines.kept(parts))
    if "tied" in parts.columns:
        _say_ties(parts, rules)
        parts = parts.drop("tied")
    dropped = log.dropped
    if rules.split == "time_global":
        count, users = _count(parts), _count(parts.select("user").distinct())
        trained = stack.enter_context(
            engines.kept(parts.filter(parts.part == expressions.TRAIN).select("user").distinct())
        )
        parts = parts.semi_join(trained, "user")
        dropped = dropped | {"of_users_without_train_pairs": count - _count(parts)}
        if lost := dropped["of_users_without_train_pairs"]:
            logging.warning(
                "%d users without a train pair are left out of validation and test, with %d pairs",
                *(users - _count(trained), lost),
            )
    tables = []
    for role, ids in (("user", log.users), ("item", log.items)):
        left = ids.semi_join(parts.select(row=role).distinct(), "row")
        numbers = expressions.id_table(left.select(id="row")).select(row="id", new="row")
        tables.append(stack.enter_context(engines.kept(left.join(numbers, "row").select("row", "new", "id"))))
    return _Log(parts, tables[0], tables[1], dropped)


def _say_ties(parts: Table, rules: Rules) -> None:
    """Warns if the times do not tell what to hold out of most users, as `onebp_jax.data.load` does."""
    tied = _count(parts.filter(parts.tied))
    users = _count(parts.filter(parts.part == expressions.TEST).select("user").distinct()) if tied else 0
    if 2 * tied > users:
        logging.warning(
            "split=%s: for %d of %d users the cut falls between pairs of equal time, of which random ones are held out "
            "(split_seed); use finer times, or split=ratio",
            *(rules.split, tied, users),
        )


def _parts(pairs: Table) -> list[int]:
    """How many pairs each part has."""
    found = pairs.group_by("part").agg(pairs=pairs.count()).to_pyarrow().to_pylist()
    counts = {row["part"]: int(row["pairs"]) for row in found}
    return [counts.get(part, 0) for part in range(len(PARTS))]


def _count(table: Table) -> int:
    return int(table.count().to_pyarrow().as_py())
