"""The orchestrator's composition root."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas import topics
from services.config import ConfigFile
from services.orchestrator.adapters.ics import exported
from services.orchestrator.api import explaining, maintenance, oncall, overrides, reads, regrouping, shadow, standins, triage
from services.orchestrator.candidatefile import CandidateFile
from services.orchestrator.domain.evidence import SloState
from services.orchestrator.domain.maintenance import Maintenance
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
from services.runtime.work import Work, Worker

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
    counted = OrchestratorMetrics(registry)
    outbox = Outbox(NAME, tables.outbox, database, bus, metrics)
    journal = Journal(outbox, Work(tables.work))
    policy = PolicyInForce(config)
    commands = Commands(database, journal, policy, clock, counted)

    def of_file() -> Sequence[Maintenance]:
        return policy().maintenance

    windows = Windows(clock)

    async def expected(connection: AsyncConnection) -> Sequence[Maintenance]:
        return (*of_file(), *await windows.planned(connection))

    planner = Planner(database, journal, of_file, clock, counted)

    async def level_changed(states: Sequence[SloState]) -> None:
        await levels.changed(states)

    evidence = Evidence(WatchInForce(config), clock, counted, level_changed)
    archive = PolicyArchive(config.policy_document)
    decider = Decider(journal, Surroundings(policy, windows.planned, evidence.states), clock, archive)
    intake = Intake(decider, journal, clock, counted)
    levels = Levels(database, journal, decider, policy, clock)
    due = Timers(database, journal, decider, policy, clock)
    common: dict[str, Any] = {"service": NAME, "work": journal.work, "database": database, "clock": clock, "metrics": metrics}
    timers = Worker(queue=QUIET, do=due.incident_is_due, **common)
    rechecks = Worker(queue=RECHECK, do=due.firings_are_due, **common)
    reconciler = Reconciler(database, journal, decider, lambda: rounds_of(config), policy, clock, counted)
    reconciling = Worker(queue=RECONCILE, do=reconciler.round, **common)
    reconciler.wake = reconciling.wake
    journal.timers = (timers, rechecks)
    candidate = CandidateFile(config, ShadowMetrics(registry))
    follower = Follower(database, candidate, clock, candidate.metrics)
    journal.followers = (follower.wake,)
    duty = _duty(config, grants, counted, common)
    consumer = Consumer(
        service=NAME, bus=bus, database=database, offsets=Offsets(tables.offsets), topics=READS,
        handler=intake.handle, serial=True, clock=clock, metrics=metrics,
    )  # fmt: skip

    return Part(
        name=NAME,
        start=partial(migrate, database, "services.orchestrator.store.migrations"),
        stop=partial(_stop, database, follower),
        loops={
            "consumer": consumer.run,
            "outbox": outbox.run,
            "timers": timers.run,
            "rechecks": rechecks.run,
            "reconciling": reconciling.run,
            "reconciling-begins": reconciler.begin,
            "evidence": evidence.run,
            "shadow": follower.run,
            "gauges": Gauges(database, clock, counted).run,
            **duty.loops,
        },
        routers=(
            reads.routes(Views(database), grants),
            explaining.routes(Explanations(database), grants),
            triage.routes(Triage(database, evidence, clock, expected), grants),
            overrides.routes(commands, grants),
            maintenance.routes(planner, grants, clock),
            regrouping.routes(Regrouping(commands, journal, policy), grants),
            shadow.routes(ShadowReports(database, candidate, policy, clock), grants, clock),
            *duty.routers,
        ),
        readiness=partial(_troubles, consumer),
    )


@dataclass(frozen=True)
class _Duty:
    loops: Mapping[str, Loop]
    routers: Sequence[APIRouter]


def _duty(config: ConfigFile, grants: Grants, counted: OrchestratorMetrics, common: Mapping[str, Any]) -> _Duty:
    """Who is on call: calendars are asked for, gaps are watched, people ask and stand in."""
    database, clock, plan = common["database"], common["clock"], PlanInForce(config)
    keeper = FeedKeeper(database, common["work"], lambda: plan().feeds, lambda: plan().version, clock)
    asking = Worker(queue=FEEDS, do=keeper.round, **common)
    keeper.wake = asking.wake
    on_call = OnCall(database, plan)
    loops = {"feeds": asking.run, "feeds-begin": keeper.begin, "duty-gauges": DutyGauges(on_call, clock, counted).run}
    asked = standins.routes(StandIns(on_call, clock, counted), grants), oncall.routes(Rota(on_call, clock), grants, exported)
    return _Duty(loops, asked)


def _troubles(consumer: Consumer) -> list[str]:
    """What keeps it from being ready."""
    trouble = [f"orchestrator: {consumer.trouble}"] if consumer.trouble else []
    resting = [f"orchestrator: {consumer.resting} partition(s) rest, too many records refused"] if consumer.resting else []
    return trouble + resting


async def _stop(database: Database, follower: Follower) -> None:
    with suppress(Unavailable):  # then the lead is taken over when its lease runs out
        await follower.stop()
    await database.stop()
