"""What is recorded, replayed under the policy that was in force, comes out as it was decided."""

import asyncio
import tempfile
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.vocabulary import Action, Severity
from services.matching import selector
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
from services.orchestrator.handlers.replay import Replayed
from services.runtime.db import Database
from tests.builders import NOW, POLICY, minutes
from tests.support.stories import Past, Story, nothing_differs

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


@some
@given(policies, steps)
def test_the_same_policy_decides_the_same_and_twice_the_same_report_comes_out(policy: Policy, story: Story) -> None:
    first, second = asyncio.run(_played(policy, story, None))
    assert first == second
    if first is not None:
        assert first.extent.last == first.report.decisions
        nothing_differs(first)


@some
@given(policies, steps, st.floats(0, 1))
def test_it_does_so_from_any_moment_on(policy: Policy, story: Story, share: float) -> None:
    found, _ = asyncio.run(_played(policy, story, share))
    if found is not None:
        nothing_differs(found)


async def _played(policy: Policy, story: Story, share: float | None) -> tuple[Replayed | None, Replayed | None]:
    """Live the story, then replay it twice; with a share only what came after that part of it."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/test.db", "orchestrator")
        past = await Past(database, policy).start()
        try:
            await past.live(story)
            since = None if share is None else NOW + (past.now - NOW) * share
            return await past.replayed(since), await past.replayed(since)
        finally:
            await database.stop()
