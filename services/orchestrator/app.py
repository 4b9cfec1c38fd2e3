"""The orchestrator's composition root."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas import topics
from schemas.vocabulary import Severity
from services.config import ConfigFile
from services.orchestrator.api import overrides, reads, shadow
from services.orchestrator.candidatefile import CandidateFile
from services.orchestrator.domain.maintenance import Maintenance
from services.orchestrator.handlers.alerts import Intake
from services.orchestrator.handlers.commands import Commands
from services.orchestrator.handlers.decider import Decider, Surroundings
from services.orchestrator.handlers.journal import QUIET, RECHECK, Journal
from services.orchestrator.handlers.shadow import Follower
from services.orchestrator.handlers.shadow_report import ShadowReports
from services.orchestrator.handlers.timers import Timers
from services.orchestrator.handlers.views import Views
from services.orchestrator.metrics import OrchestratorMetrics, ShadowMetrics
from services.orchestrator.policyfile import PolicyInForce
from services.orchestrator.store import incidents, tables
from services.runtime.auth import Grants
from services.runtime.bus.consume import Consumer
from services.runtime.bus.port import Bus
from services.runtime.clock import Clock
from services.runtime.db import Database
from services.runtime.errors import Unavailable
from services.runtime.finish import finish
from services.runtime.lifecycle import Part
from services.runtime.metrics import RuntimeMetrics
from services.runtime.migrate import migrate
from services.runtime.offsets import Offsets
from services.runtime.outbox import Outbox
from services.runtime.work import Work, Worker

NAME = "orchestrator"
READS = (topics.ALERTS, topics.DELIVERIES)
GAUGE_INTERVAL = 5.0


async def _no_windows(_: AsyncConnection) -> Sequence[Maintenance]:
    return ()


def build(
    *,
    bus: Bus,
    clock: Clock,
    config: ConfigFile,
    grants: Grants,
    database: Database,
    metrics: RuntimeMetrics,
    registry: CollectorRegistry,
) -> Part:
    """The orchestrator as a part of a process."""
    metrics.declare(NAME, READS, (QUIET, RECHECK))
    counted = OrchestratorMetrics(registry)
    outbox = Outbox(NAME, tables.outbox, database, bus, metrics)
    journal = Journal(outbox, Work(tables.work))
    policy = PolicyInForce(config)
    commands = Commands(database, journal, policy, clock, counted)
    decider = Decider(journal, Surroundings(policy, _no_windows, dict), clock)
    intake = Intake(decider, journal, clock, counted)
    due = Timers(database, journal, decider, policy, clock)
    common: dict[str, Any] = {"service": NAME, "work": journal.work, "database": database, "clock": clock, "metrics": metrics}
    timers = Worker(queue=QUIET, do=due.incident_is_due, **common)
    rechecks = Worker(queue=RECHECK, do=due.firings_are_due, **common)
    journal.timers = (timers, rechecks)
    shadowed = ShadowMetrics(registry)
    candidate = CandidateFile(config, shadowed)
    follower = Follower(database, candidate, clock, shadowed)
    journal.followers = (follower.wake,)
    consumer = Consumer(
        service=NAME, bus=bus, database=database, offsets=Offsets(tables.offsets), topics=READS,
        handler=intake.handle, serial=True, clock=clock, metrics=metrics,
    )  # fmt: skip

    async def start() -> None:
        await migrate(database, "services.orchestrator.store.migrations")

    async def stop() -> None:
        with suppress(Unavailable):  # then its lease runs out
            await follower.stop()
        await database.stop()

    async def look() -> None:
        async with database.read() as connection:
            counts = await incidents.open_by_severity(connection)
        for severity in Severity:
            counted.open_incidents.labels(severity).set(counts.get(severity, 0))

    async def gauges() -> None:
        while True:
            with suppress(Unavailable):  # the consumer says so; the gauge keeps what was last known
                await finish(look())
            await clock.sleep(GAUGE_INTERVAL)

    def readiness() -> list[str]:
        trouble = [f"orchestrator: {consumer.trouble}"] if consumer.trouble else []
        return trouble + (
            [f"orchestrator: {consumer.resting} partition(s) rest, too many records refused"] if consumer.resting else []
        )

    return Part(
        name=NAME,
        start=start,
        stop=stop,
        loops={
            "consumer": consumer.run,
            "outbox": outbox.run,
            "timers": timers.run,
            "rechecks": rechecks.run,
            "shadow": follower.run,
            "gauges": gauges,
        },
        routers=(
            reads.routes(Views(database), grants),
            shadow.routes(ShadowReports(database, candidate, policy, clock), grants, clock),
            overrides.routes(commands, grants),
        ),
        readiness=readiness,
    )
