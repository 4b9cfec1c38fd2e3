"""A history that is decided on a real database, and candidates that follow it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.alerts import AlertReceived
from schemas.incidents import Actor, Incident
from schemas.vocabulary import ActorKind
from services.orchestrator.domain import commands as ask
from services.orchestrator.domain.ledger import Outcome
from services.orchestrator.domain.maintenance import Maintenance
from services.orchestrator.domain.policy import Policy
from services.orchestrator.handlers.commands import Commands, Request
from services.orchestrator.handlers.decider import Decider, Surroundings
from services.orchestrator.handlers.journal import Journal
from services.orchestrator.handlers.shadow import Follower
from services.orchestrator.metrics import OrchestratorMetrics, ShadowMetrics
from services.orchestrator.store import incidents, tables
from services.runtime.clock import ManualClock
from services.runtime.db import Database
from services.runtime.metrics import RuntimeMetrics
from services.runtime.migrate import migrate
from services.runtime.outbox import Outbox
from services.runtime.work import Work
from tests.builders import NOW, POLICY, an_alert, resolved
from tests.support.memory_bus import MemoryBus

HISTORY = "services.orchestrator.store.migrations"


@dataclass
class House:
    """Decides and stores as the orchestrator does, by a stopped clock."""

    database: Database
    policy: Policy = POLICY
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))

    async def start(self) -> "House":
        await migrate(self.database, HISTORY)
        registry, metrics = CollectorRegistry(), RuntimeMetrics(CollectorRegistry())
        outbox = Outbox("orchestrator", tables.outbox, self.database, MemoryBus(), metrics)
        self.journal = Journal(outbox, Work(tables.work))
        self.decider = Decider(self.journal, Surroundings(lambda: self.policy, _no_windows, dict), self.clock)
        self.commands = Commands(
            self.database, self.journal, lambda: self.policy, self.clock, OrchestratorMetrics(registry)
        )  # fmt: skip
        return self

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def pass_time(self, **span: float) -> None:
        self.clock.advance(timedelta(**span))

    async def take(self, *alerts: AlertReceived) -> Outcome:
        """Decide a batch at this moment; without alerts what is due."""
        async with self.database.transaction(serial=True) as connection:
            outcome = await self.decider.decide(connection, alerts)
        self.pass_time(microseconds=1)
        return outcome

    async def fire(self, *names: str, **labels: Any) -> Outcome:
        return await self.take(*(an_alert(name, starts_at=self.now, **labels) for name in names))

    async def over(self, name: str, **labels: Any) -> Outcome:
        return await self.take(resolved(an_alert(name, **labels), self.now))

    async def do(self, incident: str, command: ask.Command) -> Any:
        """What a person does."""
        answer = await self.commands.execute(incident, command, Request(Actor(kind=ActorKind.PERSON, name="ann"), "because"))
        self.pass_time(microseconds=1)
        return answer

    async def open_incidents(self) -> list[Incident]:
        async with self.database.read() as connection:
            return await incidents.open_ones(connection)

    def follower(self, candidate: Policy | None = None, database: Database | None = None) -> Follower:
        """A follower as another process would have it."""
        return Follower(database or self.database, lambda: candidate, self.clock, ShadowMetrics(CollectorRegistry()))

    async def decisions(self, policy: str) -> list[Any]:
        """What is stored of a candidate, in the order of the decisions."""
        query = select(tables.shadow_decisions).where(tables.shadow_decisions.c.policy == policy)
        async with self.database.read() as connection:
            return list(await connection.execute(query.order_by(tables.shadow_decisions.c.seq)))

    async def openings(self, policy: str) -> list[Any]:
        query = select(tables.shadow_openings).where(tables.shadow_openings.c.policy == policy)
        async with self.database.read() as connection:
            return list(await connection.execute(query.order_by(tables.shadow_openings.c.seq)))


async def _no_windows(_: AsyncConnection) -> Sequence[Maintenance]:
    return ()


async def follow(follower: Follower) -> None:
    """Until there is nothing more."""
    while await follower.round():
        pass
