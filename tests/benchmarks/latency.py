"""From sending a webhook that opens an incident to the call that Slack receives, idle and under 200 webhooks/s.

Each probe opens an incident of its own; they are a second apart, since Slack takes one message per second and channel.
The load is webhooks of one S4 alert each, which are decided and recorded.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx2

from tests.benchmarks.report import Row, quantile
from tests.builders import an_alert, webhook
from tests.support.kafka import KafkaServer
from tests.support.postgres import PostgresServer
from tests.support.slack import SlackServer
from tests.support.stack import Stack, stack
from tests.support.tocsin import TOKEN

PROBES, PAUSE, LOAD = 30, 1.02, 200
AIMS = {"idle": (10.0, 50.0), f"at {LOAD} webhooks/s": (25.0, 150.0)}


async def measure(kafka: KafkaServer, postgres: PostgresServer, folder: Path) -> list[Row]:
    """Three processes on Kafka and PostgreSQL, then embedded (which has no aim of its own)."""
    rows = []
    for name, parts in (("Kafka and PostgreSQL", {"kafka": kafka, "postgres": postgres}), ("embedded", {})):
        place = folder / f"latency-{name.split()[0]}"
        place.mkdir()
        async with stack(place, **parts) as system:  # type: ignore[arg-type]  # the values are what it takes
            await _probes(system, "warm", 5)
            rows.append(_row(name, "idle", await _probes(system, "idle", PROBES)))
            async with _load(system):
                rows.append(_row(name, f"at {LOAD} webhooks/s", await _probes(system, "load", PROBES)))
    return rows


def _row(where: str, how: str, waits: list[float]) -> Row:
    half, most = quantile(waits, 0.5), quantile(waits, 0.99)
    aim_half, aim_most = AIMS[how]
    figure = f"p50 {half:.1f} ms, p99 {most:.1f} ms"
    raw = f"{len(waits)} probes, best {min(waits):.1f} ms, worst {max(waits):.1f} ms"
    met = half <= aim_half and most <= aim_most
    return Row(f"webhook → Slack call, {where}, {how}", figure, f"p50 ≤ {aim_half:.0f}, p99 ≤ {aim_most:.0f}", met, raw)


async def _probes(system: Stack, kind: str, count: int) -> list[float]:
    waits = []
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30) as http:
        for number in range(count):
            name = f"{kind}-{number}"
            body = json.dumps(webhook(an_alert(name, service=name, starts_at=datetime.now(UTC)))).encode()
            sent = time.monotonic()
            (await http.post(system.webhook_url, content=body)).raise_for_status()
            waits.append(1000 * (await _heard(system.slack, name) - sent))
            await asyncio.sleep(max(0.0, PAUSE - (time.monotonic() - sent)))
    return waits


async def _heard(slack: SlackServer, name: str) -> float:
    """When Slack received the first call that speaks of `name`."""
    await slack.wait_for(lambda server: any(name in str(call.args) for call in server.calls[-20:]), timeout=30)
    return next(call.monotonic for call in slack.calls if name in str(call.args))


@asynccontextmanager
async def _load(system: Stack) -> AsyncIterator[None]:
    async def send(http: httpx2.AsyncClient, number: int) -> None:
        alert = an_alert("Background", severity="s4", service="noise", instance=f"h{number % 5000}", starts_at=datetime.now(UTC))
        (await http.post(system.webhook_url, content=json.dumps(webhook(alert)).encode())).raise_for_status()

    async def run() -> None:
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30) as http,
            asyncio.TaskGroup() as group,
        ):
            started, number = time.monotonic(), 0
            while True:
                group.create_task(send(http, number))
                number += 1
                await asyncio.sleep(max(0.0, started + number / LOAD - time.monotonic()))

    task = asyncio.create_task(run())
    await asyncio.sleep(2)
    try:
        yield
        assert not task.done(), "the load broke off"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
