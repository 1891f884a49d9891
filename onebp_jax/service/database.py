"""Connections to SQLite and PostgreSQL whose commits are on disk when they return."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from onebp_jax.errors import UserError

# A lock, or a server, is waited for so long.
SECONDS = 10


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
        patience = {"connect_timeout": SECONDS, "tcp_user_timeout": 1000 * SECONDS}
        patience = {name: value for name, value in patience.items() if name not in parsed.query}
        parsed = parsed.set(drivername="postgresql+psycopg")
        try:
            made = sa.create_engine(parsed, pool_pre_ping=True, connect_args=patience)
        except ImportError as error:
            raise UserError(
                f"events={shown(url)}: needs the extra postgresql: pip install 'onebp-jax[postgresql]'"
            ) from error
        event.listen(made, "connect", _durable_postgresql)
        return made
    made = sa.create_engine(parsed.set(drivername="sqlite+pysqlite"), connect_args={"timeout": SECONDS})
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
    """A commit is on disk when it returns, whatever the server's default; a process that stands still keeps no lock."""
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit TO on")
        cursor.execute(f"SET lock_timeout TO '{SECONDS}s'")
        cursor.execute(f"SET idle_in_transaction_session_timeout TO '{3 * SECONDS}s'")
    connection.commit()


def files_of(made: sa.Engine) -> list[tuple[int, int] | None]:
    """Which files are now at the paths of an SQLite database, None for none; nothing of PostgreSQL."""
    path = Path(str(made.url.database))
    return [_file_at(path.with_name(path.name + end)) for end in ("", "-wal")] if made.dialect.name == "sqlite" else []


def _file_at(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def shown(url: str) -> str:
    """A URL without its password."""
    return sa.make_url(url).render_as_string(hide_password=True)


def words(error: SQLAlchemyError) -> str:
    """The first line of what the database says, without the statement."""
    return str(getattr(error, "orig", None) or error).splitlines()[0]
