"""kill -9 in the middle of a storm: nothing that was answered 200 is lost, nothing is decided or opened twice."""

import asyncio
import sqlite3
from pathlib import Path

import asyncpg
import pytest

from tests.support.journal import Journal, storm
from tests.support.kafka import KafkaServer
from tests.support.postgres import PostgresServer
from tests.support.stack import Stack, stack

SERVICES = 5


async def test_killing_the_embedded_process(tmp_path: Path) -> None:
    async with stack(tmp_path) as system:
        journal = Journal(system.webhook_url)
        delivering = asyncio.create_task(journal.deliver(storm(2000, 50, services=SERVICES)))
        while len(journal.accepted) < 600:
            await asyncio.sleep(0.001)
        accepted, child = len(journal.accepted), system.processes["all"]
        child.kill()
        decided = _decided_on_disk(child.folder / "data" / "orchestrator.db")
        assert accepted - decided >= 50, f"{accepted} accepted, {decided} decided: the kill came too late to prove anything"
        child.start()
        await delivering
        await _all_is_well(system, journal)


@pytest.mark.parametrize("victim", ["ingest", "orchestrator", "notifier"])
async def test_killing_one_of_three(victim: str, tmp_path: Path, kafka: KafkaServer, postgres: PostgresServer) -> None:
    async with stack(tmp_path, kafka=kafka, postgres=postgres) as system:
        database = system.processes["orchestrator"].environment["TOCSIN_DATABASE"]
        journal = Journal(system.webhook_url)
        delivering = asyncio.create_task(journal.deliver(storm(2000, 50, services=SERVICES)))
        accepted = 0
        while accepted - await _decided_in(database) < 50:
            await asyncio.sleep(0.001)
            accepted = len(journal.accepted)
        system.processes[victim].kill()
        await asyncio.sleep(0.2)
        system.processes[victim].start()
        await delivering
        await _all_is_well(system, journal)


async def _all_is_well(system: Stack, journal: Journal) -> None:
    for child in system.processes.values():
        await child.ready()
    await journal.settled(system.client)
    assert len(await system.client.all("/incidents")) == SERVICES
    roots = [message for message in system.slack.messages() if "thread_ts" not in message]
    assert len(roots) == SERVICES, "one living message per incident"
    system.slack.assert_clean()


def _decided_on_disk(path: Path) -> int:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        count: int = connection.execute("SELECT count(*) FROM firings").fetchone()[0]
    connection.close()
    return count


async def _decided_in(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        count: int = await connection.fetchval("SELECT count(*) FROM orchestrator.firings")
        return count
    finally:
        await connection.close()
