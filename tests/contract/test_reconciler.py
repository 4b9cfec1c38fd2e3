"""Rounds of asking Alertmanager on both databases: what is stored, what is told, and what happens meanwhile."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.alerts import AlertReceived
from schemas.incidents import Incident
from schemas.vocabulary import FiringState
from services.orchestrator.adapters.alertmanager import Cluster, ask
from services.orchestrator.domain.alerts.firings import Firing
from services.orchestrator.domain.alerts.maintenance import Maintenance
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.handlers.decider import Decider, Surroundings
from services.orchestrator.handlers.journal import Journal
from services.orchestrator.handlers.reconcile import RECONCILE, Reconciler, Rounds
from services.orchestrator.metrics import OrchestratorMetrics
from services.orchestrator.store import firings, incidents, open_firings, tables
from services.runtime.clock import ManualClock
from services.runtime.db import Database
from services.runtime.metrics import RuntimeMetrics
from services.runtime.migrate import migrate
from services.runtime.outbox import Outbox
from services.runtime.work import Claimed, Work
from tests.builders import NOW, POLICY, an_alert, minutes, resolved
from tests.support.alertmanager_standin import Standin, an_item, answering
from tests.support.memory_bus import MemoryBus

MINUTE = timedelta(minutes=1)


@dataclass
class Bench:
    """A reconciler with what it stands on, and an Alertmanager that says what it is told to."""

    database: Database
    peer: Standin
    rounds: Rounds
    policy: Policy = POLICY
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))

    def __post_init__(self) -> None:
        registry = CollectorRegistry()
        outbox = Outbox("orchestrator", tables.outbox, self.database, MemoryBus(), RuntimeMetrics(registry))
        journal = Journal(outbox, Work(tables.work))

        async def windows(_: AsyncConnection) -> Sequence[Maintenance]:
            return ()

        self.decider = Decider(journal, Surroundings(lambda: self.policy, windows, dict), self.clock)
        self.work, metrics = journal.work, OrchestratorMetrics(registry)
        self.reconciler = Reconciler(
            self.database, journal, self.decider, lambda: self.rounds, lambda: self.policy, self.clock, metrics
        )

    async def take(self, *alerts: AlertReceived) -> None:
        async with self.database.transaction(serial=True) as connection:
            await self.decider.decide(connection, alerts)

    def lists(self, *items: dict[str, Any]) -> None:
        self.peer.routes["/api/v2/alerts"] = answering(list(items))

    async def claim(self, after: timedelta = MINUTE) -> Claimed:
        self.clock.advance(after)
        async with self.database.transaction() as connection:
            [claimed] = await self.work.claim(connection, RECONCILE, 5, self.clock.now())
        return claimed

    async def round(self, after: timedelta = MINUTE) -> None:
        await self.reconciler.round(await self.claim(after))

    async def due_at(self) -> datetime:
        async with self.database.read() as connection:
            found: datetime = (await connection.execute(select(tables.work.c.due_at))).scalar_one()
        return found

    async def latest(self, alert: AlertReceived) -> Firing:
        async with self.database.read() as connection:
            return (await firings.latest(connection, [alert.fingerprint]))[alert.fingerprint]

    async def incident(self) -> Incident:
        async with self.database.read() as connection:
            found = await incidents.get(connection, "INC-1")
        assert found
        return found

    async def types(self) -> list[str]:
        async with self.database.read() as connection:
            return [line["type"].split(".")[2] for line in await incidents.timeline(connection, "INC-1", 0, 100)]


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path}/orchestrator.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").create_database()
    database = Database(url, "orchestrator")
    await migrate(database, "services.orchestrator.store.migrations")
    yield database
    await database.stop()


@pytest.fixture
async def bench(database: Database) -> AsyncIterator[Bench]:
    peer = Standin()
    with peer.serving() as url:
        bench = Bench(database, peer, Rounds(timedelta(hours=8), MINUTE, (url,), partial(ask, Cluster((url,)))))
        begun = asyncio.create_task(bench.reconciler.begin())
        while not await pending(database):
            await asyncio.sleep(0)
        yield bench
        begun.cancel()
        with suppress(asyncio.CancelledError):
            await begun


async def pending(database: Database) -> bool:
    async with database.read() as connection:
        return (await connection.execute(select(tables.work.c.id))).first() is not None


def listed(alert: AlertReceived, ends: datetime = NOW + timedelta(hours=1), **status: Any) -> dict[str, Any]:
    return an_item(alert.fingerprint, alert.labels["alertname"], **status) | {"endsAt": ends.isoformat()}


async def test_nobody_is_asked_when_nothing_is_open(bench: Bench) -> None:
    await bench.round()
    await bench.take(an_alert(), resolved(an_alert(), NOW + minutes(1)))
    await bench.round()
    assert bench.peer.asked == []


async def test_the_next_round_is_settled_before_anybody_is_asked(bench: Bench) -> None:
    await bench.take(an_alert())
    due = []

    def respond(handler: Any) -> None:
        due.append(asyncio.run_coroutine_threadsafe(bench.due_at(), loop).result(10))
        answering([])(handler)

    loop = asyncio.get_running_loop()
    bench.peer.routes["/api/v2/alerts"] = respond
    await bench.round()
    assert due == [NOW + minutes(2)]


async def test_what_is_stored_comes_back(bench: Bench) -> None:
    alert, ends = an_alert(), NOW + minutes(30)
    await bench.take(alert)
    bench.lists(listed(alert, ends, silencedBy=["s"]))
    await bench.round()
    firing = await bench.latest(alert)
    assert (firing.state, firing.muted_by, firing.expires_at) == (FiringState.MUTED, "silenced (silence s)", ends)
    bench.lists()
    await bench.round(minutes(40))
    firing = await bench.latest(alert)
    assert (firing.state, firing.ends_at, firing.presumed_over) == (FiringState.RESOLVED, ends, True)
    assert (firing.closed_at, firing.closed_before, firing.muted_by) == (NOW + minutes(41), 2, None)
    counts = (await bench.incident()).alerts
    assert (counts.muted, counts.resolved, counts.gating) == (0, 1, 0)
    assert await bench.types() == ["opened", "alerts_restated", "alerts_resolved"]


async def test_ten_thousand_firings_stay_a_handful_of_events(bench: Bench) -> None:
    alerts = [an_alert(instance=f"web-{number}") for number in range(10_000)]
    await bench.take(*alerts)
    bench.lists(*(listed(alert, silencedBy=["s"]) for alert in alerts))
    await bench.round()
    bench.lists(*(listed(alert) for alert in alerts))
    await bench.round()
    bench.lists()
    await bench.round(timedelta(hours=2))
    counts = (await bench.incident()).alerts
    assert (counts.firing, counts.muted, counts.resolved, counts.gating) == (0, 0, 10_000, 0)
    assert await bench.types() == ["opened", "alerts_attached", "alerts_restated", "alerts_restated", "alerts_resolved"]
    async with bench.database.read() as connection:
        assert await open_firings.count(connection) == {}


async def test_a_webhook_that_comes_while_they_are_asked_is_not_overruled(bench: Bench) -> None:
    """It is resolved, and another one fires, after the list was made that says otherwise."""
    alert, other = an_alert(), an_alert("Other")
    await bench.take(alert)
    asked, told = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def respond(handler: Any) -> None:
        loop.call_soon_threadsafe(asked.set)
        told.wait(10)
        answering([listed(alert, silencedBy=["s"])])(handler)

    bench.peer.routes["/api/v2/alerts"] = respond
    running = asyncio.create_task(bench.round())
    await asked.wait()
    moment = NOW + minutes(1)
    await bench.take(resolved(alert, moment), other.model_copy(update={"received_at": moment}))
    told.set()
    await running
    assert (await bench.latest(alert)).state is FiringState.RESOLVED
    assert (await bench.latest(other)).state is FiringState.FIRING
    assert await bench.types() == ["opened", "alerts_attached", "alerts_resolved"]


async def test_what_was_due_is_done_before(bench: Bench) -> None:
    """The quiet period of five minutes ends before the next round finds that a lesser alert is muted."""
    minor = an_alert("Minor", severity="s4")
    await bench.take(an_alert(), minor)
    await bench.take(resolved(an_alert(), NOW + minutes(1)))
    bench.lists(listed(minor, silencedBy=["s"]))
    await bench.round(minutes(30))
    assert await bench.types() == ["opened", "alerts_attached", "alerts_resolved", "mitigation_proposed", "alerts_restated"]


async def test_a_round_that_is_still_busy_is_not_doubled(bench: Bench) -> None:
    await bench.take(an_alert())
    asked, told = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def respond(handler: Any) -> None:
        loop.call_soon_threadsafe(asked.set)
        told.wait(10)
        answering([])(handler)

    bench.peer.routes["/api/v2/alerts"] = respond
    running = asyncio.create_task(bench.round())
    await asked.wait()
    await bench.round()
    told.set()
    await running
    assert len([path for path in bench.peer.asked if "alerts" in path]) == 1
    assert await bench.due_at() == NOW + minutes(3)


async def test_a_reload_has_a_round_at_once(bench: Bench) -> None:
    await bench.round()
    bench.rounds = replace(bench.rounds, interval=timedelta(hours=1))
    bench.policy = replace(POLICY, version="sha256:another")
    bench.clock.advance(timedelta(seconds=5))
    async with asyncio.timeout(10):
        while await bench.due_at() != bench.clock.now():
            await asyncio.sleep(0)
    await bench.round(timedelta(0))
    assert await bench.due_at() == bench.clock.now() + timedelta(hours=1)
