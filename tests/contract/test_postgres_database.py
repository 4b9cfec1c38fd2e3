"""PostgreSQL keeps the contract; and what happens when it goes away."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import insert, text

from services.runtime.bus.port import Message
from services.runtime.db import Database
from services.runtime.errors import DatabaseUnavailable
from tests.contract.database_contract import (
    PATIENCE,
    DatabaseContract,
    an_outbox,
    broken,
    create_tables,
    names,
    notes,
    put,
    write,
)
from tests.contract.duty_contract import DutyContract
from tests.contract.explain_contract import ExplainContract
from tests.contract.maintenance_contract import MaintenanceContract
from tests.contract.regroup_contract import RegroupContract
from tests.support.memory_bus import MemoryBus
from tests.support.postgres import PostgresServer


@pytest.fixture
async def pair(postgres: PostgresServer) -> AsyncIterator[tuple[Database, Database]]:
    """The same new database twice, as two processes would have it."""
    url = postgres.create_database()
    pair = Database(url, "test"), Database(url, "test")
    yield pair
    for database in pair:
        await database.stop()


@pytest.fixture
async def database(pair: tuple[Database, Database]) -> Database:
    await create_tables(pair[0])
    return pair[0]


class TestPostgresDatabase(DatabaseContract, DutyContract, MaintenanceContract, RegroupContract, ExplainContract):
    """The neighbour has connections of its own."""

    @pytest.fixture
    def neighbour(self, pair: tuple[Database, Database]) -> Database:
        return pair[1]

    @pytest.fixture
    def empty(self, pair: tuple[Database, Database]) -> Database:
        return pair[0]

    @pytest.fixture
    def empty_neighbour(self, pair: tuple[Database, Database]) -> Database:
        return pair[1]


async def test_services_do_not_see_each_others_tables(postgres: PostgresServer) -> None:
    url = postgres.create_database()
    services = [Database(url, name) for name in ("one", "two")]
    for number, database in enumerate(services):
        await create_tables(database)
        await write(database, f"of {number}")
    assert [await names(database) for database in services] == [["of 0"], ["of 1"]]
    for database in services:
        await database.stop()


async def test_a_database_that_is_not_there_is_told(postgres: PostgresServer) -> None:
    database = Database(f"{postgres.address}/nowhere", "test")
    with pytest.raises(DatabaseUnavailable, match='database "nowhere" does not exist'):
        await database.start()
    await database.stop()


@pytest.mark.parametrize("host", ["127.0.0.1:1", "no-such-host.invalid:5432"])
async def test_a_server_that_is_not_there_is_told(host: str) -> None:
    database = Database(f"postgresql://tocsin@{host}/x", "test")
    with pytest.raises(DatabaseUnavailable, match="does not answer"):
        await database.start()
    await database.stop()


async def test_a_message_committed_late_is_not_skipped(pair: tuple[Database, Database], database: Database) -> None:
    bus = MemoryBus()
    outbox = an_outbox(database, bus)
    async with database.transaction() as connection:
        await outbox.put(connection, [Message("t", "late", b"late")])
        await put(an_outbox(pair[1], bus), ("early", "early"))
        await outbox.publish_round()
        assert [message.key for message in bus.messages] == ["early"]
    await outbox.publish_round()
    assert [message.key for message in bus.messages] == ["early", "late"]


async def test_a_statement_that_takes_too_long_may_be_tried_again(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with database.transaction() as connection:
            await connection.execute(text("SET LOCAL statement_timeout = 50"))
            await connection.execute(text("SELECT pg_sleep(5)"))
    await write(database, "a")


async def test_a_deadlock_may_be_tried_again(database: Database) -> None:
    await write(database, "a", number=0)
    await write(database, "b", number=0)
    both = asyncio.Barrier(2)

    async def cross(first: str, second: str) -> None:
        async with database.transaction() as connection:
            await connection.execute(notes.update().where(notes.c.name == first).values(number=1))
            await both.wait()
            await connection.execute(notes.update().where(notes.c.name == second).values(number=1))

    told = await asyncio.gather(cross("a", "b"), cross("b", "a"), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in told) == ["DatabaseUnavailable", "NoneType"]


async def test_connections_cut_off_are_made_anew(database: Database) -> None:
    await asyncio.gather(*(names(database) for _ in range(5)))
    with pytest.raises(DatabaseUnavailable):
        async with database.transaction() as connection:
            await connection.execute(insert(notes).values(name="lost"))
            cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tocsin-test'"
            await connection.execute(text(cut))
    async with asyncio.timeout(PATIENCE):
        while not await works(database):
            pass
    assert await names(database) == []


async def works(database: Database) -> bool:
    try:
        await names(database)
    except DatabaseUnavailable:
        return False
    return True


@pytest.fixture
def fragile(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A server of the test's own, that may be hurt; asking for the shared one tells whether there can be any."""
    assert postgres
    server = PostgresServer(own=True)
    server.start()
    yield server
    server.stop()


async def test_a_server_that_goes_and_comes(fragile: PostgresServer) -> None:
    database = Database(fragile.create_database(), "test")
    await create_tables(database)
    await write(database, "before")
    await asyncio.to_thread(fragile.down)
    async with asyncio.timeout(PATIENCE):
        for _ in range(3):
            await broken(database)
    await asyncio.to_thread(fragile.up)
    async with asyncio.timeout(PATIENCE):
        while not await works(database):
            pass
    await write(database, "after")
    assert await names(database) == ["after", "before"]
    await database.stop()
