"""A notifier that runs: real bus, real database, and Slack's stand-in; events go in, and what people see comes out."""

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from schemas.catalogue import decode
from schemas.deliveries import DeliveryOutcome
from schemas.incidents import IncidentEvent
from schemas.topics import DELIVERIES
from services.config import Config, ConfigFile, SlackSection
from services.notifier import app
from services.runtime.auth import Grant, token_hash
from services.runtime.bus.sqlite import SqliteBus
from services.runtime.clock import Clock, ManualClock
from services.runtime.db import Database
from services.runtime.lifecycle import Part, running
from services.runtime.metrics import RuntimeMetrics
from services.runtime.web import Operations, new_web
from tests.support.slack import SlackServer
from tests.unit.notifier.events import message

TOKEN = "tocsin_test"
READER = "tocsin_reader"


async def until(holds: Callable[[], Awaitable[bool]], timeout: float = 5) -> None:
    """For what tells nobody when it changes."""
    async with asyncio.timeout(timeout):
        while not await holds():
            await asyncio.sleep(0.005)


@dataclass
class House:
    """A running notifier and its surroundings."""

    bus: SqliteBus
    clock: Clock
    database: Database
    slack: SlackServer
    registry: CollectorRegistry
    part: Part
    web: FastAPI
    config: ConfigFile

    async def tell(self, *events: IncidentEvent) -> None:
        await self.bus.publish([message(event) for event in events])

    def advance(self, seconds: float) -> None:
        assert isinstance(self.clock, ManualClock)
        self.clock.advance(timedelta(seconds=seconds))

    @asynccontextmanager
    async def client(self, token: str = TOKEN) -> AsyncIterator[httpx2.AsyncClient]:
        """As a browser does: Basic, with the token as password."""
        basic = base64.b64encode(f"any:{token}".encode()).decode()
        transport = httpx2.ASGITransport(app=self.web)
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://tocsin.test", headers={"Authorization": f"Basic {basic}"}
        ) as client:
            yield client

    async def page(self) -> str:
        async with self.client() as client:
            return (await client.get("/")).text

    async def deliveries(self, **query: Any) -> list[dict[str, Any]]:
        """Newest first, all of them."""
        async with self.client() as client:
            answer = (await client.get("/api/v1/deliveries", params={"limit": 200, **query})).json()
        return list(answer["items"])

    async def ended(self, channel: str, *states: str) -> list[dict[str, Any]]:
        """The deliveries of a channel in the order of planning, once they are in these states.

        `waiting` is one that is pending after a try that failed.
        """
        found: list[dict[str, Any]] = []

        async def there() -> bool:
            found[:] = [each for each in reversed(await self.deliveries()) if each["channel"] == channel]
            return [_label(each) for each in found] == list(states)

        try:
            await until(there)
        except TimeoutError:
            raise AssertionError(f"expected {states}, found {[(_label(each), each['reason']) for each in found]}") from None
        return found

    async def counted(self, channel: str, **states: int) -> None:
        """Return once so many deliveries of a channel are in each state."""
        seen: Counter[str] = Counter()

        async def there() -> bool:
            seen.clear()
            seen.update(_label(each) for each in await self.deliveries() if each["channel"] == channel)
            return seen == states

        try:
            await until(there)
        except TimeoutError:
            raise AssertionError(f"expected {states}, found {dict(seen)}") from None

    async def outcomes(self, count: int) -> list[DeliveryOutcome]:
        """What was published of the notifier's own work, once there is so much of it."""
        found: list[DeliveryOutcome] = []

        async def there() -> bool:
            found[:] = [self._outcome(record.value) for record in await self.bus.read(DELIVERIES, -1, 100)]
            return len(found) >= count

        await until(there)
        return found

    @staticmethod
    def _outcome(value: bytes) -> DeliveryOutcome:
        _, data = decode(value)
        assert isinstance(data, DeliveryOutcome)
        return data

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def open_house(
    folder: Path,
    slack: SlackServer,
    *,
    clock: Clock | None = None,
    url: str | None = None,
    with_slack: bool = True,
    token_file: Path | None = None,
) -> AsyncIterator[House]:
    """`url` is that of the database, by default a file in the folder. The Slack stand-in is started by the caller.

    The token comes from the environment, or from `token_file`.
    """
    clock = clock or ManualClock(datetime.now(UTC))
    registry = CollectorRegistry()
    metrics = RuntimeMetrics(registry)
    bus = SqliteBus(folder / "bus.db", clock)
    database = Database(url or f"sqlite:///{folder}/notifier.db", "notifier")
    section = SlackSection(api_url=slack.url, token_file=token_file) if with_slack else None
    config = ConfigFile(None, Config(slack=section), "sha256:test")
    grants = (
        Grant(token_hash(TOKEN), "test", frozenset({"admin"})),
        Grant(token_hash(READER), "reader", frozenset({"read"})),
    )
    part = app.build(
        bus=bus, clock=clock, config=config, grants=lambda: grants, database=database, metrics=metrics, registry=registry,
        base_url="http://tocsin.test", slack_token=slack.token if with_slack and token_file is None else None,
    )  # fmt: skip
    web = new_web("test", Operations(registry, part.readiness, _no_reload, lambda: grants, list(part.routers)))
    async with AsyncExitStack() as stack:
        await bus.start()
        stack.push_async_callback(bus.stop)
        await stack.enter_async_context(running([part], metrics))
        yield House(bus, clock, database, slack, registry, part, web, config)


def _label(delivery: dict[str, Any]) -> str:
    waiting = delivery["state"] == "pending" and delivery["attempts"] > 0
    return "waiting" if waiting else str(delivery["state"])


async def _no_reload() -> None:
    return None
