"""Ingest as its process runs it, with a bus to look into and a stopped clock."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from schemas.catalogue import decode
from schemas.envelope import Envelope
from schemas.topics import ALERTS, DEADLETTERS
from services.ingest.app import build
from services.runtime.auth import Grant, token_hash
from services.runtime.bus.port import Bus, Record
from services.runtime.bus.sqlite import SqliteBus
from services.runtime.clock import ManualClock
from services.runtime.lifecycle import Part
from tests.support.memory_bus import MemoryBus

NOW = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)
PATH = "/webhooks/alertmanager"
SENDER, READER, ADMIN = "sender-token", "reader-token", "admin-token"
BEARER = {"Authorization": f"Bearer {SENDER}"}


def an_alert(**changes: Any) -> dict[str, Any]:
    """One alert as Alertmanager sends it."""
    labels = {"alertname": "ErrorRateHigh", "service": "web", "env": "gprd", "severity": "s1"}
    alert = {"status": "firing", "labels": labels, "annotations": {"title": "Errors"}, "startsAt": "2026-11-23T06:43:25Z"}
    return alert | {"endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": "ed7b3ad6b6f992fe"} | changes


def a_webhook(*alerts: Any, **changes: Any) -> dict[str, Any]:
    """A whole body."""
    return {"version": "4", "receiver": "a", "groupKey": "{}:{}", "externalURL": "http://am", "alerts": list(alerts)} | changes


def _grants() -> list[Grant]:
    scopes = {SENDER: "alerts", READER: "read", ADMIN: "admin"}
    return [Grant(token_hash(token), scope, frozenset({scope})) for token, scope in scopes.items()]


@dataclass
class House:
    """What a test needs of a running ingest."""

    bus: Bus
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    grants: list[Grant] = field(default_factory=_grants)

    def __post_init__(self) -> None:
        self.part: Part = build(bus=self.bus, clock=self.clock, grants=lambda: self.grants, registry=self.registry)
        self.app: ASGIApp = self.part.hot[PATH]
        transport = httpx2.ASGITransport(app=self.app)
        self.client = httpx2.AsyncClient(transport=transport, base_url="http://ingest", headers=BEARER)

    async def post(self, body: Any) -> httpx2.Response:
        """Send what Alertmanager would: bytes as they are, all else as JSON."""
        return await self.client.post(PATH, content=body if isinstance(body, bytes) else json.dumps(body).encode())

    async def records(self, topic: str) -> list[Record]:
        return await self.bus.read(topic, -1, 100_000)

    async def alerts(self) -> list[Envelope]:
        return [decode(record.value)[0] for record in await self.records(ALERTS)]

    async def letters(self) -> list[Envelope]:
        return [decode(record.value)[0] for record in await self.records(DEADLETTERS)]

    def sample(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"source": "alertmanager", **labels})


@asynccontextmanager
async def a_house(bus: Bus) -> AsyncIterator[House]:
    """Started, and stopped at the end."""
    await bus.start()
    house = House(bus)
    try:
        await house.part.start()
        yield house
        await house.client.aclose()
        await house.part.stop()
    finally:
        await bus.stop()


def a_sqlite_bus(folder: Path) -> SqliteBus:
    return SqliteBus(folder / "bus.db", ManualClock(NOW))


def a_memory_house() -> House:
    """With a bus that can be told to be away."""
    return House(MemoryBus())
