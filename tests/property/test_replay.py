"""What is recorded, replayed under the policy that was in force, comes out as it was decided."""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.vocabulary import Action, Severity
from services.matching import selector
from services.orchestrator.domain.alerts.maintenance import Maintenance
from services.orchestrator.domain.deciding.splitting import Wish
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.policy.rules import (
    EVERYTHING,
    Breadth,
    CorrelationRule,
    DecisionRule,
    History,
    Promotion,
    Rate,
    SeverityRule,
)
from services.orchestrator.handlers.commands import Request
from services.orchestrator.handlers.decider import Decider, Surroundings
from services.orchestrator.handlers.maintenance import Planner
from services.orchestrator.handlers.regrouping import Regrouping
from services.orchestrator.handlers.replay import Replayed, replay
from services.orchestrator.metrics import OrchestratorMetrics
from services.orchestrator.store import maintenance
from services.runtime.db import Database
from services.windows import Window
from tests.builders import ANN, NOW, POLICY, an_alert, minutes, resolved
from tests.support.shadowing import House

BROAD = SeverityRule("broad", EVERYTHING, Severity.S2, Breadth("instance", 2, minutes(20)))
WIDE = SeverityRule("wide", EVERYTHING, Severity.S1, Breadth("service", 2, minutes(15)))
LONG = SeverityRule("long", EVERYTHING, Severity.S2, persists=minutes(45))
SMALL = DecisionRule("small", EVERYTHING, Action.TRIAGE, frozenset({Severity.S3}))
LAB = DecisionRule("lab", selector(['instance="3"']), Action.RECORD)
COMMANDS = (
    *map(ask.Move, (Step.RESOLVE, Step.MITIGATE, Step.PROMOTE, Step.DISMISS, Step.REOPEN)),
    *(ask.SetSeverity(Severity.S2), ask.SetSeverity(Severity.S4, pin=False), ask.Unpin()),
)

policies = st.builds(
    replace,
    st.just(POLICY),
    severity_rules=st.sampled_from([(), (BROAD,), (BROAD, WIDE, LONG)]),
    rules=st.sampled_from([(), (LAB, SMALL)]),
    guard=st.builds(Rate, st.sampled_from([2, 10]), st.just(minutes(30))),
    flapping=st.just(Rate(2, minutes(20))),
    promotion=st.sampled_from([Promotion(), Promotion(Severity.S2, Breadth("instance", 2, minutes(9)), minutes(60))]),
    history=st.sampled_from([History(), History(minutes(180), minutes(30), Rate(3, minutes(30)))]),
    dependencies=st.sampled_from([{}, {"web": ("db",)}]),
    correlation_rules=st.sampled_from([(), (CorrelationRule("b", selector(['alertname="B"']), ("alertname",)),)]),
    refire_window=st.sampled_from([minutes(0), minutes(30)]),
)
alerts = st.lists(
    st.tuples(*map(st.sampled_from, (("A", "B"), ("s1", "s2", "s3", "s4", "x"), ("web", "db", "api"), ("1", "2", "3")))),
    min_size=1,
    max_size=4,
)
numbers = st.integers(1, 4)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("hear"), alerts),
        st.tuples(st.just("hear"), alerts),
        st.tuples(st.just("pass"), st.integers(0, 50)),
        st.tuples(st.just("do"), st.tuples(numbers, st.sampled_from(COMMANDS))),
        st.tuples(st.just("declare"), st.none()),
        st.tuples(st.just("merge"), st.tuples(numbers, numbers)),
        st.tuples(st.just("split"), st.tuples(numbers, alerts)),
        st.tuples(st.just("plan"), st.integers(1, 90)),
        st.tuples(st.just("end"), st.none()),
    ),
    min_size=5,
    max_size=30,
)

some = settings(
    max_examples=int(__import__("os").environ.get("N", "40")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[__import__("hypothesis").Phase.generate],
)
Story = list[tuple[str, Any]]


@some
@given(policies, steps)
def test_the_same_policy_decides_the_same_and_twice_the_same_report_comes_out(policy: Policy, story: Story) -> None:
    first, second = asyncio.run(_played(policy, story, None))
    assert first == second
    if first is not None:
        assert first.extent.last == first.report.decisions
        _nothing_differs(first)


@some
@given(policies, steps, st.floats(0, 1))
def test_it_does_so_from_any_moment_on(policy: Policy, story: Story, share: float) -> None:
    found, _ = asyncio.run(_played(policy, story, share))
    if found is not None:
        _nothing_differs(found)


def _nothing_differs(found: Replayed) -> None:
    report = found.report
    assert (report.changes, report.inapplicable, list(found.differences)) == ({}, {}, [])
    assert (report.same, report.by_another_rule) == (report.decisions, 0)


async def _played(policy: Policy, story: Story, share: float | None) -> tuple[Replayed | None, Replayed | None]:
    """Live the story, then replay it twice; with a share only what came after that part of it."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/test.db", "orchestrator")
        town = await Town(database, policy).start()
        try:
            for kind, what in story:
                await town.live(kind, what)
            since = None if share is None else NOW + (town.now - NOW) * share
            return await town.replayed(since), await town.replayed(since)
        finally:
            await database.stop()


class Town(House):
    """A house where people also plan, merge and split."""

    async def start(self) -> "Town":
        await super().start()
        self.decider = Decider(self.journal, Surroundings(lambda: self.policy, self._planned, dict), self.clock)
        self.regrouping = Regrouping(self.commands, self.journal, lambda: self.policy)
        self.planner = Planner(self.database, self.journal, tuple, self.clock, OrchestratorMetrics(CollectorRegistry()))
        self.firing: dict[tuple[str, ...], datetime] = {}
        return self

    async def _planned(self, connection: AsyncConnection) -> Sequence[Maintenance]:
        return [each.maintenance for each in await maintenance.live(connection, self.now)]

    async def replayed(self, since: datetime | None) -> Replayed | None:
        async with self.database.snapshot() as connection:
            return await replay(connection, self.policy, since, self.now, lambda *_: None)

    async def live(self, kind: str, what: Any) -> None:
        """One thing that happens, after whatever was due."""
        self.pass_time(seconds=1)
        await self.take()
        request = Request(ANN, "because")
        match kind:
            case "hear":
                await self._hear(what)
            case "pass":
                self.pass_time(minutes=what)
                await self.take()
            case "do":
                await self.do(f"INC-{what[0]}", what[1])
            case "declare":
                await self.commands.declare(request, lambda name, uuid: ask.Open(name, uuid, "By hand", Severity.S2, ("web",)))
            case "merge":
                await self.regrouping.merge(f"INC-{what[0]}", f"INC-{what[1]}", request)
            case "split":
                fingerprints = {an_alert(*alert[:1], **_labels(alert)).fingerprint for alert in what[1]}
                await self.regrouping.split(f"INC-{what[0]}", Wish(tuple(sorted(fingerprints))), request)
            case "plan":
                window = Window.parse(starts=self.now, duration=minutes(what))
                await self.planner.add(request, "work", selector(['service="web"']), window)
            case _:
                await self.planner.end(request, "MW-1")

    async def _hear(self, heard: list[tuple[str, ...]]) -> None:
        """What fires is over when it is heard of again."""
        batch = []
        for each in dict.fromkeys(heard):
            began = self.firing.pop(each, None)
            alert = an_alert(each[0], starts_at=began or self.now, **_labels(each))
            batch.append(resolved(alert, self.now) if began else alert)
            if began is None:
                self.firing[each] = self.now
        await self.take(*batch)


def _labels(alert: tuple[str, ...]) -> dict[str, Any]:
    _, severity, service, instance = alert
    return {"severity": severity, "service": service, "instance": instance}
