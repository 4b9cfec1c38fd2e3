"""A storm: 10,000 alerts in webhooks of 100, from the first byte sent until each decision is stored."""

import asyncio
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx2

from tests.benchmarks.report import Row
from tests.builders import an_alert, webhook
from tests.support.kafka import KafkaServer
from tests.support.postgres import PostgresServer
from tests.support.stack import Stack, stack
from tests.support.tocsin import TOKEN, eventually

ALERTS, EACH, WIDTH, AIM = 10_000, 100, 8, 4.0
LOOK = 0.15
"""Seconds between two looks, and so the most that a figure is too high; looking more often would slow down what is measured."""


async def measure(kafka: KafkaServer, postgres: PostgresServer, folder: Path) -> list[Row]:
    """Embedded, and three processes on Kafka and PostgreSQL."""
    rows = []
    for name, parts in (("embedded", {}), ("on Kafka and PostgreSQL", {"kafka": kafka, "postgres": postgres})):
        place = folder / name.split()[0]
        place.mkdir()
        async with stack(place, **parts) as system:  # type: ignore[arg-type]  # the values are what it takes
            seconds, accepted = await _storm(system)
        raw = f"all accepted after {accepted:.2f} s; {ALERTS / seconds:,.0f} alerts/s"
        rows.append(Row(f"storm of {ALERTS:,} alerts decided, {name}", f"{seconds:.2f} s", f"≤ {AIM:.0f} s", seconds <= AIM, raw))
    return rows


async def _storm(system: Stack) -> tuple[float, float]:
    bodies = _bodies()
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60) as http:

        async def send() -> None:
            while bodies:
                (await http.post(system.webhook_url, content=bodies.pop())).raise_for_status()

        started = time.monotonic()
        await asyncio.gather(*(send() for _ in range(WIDTH)))
        accepted = time.monotonic() - started
        await eventually(lambda: _decided(system), lambda count: count == ALERTS, 120, every=LOOK)
        return time.monotonic() - started, accepted


async def _decided(system: Stack) -> int:
    page = await system.client.get("/alerts", limit=1)
    return int(page["items"][0]["decision"]["seq"]) if page["items"] else 0


def _bodies() -> list[bytes]:
    now = datetime.now(UTC)
    alerts = [
        an_alert(f"Storm{n % 50}", severity="s3" if n % 10 else "s1", service=f"s{n % 20}", instance=f"h{n}", starts_at=now)
        for n in range(ALERTS)
    ]
    return [json.dumps(webhook(*alerts[start : start + EACH])).encode() for start in range(0, ALERTS, EACH)]
