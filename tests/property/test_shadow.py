"""A candidate that is the policy in force comes to the same decisions, however its following is cut into pieces."""

import asyncio
import tempfile
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.vocabulary import Action, Severity
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.policy.rules import EVERYTHING, Breadth, DecisionRule, Promotion, Rate, SeverityRule
from services.orchestrator.store import shadows
from services.runtime.db import Database
from tests.builders import POLICY, an_alert, minutes, resolved
from tests.support.shadowing import House, follow

BROAD = SeverityRule("broad", EVERYTHING, Severity.S2, Breadth("instance", 2, minutes(20)))
LONG = SeverityRule("long", EVERYTHING, Severity.S2, persists=minutes(45))
SMALL = DecisionRule("small", EVERYTHING, Action.TRIAGE, frozenset({Severity.S3}))
COMMANDS = (
    *map(ask.Move, (Step.RESOLVE, Step.MITIGATE, Step.PROMOTE, Step.DISMISS, Step.REOPEN)),
    *(ask.SetSeverity(Severity.S2), ask.Unpin()),
)

policies = st.builds(
    replace,
    st.just(POLICY),
    severity_rules=st.sampled_from([(), (BROAD,), (BROAD, LONG)]),
    rules=st.sampled_from([(), (SMALL,)]),
    guard=st.builds(Rate, st.sampled_from([2, 10]), st.just(minutes(30))),
    flapping=st.just(Rate(2, minutes(20))),
    promotion=st.sampled_from([Promotion(), Promotion(Severity.S2, None, minutes(60))]),
    refire_window=st.sampled_from([minutes(0), minutes(30)]),
)
alerts = st.lists(
    st.tuples(*map(st.sampled_from, (("A", "B"), ("s1", "s2", "s3", "x"), ("web", "db"), ("1", "2")))), max_size=3
)  # fmt: skip
steps = st.lists(
    st.one_of(
        st.tuples(st.just("hear"), alerts),
        st.tuples(st.just("pass"), st.integers(0, 50)),
        st.tuples(st.just("do"), st.tuples(st.integers(1, 3), st.sampled_from(COMMANDS))),
        st.tuples(st.just("follow"), st.none()),
        st.tuples(st.just("restart"), st.booleans()),
    ),
    min_size=5,
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(policies, steps)
def test_the_same_policy_always_comes_to_the_same(policy: Policy, story: list[tuple[str, Any]]) -> None:
    asyncio.run(_played(policy, story))


async def _played(policy: Policy, story: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/test.db", "orchestrator")
        house = await House(database, policy).start()
        try:
            await _play(house, story)
        finally:
            await database.stop()


async def _play(house: House, story: list[tuple[str, Any]]) -> None:
    candidate = replace(house.policy, version="sha256:candidate")
    follower = house.follower(candidate)
    firing: set[tuple[str, ...]] = set()
    for kind, what in story:
        match kind, what:
            case "hear", list(heard):
                await _hear(house, heard, firing)
            case "pass", int(minutes_):
                house.pass_time(minutes=minutes_)
            case "do", (int(number), command):
                await house.do(f"INC-{number}", command)
            case "restart", graceful:
                await (follower.stop() if graceful else asyncio.sleep(0))
                house.clock.advance(shadows.LEASE)
                follower = house.follower(candidate)
            case _:
                await follow(follower)
    house.pass_time(minutes=2)
    await follow(follower)
    rows = await house.decisions(candidate.version)
    async with house.database.read() as connection:
        course, last = await shadows.course(connection, candidate.version), await shadows.last_decision(connection)
    assert course is not None
    assert [row.seq for row in rows] == list(range(course.first, last + 1))
    assert [row for row in rows if not row.same] == []


async def _hear(house: House, heard: list[tuple[str, ...]], firing: set[tuple[str, ...]]) -> None:
    """What fires is over when it is heard of again."""
    batch = []
    for each in dict.fromkeys(heard):
        name, severity, service, instance = each
        alert = an_alert(name, severity=severity, service=service, instance=instance, starts_at=house.now)
        batch.append(resolved(alert, house.now) if each in firing else alert)
    firing ^= set(heard)
    house.pass_time(seconds=1)
    await house.take(*batch)
