"""The event log: an append-only table in SQLite or PostgreSQL, which all processes of a service share.

Records are numbered 1, 2, 3 .. without gaps. The row `head` holds the last number; a transaction that appends locks it first,
so records become visible in their order, and a reader that has all up to `n` misses none.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from onebp_jax.errors import UserError
from onebp_jax.service.database import engine, files_of, shown, words

EVENT, FORGET, ERASED = "event", "forget", "erased"
# The version of the tables.
VERSION = 1
# The number of records that are read, or ids that are looked up, at a time.
_SLICE = 5000
_IDS = 500

_tables = sa.MetaData()
_records = sa.Table(
    "onebp_records",
    _tables,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("id", sa.Text, unique=True),
    sa.Column("user", sa.Text, index=True),
    sa.Column("item", sa.Text),
    sa.Column("time", sa.Double),
    sa.Column("weight", sa.Double),
    sa.Column("type", sa.Text),
    sa.Column("received", sa.Double, nullable=False),
)
_head = sa.Table(
    "onebp_head",
    _tables,
    sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("log", sa.String(32), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
)


class LogUnavailable(Exception):
    """The log cannot be read or written now; nothing of what was asked for has happened."""


class Record(NamedTuple):
    """What happened to a user.

    Attributes:
      kind: `EVENT`; `FORGET`: the user is forgotten; `ERASED`: an event of a user who was forgotten later, without its content.
      id: given by the client; no two records have the same.
      user, item: original ids, as text. time: None: after the user's other events. weight, type: see the API.
      seq: the number of the record; 0 before it is written.
    """

    kind: str
    user: str | None
    item: str | None = None
    id: str | None = None
    time: float | None = None
    weight: float = 1.0
    type: str | None = None
    seq: int = 0

    @property
    def content(self) -> tuple:
        """All but `seq`."""
        return self[:-1]


@dataclass
class Appending:
    """A transaction that has the log for itself.

    Attributes:
      seq: the number of the last record.
    """

    seq: int
    _connection: sa.Connection

    def after(self, seq: int) -> list[Record]:
        """The records after number `seq`, in order."""
        return [record for part in _read(self._connection, seq) for record in part]

    def with_ids(self, ids: Iterable[str]) -> dict[str, Record]:
        """The records that have these ids."""
        ids, found = list(ids), {}
        for at in range(0, len(ids), _IDS):
            query = _QUERY.where(_records.c.id.in_(ids[at : at + _IDS]))
            found |= {record.id: record for record in _made(self._connection.execute(query))}
        return found

    def events_of(self, user: str) -> list[Record]:
        """The events of a user, in order."""
        of_user = (_records.c.user == user) & (_records.c.kind == EVENT)
        return _made(self._connection.execute(_QUERY.where(of_user).order_by(_records.c.seq)))

    def append(self, records: Iterable[Record]) -> list[Record]:
        """Writes records, and returns them with their numbers. Events of a user who is forgotten lose their content."""
        written = [record._replace(seq=self.seq + place) for place, record in enumerate(records, 1)]
        if not written:
            return []
        now, waiting = time.time(), []
        for record in written:
            waiting.append(record._asdict() | {"received": now})
            if record.kind == FORGET:
                self._insert(waiting)
                waiting = []
                self._erase(record)
        self._insert(waiting)
        self.seq = written[-1].seq
        self._connection.execute(_head.update().values(seq=self.seq))
        return written

    def _insert(self, rows: list[dict]) -> None:
        if rows:
            self._connection.execute(_records.insert(), rows)

    def _erase(self, forget: Record) -> None:
        nothing = {name: None for name in ("user", "item", "time", "weight", "type")}
        of_user = (_records.c.user == forget.user) & (_records.c.kind == EVENT) & (_records.c.seq < forget.seq)
        self._connection.execute(_records.update().where(of_user).values(kind=ERASED, **nothing))


_QUERY = sa.select(*[_records.c[name] for name in Record._fields])


def _made(rows: Iterable[sa.Row[Any]]) -> list[Record]:
    return [Record._make(row) for row in rows]


def _read(connection: sa.Connection, seq: int) -> Iterator[list[Record]]:
    """The records after number `seq`, some thousand at a time."""
    while part := _made(connection.execute(_QUERY.where(_records.c.seq > seq).order_by(_records.c.seq).limit(_SLICE))):
        yield part
        seq = part[-1].seq


class EventLog:
    """The log at a URL. Each call makes a connection of its own; an error of the database is a `LogUnavailable`.

    Attributes:
      name: a random name, made with the log.
    """

    def __init__(self, url: str):
        """Opens a log, or makes it.

        Args:
          url: `sqlite:///PATH` or `postgresql://USER@HOST/NAME`.

        Raises:
          UserError: another kind of URL, a damaged database, or one that cannot be opened.
        """
        self._engine = engine(url)
        try:
            if self._is_sqlite:
                with self._engine.connect() as connection:
                    bad = connection.execute(sa.text("PRAGMA quick_check(1)")).scalar()
                if bad != "ok":
                    raise UserError(f"events={shown(url)}: the database is damaged ({bad}): restore a copy of it")
            self.name = self._begun()
            self._files = files_of(self._engine)
        except (DBAPIError, UserError) as error:
            self.close()
            if isinstance(error, UserError):
                raise
            raise UserError(f"events={shown(url)}: the event log cannot be opened: {words(error)}") from error

    def _begun(self) -> str:
        """The name of the log, which is made if there is none."""
        with self._engine.begin() as connection:
            if not self._is_sqlite:  # two processes may make the log at the same time
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(74210093)"))
            _tables.create_all(connection)
            head = connection.execute(sa.select(_head)).first()
            if head is None:
                name = uuid.uuid4().hex
                connection.execute(_head.insert().values(one=1, seq=0, log=name, version=VERSION))
                return name
            if head.version != VERSION:
                raise UserError(f"events: a log of version {head.version}, expected {VERSION}: use a newer onebp_jax")
            return head.log

    @property
    def _is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    def _check_files(self) -> None:
        """SQLite goes on without a word when its file is deleted; what it writes then would be lost."""
        if files_of(self._engine) != self._files:
            raise LogUnavailable("its file was removed or replaced: put it back, or restart the service")

    def seq(self) -> int:
        """The number of the last record."""
        with self._reading() as connection:
            return connection.execute(sa.select(_head.c.seq)).scalar_one()

    def received(self, seq: int) -> float | None:
        """When a record was written, in seconds since 1970; None if there is no such record."""
        with self._reading() as connection:
            return connection.execute(sa.select(_records.c.received).where(_records.c.seq == seq)).scalar()

    def after(self, seq: int) -> Iterator[list[Record]]:
        """The records after number `seq`, in order, some thousand at a time."""
        with self._reading() as connection:
            yield from _read(connection, seq)

    @contextmanager
    def appending(self) -> Iterator[Appending]:
        """A transaction that has the log for itself. When it ends without an exception, its records are on disk."""
        try:
            with self._engine.begin() as connection:
                seq, name = connection.execute(sa.select(_head.c.seq, _head.c.log).with_for_update()).one()
                if name != self.name:
                    raise LogUnavailable("another log took its place: restart the service")
                yield Appending(seq, connection)
                self._check_files()
        except SQLAlchemyError as error:
            raise LogUnavailable(words(error)) from error

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT", reads=True) as connection:
                self._check_files()
                yield connection
        except SQLAlchemyError as error:
            raise LogUnavailable(words(error)) from error

    def close(self) -> None:
        """Closes the connections."""
        self._engine.dispose()
