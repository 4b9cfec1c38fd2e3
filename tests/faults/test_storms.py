"""Very many alerts, hostile alerts, and an orderly end under load."""

import asyncio
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiokafka import AIOKafkaProducer

from schemas import topics
from schemas.alerts import AlertReceived
from schemas.catalogue import decode, encode
from schemas.deadletters import DeadLetter
from services.runtime.bus.kafka import KafkaBus
from services.runtime.bus.port import Message
from services.runtime.clock import Clock
from tests.builders import an_alert
from tests.support.journal import Journal, storm
from tests.support.kafka import KafkaServer
from tests.support.postgres import PostgresServer
from tests.support.stack import Stack, stack
from tests.support.tocsin import TOKEN, eventually

_ALERT = b'{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"%s"},"startsAt":"%s-11-23T00:00:00Z"}]}'
HOSTILE = [
    b"\xff\xfe",
    b"",
    b"null",
    b"[]",
    b"{",
    b'{"version":"4"',
    b"[" * 10_000,
    b'{"version":"4","alerts":[{"labels":' + b'{"a":' * 5_000,
    b'{"version":"4","alerts":{}}',
    b'{"version":4,"alerts":[]}',
    b'{"version":"4","alerts":[NaN]}',
    _ALERT % (b"\\u0000", b"2026"),
    _ALERT % (b"\\ud800", b"2026"),
    _ALERT % (b"x", b"9999"),
]
UNKNOWN = (
    b'{"specversion":"1.0","id":"1","source":"x","type":"tocsin.alert.received.v9",'
    b'"subject":"","time":"2026-11-23T00:00:00Z","data":{}}'
)
POISON = [b"", b"\xff", b"{}", b"[1]", b'{"specversion":"1.0"}', b"NaN", b"[" * 20_000]
_FACT = encode(AlertReceived.TYPE, an_alert(), id="1", source="x", subject="x")
_MOMENT = rb'"\d{4}-\d\d-\d\dT[^"]*"'
EXTREME = [re.sub(_MOMENT, b'"%s"' % date, _FACT) for date in (b"0001-01-01T00:00:00+05:00", b"9999-12-31T23:59:59-05:00")]
RAW = [(b"\xff", b"\xff" * 900_000), (b"\xff" * 1000, UNKNOWN), *((b"\x00\xff", fact) for fact in EXTREME)]
"""Keys and values that another program may write, and ours would not."""


async def test_hostile_webhooks_are_refused_in_words(tmp_path: Path) -> None:
    async with stack(tmp_path) as system, httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as http:
        for body in HOSTILE:
            answer = await http.post(system.webhook_url, content=body)
            assert answer.status_code == 400, body[:60]
            assert answer.json()["detail"], body[:60]
        assert (await system.client.send(an_alert())).status_code == 200
        await eventually(system.client.incident, lambda incident: incident["id"] == "INC-1")


async def test_poison_on_the_bus_never_stops_a_partition(tmp_path: Path, kafka: KafkaServer, postgres: PostgresServer) -> None:
    async with stack(tmp_path, kafka=kafka, postgres=postgres) as system:
        bus = KafkaBus(kafka.address, Clock())
        await bus.start()
        try:
            keys = [f"key-{number}" for number in range(24)]
            await bus.publish([Message(topics.ALERTS, key, value) for key in keys for value in [*POISON, UNKNOWN]])
            await _publish_raw(kafka, RAW)
            started = time.monotonic()
            journal = Journal(system.webhook_url)
            await journal.deliver(storm(100, 20))
            await journal.settled(system.client)
            assert time.monotonic() - started < 20
            letters = await bus.read(topics.DEADLETTERS, -1, 1000)
            assert len(letters) == len(keys) * (len(POISON) + 1) + len(RAW)
            assert sum(b'"unsupported"' in letter.value for letter in letters) == len(keys) + 1
            assert all(isinstance(decode(letter.value)[1], DeadLetter) for letter in letters)
        finally:
            await bus.stop()


async def _publish_raw(kafka: KafkaServer, records: Sequence[tuple[bytes, bytes]]) -> None:
    producer: Any = AIOKafkaProducer(bootstrap_servers=kafka.address)  # type: ignore[no-untyped-call]  # has no annotations
    await producer.start()
    try:
        for key, value in records:
            await producer.send_and_wait(topics.ALERTS, value, key, timestamp_ms=2**62)
    finally:
        await producer.stop()


@pytest.fixture(params=["embedded", "three processes"])
def parts(request: pytest.FixtureRequest) -> dict[str, object]:
    if request.param == "embedded":
        return {}
    return {"kafka": request.getfixturevalue("kafka"), "postgres": request.getfixturevalue("postgres")}


@pytest.mark.parametrize("per_webhook", [10_000, 100])
async def test_ten_thousand_alerts(per_webhook: int, parts: dict[str, object], tmp_path: Path) -> None:
    async with stack(tmp_path, **parts) as system:  # type: ignore[arg-type]  # the fixture's values are what it takes
        journal = Journal(system.webhook_url)
        started = time.monotonic()
        lesser = storm(9_999, per_webhook, severity="s4", services=50)
        lesser[-1].append(an_alert("TheOne", service="needle"))
        await journal.deliver(lesser)
        await system.slack.wait_for(lambda server: "TheOne" in str(server.messages()), timeout=15)
        assert time.monotonic() - started < 60
        await journal.settled(system.client)
        assert len(await system.client.all("/incidents")) == 1
        assert all(_megabytes(child.process.pid) < 512 for child in system.processes.values() if child.process)
        assert len(system.slack.calls) <= 60


def _megabytes(pid: int) -> float:
    """The most resident memory the process ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


async def test_sigterm_under_load(parts: dict[str, object], tmp_path: Path) -> None:
    async with stack(tmp_path, **parts) as system:  # type: ignore[arg-type]  # the fixture's values are what it takes
        journal = Journal(system.webhook_url)
        delivering = asyncio.create_task(journal.deliver(storm(3_000, 25)))
        await _some_accepted(journal, 300)
        for child in system.processes.values():
            assert await child.terminate(within=10) == 0
            child.start()
        await delivering
        for child in system.processes.values():
            await child.ready()
        await journal.settled(system.client)
        _no_traceback(system)


async def _some_accepted(journal: Journal, count: int) -> None:
    while len(journal.accepted) < count:
        await asyncio.sleep(0.005)


def _no_traceback(system: Stack) -> None:
    for child in system.processes.values():
        assert "Traceback" not in child.log.read_text(), child.log
