"""A history that is decided on a real database, and candidates that follow it."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.alerts import AlertReceived
from schemas.incidents import Actor, Incident
from schemas.vocabulary import ActorKind
from services.orchestrator.domain.alerts.maintenance import Maintenance
from services.orchestrator.domain.deciding.ledger import Outcome
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.handlers.commands import Commands, Request
from services.orchestrator.handlers.decider import Decider, Surroundings
from services.orchestrator.handlers.journal import Journal
from services.orchestrator.handlers.shadow import Follower
from services.orchestrator.metrics import OrchestratorMetrics, ShadowMetrics
from services.orchestrator.store import incidents, tables
from services.runtime.clock import ManualClock
from services.runtime.db import Database
from services.runtime.errors import DatabaseUnavailable
from services.runtime.metrics import RuntimeMetrics
from services.runtime.migrate import migrate
from services.runtime.outbox import Outbox
from services.runtime.work import Work
from tests.builders import NOW, POLICY, an_alert, resolved
from tests.support.memory_bus import MemoryBus
from tests.support.postgres import PostgresServer

HISTORY = "services.orchestrator.store.migrations"


class Shaky(Database):
    """A database whose next commits go wrong as they are told: `before` it, or `after` it, when all is stored."""

    def __init__(self, url: str, schema: str) -> None:
        super().__init__(url, schema)
        self.faults: list[str | None] = []

    @asynccontextmanager
    async def transaction(self, *, serial: bool = False) -> AsyncIterator[AsyncConnection]:
        fault = self.faults.pop(0) if self.faults else None
        async with super().transaction(serial=serial) as connection:
            yield connection
            if fault == "before":
                raise DatabaseUnavailable
        if fault == "after":
            raise DatabaseUnavailable


@asynccontextmanager
async def two_databases(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[tuple[Database, Shaky]]:
    """The same new database twice, as two processes would have it: of the kind that the fixture's parameter names."""
    url = f"sqlite:///{folder}/test.db"
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.create_database()
    pair = Database(url, "orchestrator"), Shaky(url, "orchestrator")
    yield pair
    for database in pair:
        await database.stop()


@contextmanager
def counting(database: Database) -> Iterator[list[str]]:
    """The statements that the database is asked to carry out meanwhile, readers' on SQLite apart."""
    told: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        told.append(statement)

    engine = database._writer.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield told
    event.remove(engine, "before_cursor_execute", note)


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
        counted = OrchestratorMetrics(registry)
        self.commands = Commands(self.database, self.journal, lambda: self.policy, self.clock, counted)
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
        metrics = ShadowMetrics(CollectorRegistry())
        return Follower(database or self.database, lambda: candidate, self.clock, metrics, token_hex(8))

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


async def stubbornly(follower: Follower) -> None:
    """The same, although the database goes away now and then."""
    for _ in range(5):
        with suppress(DatabaseUnavailable):
            return await follow(follower)
    raise AssertionError("it does not come to an end")
