"""The orchestrator's composition root."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from fastapi import APIRouter
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas import topics
from services.config import ConfigFile
from services.orchestrator.adapters.ics import exported
from services.orchestrator.api import explaining, maintenance, oncall, overrides, reads, regrouping, shadow, standins, triage
from services.orchestrator.candidatefile import CandidateFile
from services.orchestrator.console.shadow import shadow_page
from services.orchestrator.domain.alerts.maintenance import Maintenance
from services.orchestrator.domain.evidence.evidence import SloState
from services.orchestrator.handlers.alerts import Intake
from services.orchestrator.handlers.archive import PolicyArchive
from services.orchestrator.handlers.commands import Commands
from services.orchestrator.handlers.decider import Decider, Surroundings
from services.orchestrator.handlers.duty_gauges import DutyGauges
from services.orchestrator.handlers.evidence import Evidence
from services.orchestrator.handlers.explaining import Explanations
from services.orchestrator.handlers.feeds import FEEDS, FeedKeeper
from services.orchestrator.handlers.gauges import Gauges
from services.orchestrator.handlers.journal import QUIET, RECHECK, Journal
from services.orchestrator.handlers.levels import Levels
from services.orchestrator.handlers.maintenance import Planner
from services.orchestrator.handlers.oncall import OnCall
from services.orchestrator.handlers.reconcile import RECONCILE, Reconciler
from services.orchestrator.handlers.regrouping import Regrouping
from services.orchestrator.handlers.rota import Rota
from services.orchestrator.handlers.shadow import Follower
from services.orchestrator.handlers.shadow_report import ShadowReports
from services.orchestrator.handlers.standins import StandIns
from services.orchestrator.handlers.timers import Timers
from services.orchestrator.handlers.triage import Triage
from services.orchestrator.handlers.views import Views
from services.orchestrator.handlers.windows import Windows
from services.orchestrator.metrics import OrchestratorMetrics, ShadowMetrics
from services.orchestrator.policyfile import PolicyInForce
from services.orchestrator.rotafile import PlanInForce
from services.orchestrator.store import tables
from services.orchestrator.watchfile import WatchInForce, rounds_of
from services.runtime.auth import Grants
from services.runtime.bus.consume import Consumer
from services.runtime.bus.port import Bus
from services.runtime.clock import Clock
from services.runtime.db import Database
from services.runtime.errors import Unavailable
from services.runtime.lifecycle import Loop, Part
from services.runtime.metrics import RuntimeMetrics
from services.runtime.migrate import migrate
from services.runtime.offsets import Offsets
from services.runtime.outbox import Outbox
from services.runtime.work import Do, Work, Worker

NAME = "orchestrator"
READS = (topics.ALERTS, topics.DELIVERIES)


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
    metrics.declare(NAME, READS, (QUIET, RECHECK, RECONCILE, FEEDS))
    core = _Core(bus, clock, config, database, metrics, OrchestratorMetrics(registry))
    candidate = CandidateFile(config, ShadowMetrics(registry))
    follower = Follower(database, candidate, clock, candidate.metrics)
    reports = ShadowReports(database, candidate, core.policy, clock)
    core.journal.followers = (follower.wake,)
    consumer = core.consumer()
    return Part(
        name=NAME,
        start=partial(migrate, database, "services.orchestrator.store.migrations"),
        stop=partial(_stop, database, follower),
        loops={
            "consumer": consumer.run,
            "outbox": core.journal.outbox.run,
            **core.workers(),
            "evidence": core.evidence.run,
            "shadow": follower.run,
            "gauges": Gauges(database, clock, core.counted).run,
            "duty-gauges": DutyGauges(core.on_call, clock, core.counted).run,
        },
        routers=(
            *core.routers(grants),
            shadow.routes(reports, grants, clock),
            shadow_page(reports, grants, clock),
        ),
        readiness=partial(_readiness, consumer),
    )


class _Core:
    """What everything that decides shares, each made once."""

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        config: ConfigFile,
        database: Database,
        metrics: RuntimeMetrics,
        counted: OrchestratorMetrics,
    ) -> None:
        self._bus, self._clock, self._config, self._database = bus, clock, config, database
        self._metrics, self.counted = metrics, counted
        self.policy = PolicyInForce(config)
        self.journal = Journal(Outbox(NAME, tables.outbox, database, bus, metrics), Work(tables.work))
        self._windows = Windows(clock)
        self._plan = PlanInForce(config)
        self.on_call = OnCall(database, self._plan)
        self.evidence = Evidence(WatchInForce(config), clock, counted, self._level_changed)
        around = Surroundings(self.policy, self._windows.planned, self.evidence.states)
        self._decider = Decider(self.journal, around, clock, PolicyArchive(config.policy_document))

    def consumer(self) -> Consumer:
        """The reader of alerts and of what the notifier reports."""
        intake = Intake(self._decider, self.journal, self._clock, self.counted)
        return Consumer(
            service=NAME, bus=self._bus, database=self._database, offsets=Offsets(tables.offsets), topics=READS,
            handler=intake.handle, serial=True, clock=self._clock, metrics=self._metrics,
        )  # fmt: skip

    def workers(self) -> dict[str, Loop]:
        """The loops over the queues of durable work."""
        due = Timers(self._database, self.journal, self._decider, self.policy, self._clock)
        reconciler = Reconciler(
            self._database, self.journal, self._decider, partial(rounds_of, self._config), self.policy, self._clock, self.counted
        )
        keeper = FeedKeeper(self._database, self.journal.work, self._plan, self._clock)
        timers, rechecks = self._worker(QUIET, due.incident_is_due), self._worker(RECHECK, due.firings_are_due)
        reconciling, feeds = self._worker(RECONCILE, reconciler.round), self._worker(FEEDS, keeper.round)
        reconciler.wake, keeper.wake, self.journal.timers = reconciling.wake, feeds.wake, (timers, rechecks)
        return {
            "timers": timers.run,
            "rechecks": rechecks.run,
            "reconciling": reconciling.run,
            "reconciling-begins": reconciler.begin,
            "feeds": feeds.run,
            "feeds-begin": keeper.begin,
        }

    def _worker(self, queue: str, do: Do) -> Worker:
        return Worker(
            service=NAME, queue=queue, work=self.journal.work, database=self._database, do=do, clock=self._clock,
            metrics=self._metrics,
        )  # fmt: skip

    def routers(self, grants: Grants) -> Sequence[APIRouter]:
        """What can be asked and done over HTTP."""
        database, clock = self._database, self._clock
        commands = Commands(database, self.journal, self.policy, clock, self.counted)
        planner = Planner(database, self.journal, self._of_file, clock, self.counted)
        return (
            reads.routes(Views(database), grants),
            explaining.routes(Explanations(database), grants),
            triage.routes(Triage(database, self.evidence, clock, self._expected), grants),
            overrides.routes(commands, grants),
            maintenance.routes(planner, grants, clock),
            regrouping.routes(Regrouping(commands, self.journal, self.policy), grants),
            standins.routes(StandIns(self.on_call, clock, self.counted), grants),
            oncall.routes(Rota(self.on_call, clock), grants, exported),
        )

    async def _level_changed(self, states: Sequence[SloState]) -> None:
        await Levels(self._database, self.journal, self._decider, self.policy, self._clock).changed(states)

    def _of_file(self) -> Sequence[Maintenance]:
        return self.policy().maintenance

    async def _expected(self, connection: AsyncConnection) -> Sequence[Maintenance]:
        return (*self._of_file(), *await self._windows.planned(connection))


def _readiness(consumer: Consumer) -> list[str]:
    trouble = [f"orchestrator: {consumer.trouble}"] if consumer.trouble else []
    resting = f"orchestrator: {consumer.resting} partition(s) rest, too many records refused"
    return trouble + ([resting] if consumer.resting else [])


async def _stop(database: Database, follower: Follower) -> None:
    with suppress(Unavailable):  # then the lead is taken over when its lease runs out
        await follower.stop()
    await database.stop()
