"""Databases: one service's own tables, on SQLite (embedded) or PostgreSQL, behind the same doors.

`transaction` writes, `read` and `snapshot` read. On SQLite there is exactly one writing connection per file, every write begins
IMMEDIATE, and readers have their own read-only connections. On PostgreSQL each service lives in a schema of its own.
"""

import asyncio
import json
import socket
import sqlite3
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

from pydantic_core import from_json, to_json
from sqlalchemy import ColumnElement, DateTime, Dialect, Table, Text, any_, bindparam, event, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.types import TypeDecorator, TypeEngine

from services.runtime.errors import DatabaseUnavailable

STATEMENT_TIMEOUT = 10
"""Seconds that one statement may take on PostgreSQL."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC, microsecond precision: TIMESTAMPTZ on PostgreSQL, ISO 8601 text (which sorts by time) on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return datetime.fromisoformat(value) if dialect.name == "sqlite" else value.astimezone(UTC)


V = TypeVar("V", str, int)


def among(connection: AsyncConnection, column: ColumnElement[V], values: Collection[V]) -> ColumnElement[bool]:
    """`column IN values` with one bound value, however many there are: the statement stays prepared and has no limit."""
    if connection.dialect.name != "sqlite":
        return column == any_(bindparam(None, list(values), type_=ARRAY(column.type), unique=True))
    listed = func.json_each(json.dumps(list(values))).table_valued("value")
    return column.in_(select(listed.c.value))


def upsert(connection: AsyncConnection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that may say ON CONFLICT, which both databases spell alike and SQLAlchemy keeps in their dialects."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


class Database:
    """One service's database. `url` is `sqlite:///path` or `postgresql://…`; `schema` is used on PostgreSQL only."""

    def __init__(self, url: str, schema: str) -> None:
        self.url, self.schema = _async_url(url), schema
        self.sqlite = self.url.startswith("sqlite")
        self._writer, reader = _sqlite_engines(self.url) if self.sqlite else _postgres_engines(self.url, schema)
        self._reader = reader.execution_options(isolation_level="AUTOCOMMIT")
        whole = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._snapshots = self._reader if self.sqlite else reader.execution_options(**whole)
        self._one_writer = asyncio.Lock()
        self._exclusive: dict[str, asyncio.Lock] = {}

    async def start(self) -> None:
        """Prove that the database answers; raises `DatabaseUnavailable`."""
        async with self.transaction() as connection:
            await connection.execute(text("SELECT 1"))

    async def stop(self) -> None:
        await self._writer.dispose()
        await self._reader.dispose()

    @asynccontextmanager
    async def transaction(self, *, serial: bool = False) -> AsyncIterator[AsyncConnection]:
        """One transaction, committed at the end and rolled back on any error.

        With `serial` nobody else is in a serial transaction meanwhile, in any process.
        Raises `DatabaseUnavailable` for whatever may pass; the outcome of a failed commit is unknown.
        """
        async with _transient_errors(), self._turn(), _checked_out(self._writer) as connection, connection.begin():
            if serial and not self.sqlite:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": self._lock_key("serial")})
            yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading only; each statement sees the newest committed state."""
        async with _transient_errors(), _checked_out(self._reader) as connection:
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading only, to which everything stays as it was committed when it first looked. Be brief."""
        async with _transient_errors(), _checked_out(self._snapshots) as connection:
            if self.sqlite:
                await connection.exec_driver_sql("BEGIN")
            yield connection

    @asynccontextmanager
    async def exclusive(self, name: str) -> AsyncIterator[None]:
        """While inside, nobody else is inside the same name, in any process on this database."""
        async with self._exclusive.setdefault(name, asyncio.Lock()):
            if self.sqlite:
                yield
                return
            async with _transient_errors(), _checked_out(self._writer) as connection, connection.begin():
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": self._lock_key(name)})
                yield

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if not self.sqlite:
            yield
            return
        async with self._one_writer:
            yield

    def _lock_key(self, name: str) -> int:
        return crc32(f"tocsin/{self.schema}/{name}".encode())


@asynccontextmanager
async def _checked_out(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection from the pool, given back whatever happens: who is cancelled while it is on its way waits for it."""
    coming = asyncio.ensure_future(_connect(engine))
    try:
        connection = await asyncio.shield(coming)
    except asyncio.CancelledError:
        with suppress(SQLAlchemyError, OSError):
            await (await coming).close()
        raise
    try:
        yield connection
    finally:
        await connection.close()


async def _connect(engine: AsyncEngine) -> AsyncConnection:
    return await engine.connect()


def _async_url(url: str) -> str:
    for plain, driver in (("sqlite://", "sqlite+aiosqlite://"), ("postgresql://", "postgresql+asyncpg://")):
        if url.startswith(plain):
            return driver + url.removeprefix(plain)
    return url


def _to_json(value: object) -> str:
    return to_json(value).decode()


_JSON = {"json_serializer": _to_json, "json_deserializer": from_json}
"""pydantic's JSON, which is several times faster than the standard library's."""


def _sqlite_engines(url: str) -> tuple[AsyncEngine, AsyncEngine]:
    path = url.split(":///", 1)[1]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    writer = create_async_engine(url, pool_size=1, max_overflow=0, connect_args={"isolation_level": None, "timeout": 30}, **_JSON)
    reader = create_async_engine(
        f"sqlite+aiosqlite:///file:{path}?mode=ro&uri=true", pool_size=4, max_overflow=0, connect_args={"timeout": 30}, **_JSON
    )
    event.listen(writer.sync_engine, "connect", _tune_writer)
    event.listen(writer.sync_engine, "begin", _begin_immediate)
    return writer, reader


def _tune_writer(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-16000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _postgres_engines(url: str, schema: str) -> tuple[AsyncEngine, AsyncEngine]:
    settings = {
        "search_path": schema,
        "application_name": f"tocsin-{schema}",
        "idle_in_transaction_session_timeout": "15000",
        "statement_timeout": str(STATEMENT_TIMEOUT * 1000),
    }
    engine = create_async_engine(
        url,
        pool_size=8,
        max_overflow=4,
        pool_timeout=5,
        connect_args={"timeout": 3, "command_timeout": STATEMENT_TIMEOUT, "server_settings": settings},
        **_JSON,
    )
    return engine, engine


@asynccontextmanager
async def _transient_errors() -> AsyncIterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout, *_AWAY, sqlite3.OperationalError) as error:
        raise DatabaseUnavailable(f"the database does not answer: {_first_line(error)}") from error
    except DBAPIError as error:
        if not _may_pass(error):
            raise
        raise DatabaseUnavailable(f"the database does not answer: {_first_line(error)}") from error


_AWAY = (ConnectionError, TimeoutError, socket.gaierror)
_PASSING_STATES = ("08", "28", "3D", "40", "53", "55P03", "57", "58")
"""SQLSTATE classes of PostgreSQL that pass without us: connection, password and database (somebody is still setting it up),
rollback, resources, lock, operator, system."""


def _may_pass(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None) or ""
    return error.connection_invalidated or str(state).startswith(_PASSING_STATES)


def _first_line(error: BaseException) -> str:
    original = getattr(error, "orig", None) or error
    return (str(original) or type(original).__name__).splitlines()[0][:200]
