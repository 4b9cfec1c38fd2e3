"""The orchestrator's own handlers on a database, where alerts are decided and people's orders carried out by a stopped clock."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from prometheus_client import CollectorRegistry
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.alerts import AlertReceived
from schemas.incidents import Incident
from services.orchestrator.domain.alerts.firings import Firing
from services.orchestrator.domain.alerts.maintenance import Maintenance
from services.orchestrator.domain.deciding.ledger import Turn
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.incident import Refusal
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.handlers.commands import Answer, Commands, Request
from services.orchestrator.handlers.decider import Decider, Surroundings
from services.orchestrator.handlers.journal import Journal
from services.orchestrator.metrics import OrchestratorMetrics
from services.orchestrator.store import firings, incidents, tables, turns
from services.runtime.clock import ManualClock
from services.runtime.db import Database
from services.runtime.metrics import RuntimeMetrics
from services.runtime.outbox import Outbox
from services.runtime.work import Work
from tests.builders import ANN, NOW
from tests.support.memory_bus import MemoryBus

T = TypeVar("T")


class Office:
    """Its timers never run: what is due is done when something else is decided, or when `look` asks for it."""

    def __init__(self, database: Database, policy: Policy) -> None:
        registry = CollectorRegistry()
        outbox = Outbox("orchestrator", tables.outbox, database, MemoryBus(), RuntimeMetrics(registry))
        journal = Journal(outbox, Work(tables.work))
        self._database, self._clock = database, ManualClock(NOW)
        self._decider = Decider(journal, Surroundings(lambda: policy, _nothing_planned, dict), self._clock)
        self._commands = Commands(database, journal, lambda: policy, self._clock, OrchestratorMetrics(registry))

    async def empty(self) -> None:
        """As if nothing had ever happened."""
        async with self._database.transaction(serial=True) as connection:
            for table in tables.metadata.sorted_tables:
                await connection.execute(delete(table))

    async def take(self, *alerts: AlertReceived, now: datetime) -> None:
        """A batch from the bus."""
        self._set(now)
        async with self._database.transaction(serial=True) as connection:
            await self._decider.decide(connection, alerts)

    async def look(self, names: Sequence[str], now: datetime) -> None:
        """The timers of these incidents ring."""
        self._set(now)
        async with self._database.transaction(serial=True) as connection:
            await self._decider.decide(connection, incidents=names)

    async def ask(self, name: str, command: ask.Command, now: datetime) -> Answer | Refusal:
        """What Ann would like to be done, and the answer."""
        self._set(now)
        return await self._commands.execute(name, command, Request(ANN, "because"))

    async def incidents(self) -> dict[str, Incident]:
        """All of them, the oldest first."""
        async with self._database.read() as connection:
            page = await incidents.page(connection, only_open=False, state=None, severity=None, before=None, limit=1000)
        return {incident.id: incident for incident in reversed(page)}

    async def firings(self) -> dict[int, Firing]:
        """All of them, by the numbers of their decisions."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(tables.firings).order_by(tables.firings.c.seq))
            return {row.seq: firings.to_firing(row) for row in rows}

    async def turns(self) -> dict[int, list[Turn]]:
        """What later became of firings."""
        numbers = list(await self.firings())
        async with self._database.read() as connection:
            return await turns.of(connection, numbers)

    def _set(self, now: datetime) -> None:
        self._clock.advance(now - self._clock.now())


async def _nothing_planned(_: AsyncConnection) -> Sequence[Maintenance]:
    return ()
