"""Connections to SQLite and PostgreSQL whose commits are on disk when they return."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from onebp_jax.errors import UserError


def engine(url: str) -> sa.Engine:
    """Connections whose commits are on disk; raises `UserError` for another kind of URL."""
    wanted = "expected sqlite:///PATH or postgresql://USER@HOST/NAME"
    try:
        parsed = sa.make_url(url)
    except ArgumentError as error:
        raise UserError(f"events={url!r}: not a URL, {wanted}") from error
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise UserError(f"events={url!r}: a log in memory would be lost, {wanted}")
    if backend not in ("sqlite", "postgresql"):
        raise UserError(f"events={shown(url)}: {wanted}")
    if backend == "postgresql":
        made = sa.create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
        event.listen(made, "connect", _durable_postgresql)
        return made
    made = sa.create_engine(parsed.set(drivername="sqlite+pysqlite"), connect_args={"timeout": 10})
    event.listen(made, "connect", _durable_sqlite)
    event.listen(made, "begin", _begin)
    return made


def _durable_sqlite(connection: Any, _: Any) -> None:
    """A commit is on disk when it returns; `_begin` begins transactions, not the driver; erased content is overwritten."""
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: sa.Connection) -> None:
    """The write lock comes first: two processes that append wait for each other, and do not fail."""
    if not connection.get_execution_options().get("reads"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _durable_postgresql(connection: Any, _: Any) -> None:
    """A commit is on disk when it returns, whatever the server's default."""
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit TO on")
    connection.commit()


def shown(url: str) -> str:
    """A URL without its password."""
    return sa.make_url(url).render_as_string(hide_password=True)


def words(error: SQLAlchemyError) -> str:
    """The first line of what the database says, without the statement."""
    return str(getattr(error, "orig", None) or error).splitlines()[0]
