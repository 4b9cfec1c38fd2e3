"""The embedded database keeps the contract; and what only it promises."""

import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from services.runtime.db import Database
from services.runtime.errors import DatabaseUnavailable
from tests.contract.database_contract import DatabaseContract, answered, create_tables, names, notes, until, write
from tests.contract.duty_contract import DutyContract
from tests.contract.explain_contract import ExplainContract
from tests.contract.maintenance_contract import MaintenanceContract
from tests.contract.regroup_contract import RegroupContract


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "with space" / "test.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{path}", "test")
    await create_tables(database)
    yield database
    await database.stop()


class TestSqliteDatabase(DatabaseContract, DutyContract, MaintenanceContract, RegroupContract, ExplainContract):
    """One process, one writer: the neighbour is the same object."""

    @pytest.fixture
    def neighbour(self, database: Database) -> Database:
        return database

    @pytest.fixture
    async def empty(self, tmp_path: Path) -> AsyncIterator[Database]:
        database = Database(f"sqlite:///{tmp_path}/empty.db", "test")
        yield database
        await database.stop()

    @pytest.fixture
    def empty_neighbour(self, empty: Database) -> Database:
        return empty


async def test_every_commit_reaches_the_disk(database: Database) -> None:
    async with database.transaction() as connection:
        pragmas = [(await connection.execute(text(f"PRAGMA {name}"))).scalar_one() for name in ("journal_mode", "synchronous")]
    assert pragmas == ["wal", 2]


async def test_readers_cannot_write(database: Database) -> None:
    with pytest.raises((DBAPIError, DatabaseUnavailable), match="readonly"):
        async with database.read() as connection:
            await connection.execute(insert(notes).values(name="a"))
    assert await names(database) == []


async def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(insert(notes).values(name="a"))
        assert await names(database) == []


async def test_another_process_sees_what_was_committed(database: Database, path: Path) -> None:
    await write(database, "a")
    other = sqlite3.connect(path)
    assert other.execute("SELECT name FROM notes").fetchall() == [("a",)]
    other.close()


async def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    before = threading.active_count()
    database = Database(f"sqlite:///{tmp_path}/folder", "test")
    with pytest.raises(DatabaseUnavailable, match="unable to open"):
        await database.start()
    await database.stop()
    await until(lambda: answered(threading.active_count() == before))  # the driver's thread still needs our event loop
