"""What Tocsin stands on goes away and comes back: 503 meanwhile, nothing lost, and all resumes by itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.conftest import need
from tests.support import alertmanager as alertmanager_support
from tests.support import kafka as kafka_support
from tests.support import postgres as postgres_support
from tests.support.alertmanager import Alertmanager
from tests.support.journal import Journal, storm
from tests.support.kafka import KafkaServer
from tests.support.postgres import PostgresServer
from tests.support.stack import Stack, alertmanager_yaml, stack
from tests.support.tocsin import TOKEN, eventually

OUTAGE = 20.0


@pytest.fixture
def own_kafka(pytestconfig: pytest.Config) -> Iterator[KafkaServer]:
    """A broker to hurt."""
    need(pytestconfig, "Kafka", kafka_support.unavailable())
    server = KafkaServer(own=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_postgres(pytestconfig: pytest.Config) -> Iterator[PostgresServer]:
    """A database server to hurt."""
    need(pytestconfig, "PostgreSQL", postgres_support.unavailable())
    server = PostgresServer(own=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def on_own_kafka(own_kafka: KafkaServer, postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[Stack]:
    async with stack(tmp_path, kafka=own_kafka, postgres=postgres) as system:
        yield system


async def test_the_broker_is_killed_for_20_seconds(
    on_own_kafka: Stack, own_kafka: KafkaServer, pytestconfig: pytest.Config
) -> None:
    need(pytestconfig, "Alertmanager", alertmanager_support.unavailable())
    system, journal = on_own_kafka, Journal(on_own_kafka.webhook_url, retry_after=0.5)
    await journal.deliver(storm(100, 10))
    alertmanager = Alertmanager(alertmanager_yaml(system.webhook_url))
    alertmanager.start()
    try:
        own_kafka.kill9()
        names = [f"during-{number}" for number in range(5)]
        for name in names:
            alertmanager.fire({"alertname": name, "service": name, "severity": "s1"})
        await _every_webhook_gets_503(journal)
        own_kafka.restart()
        await journal.deliver(storm(100, 10, services=3))
        await eventually(lambda: system.client.all("/alerts"), lambda found: set(names) <= {a["name"] for a in found}, 60)
        await journal.settled(system.client)
    finally:
        alertmanager.stop()


async def _every_webhook_gets_503(journal: Journal) -> None:
    """For the time of the outage: the first within 5 s, the later ones within 200 ms."""
    ends = time.monotonic() + OUTAGE
    before = len(journal.answers)
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30) as http:
        while time.monotonic() < ends:
            assert await journal.once(http, storm(1, 1)[0]) == 503
            await asyncio.sleep(0.25)
    first, *later = journal.answers[before:]
    assert first.seconds <= 5.5
    assert len(later) >= 20
    slowest = sorted(answer.seconds for answer in later)
    assert slowest[-2] <= 0.2, f"later ones took {slowest[-3:]}"


@pytest.mark.parametrize("dead", ["killed", "frozen"])
async def test_sigterm_while_the_broker_is_dead(dead: str, on_own_kafka: Stack, own_kafka: KafkaServer) -> None:
    journal = Journal(on_own_kafka.webhook_url)
    await journal.deliver(storm(100, 10))
    if dead == "killed":
        own_kafka.kill9()
    else:
        own_kafka.sigstop()
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30) as http:
        asked = asyncio.create_task(journal.once(http, storm(1, 1)[0]))
        await asyncio.sleep(0.2)
        ends = [child.terminate(within=10) for child in on_own_kafka.processes.values()]
        assert await asyncio.gather(*ends) == [0, 0, 0]
        assert await asked == 503


async def test_postgresql_crashes_three_times(own_postgres: PostgresServer, kafka: KafkaServer, tmp_path: Path) -> None:
    async with stack(tmp_path, kafka=kafka, postgres=own_postgres) as system:
        journal = Journal(system.webhook_url)
        for _ in range(3):
            delivering = asyncio.create_task(journal.deliver(storm(500, 20)))
            await asyncio.sleep(0.3)
            await asyncio.to_thread(own_postgres.crash)
            await delivering
        await journal.settled(system.client)
        declared = await _declare(system)
        assert declared.status_code == 201
        system.slack.assert_clean()


async def test_the_database_away_is_503_for_people_and_nothing_for_alertmanager(
    own_postgres: PostgresServer, kafka: KafkaServer, tmp_path: Path
) -> None:
    async with stack(tmp_path, kafka=kafka, postgres=own_postgres) as system:
        journal = Journal(system.webhook_url)
        own_postgres.down()
        await journal.deliver(storm(10, 5))
        refused = await _declare(system)
        assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "unavailable", "5")
        own_postgres.up()
        await journal.settled(system.client)
        assert (await _declare(system)).status_code == 201


async def _declare(system: Stack) -> httpx2.Response:
    return await system.client.post("/incidents", title="By hand", severity="S2")


async def test_slack_away_keeps_nobody_waiting(tmp_path: Path) -> None:
    async with stack(tmp_path) as system:
        await system.slack.stop()
        started = time.monotonic()
        assert (await _declare(system)).status_code == 201
        assert time.monotonic() - started < 2.0
        board = await eventually(lambda: system.client.deliveries(state="sent"), lambda sent: sent)
        assert board[0]["channel"] == "board"
        await system.slack.start()
        await system.slack.wait_for(lambda server: len(server.messages()) == 1, timeout=30)


async def test_two_alertmanagers_in_a_cluster_with_retries(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    need(pytestconfig, "Alertmanager", alertmanager_support.unavailable())
    async with stack(tmp_path) as system:
        first = Alertmanager(alertmanager_yaml(system.webhook_url))
        first.start()
        second = Alertmanager(alertmanager_yaml(system.webhook_url), peers=[first])
        second.start()
        child = system.processes["all"]
        try:
            child.kill()
            for number in range(5):
                for peer in (first, second):
                    peer.fire({"alertname": f"Cluster{number}", "service": f"s{number}", "severity": "s1"})
            await asyncio.sleep(3)
            child.start()
            await child.ready()
            found = await eventually(lambda: system.client.all("/incidents"), lambda found: len(found) == 5, 60)
            assert {incident["alerts"]["firing"] for incident in found} == {1}
            for number in range(5):
                for peer in (first, second):
                    peer.resolve({"alertname": f"Cluster{number}", "service": f"s{number}", "severity": "s1"})
            await eventually(
                lambda: system.client.all("/incidents"), lambda found: all(i["proposal"] for i in found) and len(found) == 5, 60
            )
        finally:
            second.stop()
            first.stop()
