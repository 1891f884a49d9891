"""The engines that compute: DuckDB in this process, or Spark by URL. All that differs between them is in this module."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

from onebp_jax.errors import UserError

# A table of ibis, whose own types say too little of columns for a type checker.
Table = Any
NOT_UTF_8 = "not UTF-8; convert the file: iconv -f CP1252 -t UTF-8 OLD > NEW (or GBK, UTF-16, .. for CP1252)"
SPARK = re.compile(r"local(\[.+\])?|yarn|(spark|k8s)://.+")


@contextmanager
def connected(engine: str, memory_limit: str, temp: Path) -> Iterator[Any]:
    """A connection of ibis; its errors become `UserError`.

    Args:
      engine: "duckdb", or the URL of a Spark master: "spark://host:7077", "yarn", "local[4]".
      memory_limit: the most memory that DuckDB may take, such as "4GB"; Spark has its own settings.
      temp: an existing folder, in which DuckDB keeps what does not fit.
    """
    if engine != "duckdb" and not SPARK.fullmatch(engine):
        raise UserError(
            f"engine={engine!r}: expected duckdb or the URL of a Spark master, such as spark://host:7077 or local[4]"
        )
    try:
        import ibis
    except ImportError as error:
        raise UserError("a preparation needs ibis and DuckDB: python -m pip install 'onebp-jax[prepare]'") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ibis and pyspark warn of versions of DuckDB and pandas
        with _duckdb(ibis, memory_limit, temp) if engine == "duckdb" else _spark(ibis, engine) as connection:
            yield connection


def name_of(connection: Any) -> str:
    """The engine and its version, such as "duckdb 1.4.0"."""
    return f"{connection.name} {version(connection.name)}"


def read_text(connection: Any, files: Sequence[Path], columns: Sequence[str], separator: str) -> Table:
    """Files with a header and these columns as one table; all columns are text, an empty field is null."""
    common = {"header": True, "sep": separator, "quote": '"', "escape": '"'}
    if connection.name == "duckdb":
        types = dict.fromkeys(columns, "VARCHAR")
        return connection.read_csv(list(map(_literal, files)), columns=types, **common)
    if packed := [file for file in files if file.suffix.lower() == ".zst"]:
        raise UserError(
            f"{packed[0]}: Spark as installed reads no .zst; unpack it, pack it as .gz, or use engine=duckdb"
        )
    # The extra `spark` is large, so the checks of types run without it.
    from pyspark.sql.types import StringType, StructField, StructType  # pyright: ignore[reportMissingImports]

    schema = StructType([StructField(name, StringType()) for name in columns])
    # Spark's defaults replace what it cannot read by nulls.
    strict = {"mode": "FAILFAST", "unescapedQuoteHandling": "RAISE_ERROR", "enforceSchema": False, "multiLine": True}
    return connection.read_csv(list(map(str, files)), schema=schema, inferSchema=False, **strict, **common)


def read_parquet(connection: Any, files: Sequence[Path]) -> Table:
    """Parquet files of equal columns as one table."""
    if connection.name == "duckdb":
        return connection.read_parquet(list(map(_literal, files)))
    # ibis hands the list itself to Spark, which wants one path at a time.
    frame = connection._session.read.parquet(*map(str, files))
    frame.createOrReplaceTempView("onebp_parquet")
    return connection.table("onebp_parquet")


@contextmanager
def kept(table: Table) -> Iterator[Table]:
    """A table computed once, which the engine keeps until the end of the context, in memory or where it spills to."""
    connection = table.get_backend()
    name = f"kept_{uuid4().hex}"
    # `Table.cache` of ibis is not used: Spark would repeat the history of a table in each later plan, and ibis 12 with
    # sqlglot 30 cannot drop a table of DuckDB.
    if connection.name == "duckdb":
        yield connection.create_table(name, table)
        connection.raw_sql(f"DROP TABLE {name}")
    else:
        connection._session.sql(connection.compile(table)).localCheckpoint().createTempView(name)
        yield connection.table(name)
        connection._session.catalog.dropTempView(name)


def _literal(path: Path) -> str:
    """A path in which DuckDB finds no pattern."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


@contextmanager
def _duckdb(ibis: Any, memory_limit: str, temp: Path) -> Iterator[Any]:
    import duckdb

    try:
        # Tables in a file are compressed; those in memory would spill as they are. The order of files means nothing: every
        # output is sorted.
        connection = ibis.duckdb.connect(
            str(temp / "work.duckdb"),
            memory_limit=memory_limit,
            temp_directory=str(temp / "spilled"),
            preserve_insertion_order=False,
        )
    except duckdb.Error as error:
        raise UserError(f"memory_limit={memory_limit!r}: DuckDB says: {error}; give a size such as 4GB") from error
    try:
        yield connection
    except duckdb.OutOfMemoryException as error:
        raise UserError(
            f"memory_limit={memory_limit}: too little for this log, or the disk of {temp} is full; raise the limit, or give "
            f"another temp_dir. DuckDB says: {error}"
        ) from error
    except duckdb.Error as error:
        raise UserError(_line_of_duckdb(str(error))) from error
    finally:
        connection.disconnect()


@contextmanager
def _spark(ibis: Any, url: str) -> Iterator[Any]:
    try:
        from py4j.protocol import Py4JError  # pyright: ignore[reportMissingImports]
        from pyspark.errors import PySparkException  # pyright: ignore[reportMissingImports]
        from pyspark.sql import SparkSession  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError(f"engine={url}: needs pyspark: python -m pip install 'onebp-jax[prepare,spark]'") from error
    settings = {
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
    }
    if url.startswith("local"):
        settings["spark.sql.shuffle.partitions"] = "8"  # 200 by default, made for clusters
    session = None
    try:
        session = SparkSession.builder.appName("onebp prepare").master(url).config(map=settings).getOrCreate()
        yield ibis.pyspark.connect(session)
    except (PySparkException, Py4JError) as error:
        raise UserError(f"engine={url}: Spark cannot go on: {_cause(str(error))}") from error
    finally:
        if session is not None:
            session.stop()


def _line_of_duckdb(message: str) -> str:
    """A message of DuckDB; of a CSV file only the place and what is wrong, without its advice on options."""
    line, file = re.search(r"CSV Error on Line: (\d+)", message), re.search(r"^ *file = (.*)$", message, re.MULTILINE)
    if not (line and file):
        return f"DuckDB cannot go on: {message}"
    if "not utf-8" in message:
        return f"{file[1]}: line {line[1]}: {NOT_UTF_8}"
    wrong = " ".join(message[line.end() :].split("Possible")[0].split())
    return f"{file[1]}: line {line[1]}: DuckDB cannot go on: {wrong}; repair the file"


def _cause(message: str) -> str:
    """The first line of a message of Spark, and the cause that says what happened."""
    lines = message.strip().splitlines()
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    return " ".join([lines[0], *causes[-1:]])[:600]
