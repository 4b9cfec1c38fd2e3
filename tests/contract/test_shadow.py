"""A candidate follows what is recorded, on both databases: each decision once, whoever dies, and nobody else is held up."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from schemas.vocabulary import Action, Severity
from services.matching import selector
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.rules import EVERYTHING, DecisionRule, SeverityRule
from services.orchestrator.domain.trying.replaying import Heard, Ordered
from services.orchestrator.handlers.shadow import BIT, RENEWED, Follower
from services.orchestrator.metrics import ShadowMetrics
from services.orchestrator.store import history, shadows, tables
from services.orchestrator.store.tail import Tail
from services.runtime.db import Database
from tests.builders import NOW, POLICY, an_alert, minutes, resolved
from tests.support.shadowing import House, Shaky, counting, follow, stubbornly, two_databases

SAME = replace(POLICY, version="sha256:same")
LAB = DecisionRule("lab", selector(['env="lab"']), Action.RECORD)
SMALL = DecisionRule("small", EVERYTHING, Action.TRIAGE, frozenset({Severity.S3}))
SLOW = SeverityRule("slow", selector(['alertname="Slow"']), Severity.S2, persists=minutes(30))
OTHER = replace(POLICY, version="sha256:other", rules=(LAB, SMALL), severity_rules=(SLOW,))


@pytest.fixture(params=["sqlite", "postgres"])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Database, Shaky]]:
    async with two_databases(request, tmp_path) as pair:
        yield pair


@pytest.fixture
async def house(pair: tuple[Database, Shaky]) -> House:
    return await House(pair[0]).start()


@pytest.fixture
def shaky(pair: tuple[Database, Shaky]) -> Shaky:
    return pair[1]


DECISIONS = 6
"""How many `some_story` makes."""


async def some_story(house: House) -> None:
    """Alerts of all kinds come and go, and a person does something."""
    await house.fire("Down", "Full")
    await house.fire("Slow", severity="s3", service="api")
    house.pass_time(minutes=2)
    await house.take(resolved(an_alert("Down"), house.now), an_alert("Late", severity="s4", starts_at=house.now))
    await house.fire("Down", env="lab")
    await house.do("INC-1", ask.SetSeverity(Severity.S2))
    house.pass_time(minutes=31)
    await house.take()
    await house.do("INC-1", ask.Move(Step.RESOLVE))
    house.pass_time(minutes=31)
    await house.fire("Down")
    await house.over("Slow", severity="s3", service="api")
    await house.over("Down", env="lab")
    await house.take(*(resolved(an_alert(name, severity=severity), house.now) for name, severity in _LAST))


_LAST = (("Down", "s1"), ("Full", "s1"), ("Late", "s4"))


async def compared(house: House, policy: str) -> list[int]:
    return [row.seq for row in await house.decisions(policy)]


class TestTail:
    """The log, bit by bit."""

    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    async def test_bits_of_any_size_are_the_log(self, house: House, limit: int) -> None:
        for _ in range(3):
            await some_story(house)
            house.pass_time(hours=1)
        tail, found = Tail(1, NOW), list[Heard | Ordered]()
        async with house.database.snapshot() as connection:
            whole = [step async for step in history.log(connection, NOW, 1)]
            while not (bit := tail.take(await tail.look(connection, limit))).whole:
                found += bit.steps
        assert [*found, *bit.steps] == whole
        assert bit.last == tail.next - 1

    async def test_what_comes_between_two_looks_is_read_once_and_in_its_order(self, house: House) -> None:
        tail = Tail(1, NOW)

        async def new() -> list[str]:
            async with house.database.snapshot() as connection:
                found = await tail.look(connection, 100)
            return [_told(step) for step in tail.take(found).steps]

        await house.fire("Down")
        assert await new() == ["firing Down"]
        await house.do("INC-1", ask.Move(Step.MITIGATE))
        assert await new() == ["mitigated INC-1"]
        await house.over("Down")
        await house.do("INC-1", ask.Move(Step.RESOLVE))
        assert await new() == ["resolved ?", "resolved INC-1"]
        assert await new() == []
        await house.do("INC-1", ask.Move(Step.REOPEN))
        await house.fire("Full")
        await house.over("Full")
        assert await new() == ["reopened INC-1", "firing Full", "resolved ?"]

    async def test_what_is_decided_while_it_is_read_comes_with_the_next_bit(self, house: House) -> None:
        await house.fire("Down")
        tail = Tail(1, NOW)
        async with house.database.snapshot() as connection:
            await connection.execute(select(tables.firings.c.seq))
            await house.over("Down")
            await house.fire("Full")
            first = tail.take(await tail.look(connection, 100))
        async with house.database.snapshot() as connection:
            second = tail.take(await tail.look(connection, 100))
        assert [_told(step) for bit in (first, second) for step in bit.steps] == ["firing Down", "resolved ?", "firing Full"]
        assert (first.last, second.last) == (1, 2)


def _told(step: Heard | Ordered) -> str:
    if isinstance(step, Ordered):
        return f"{step.word} {step.incident}"
    (alert,) = step.alerts
    return f"{alert.status} {alert.labels.get('alertname', '?')}"


class TestFollower:
    """What a candidate would decide is compared with what was decided."""

    async def test_the_policy_in_force_beside_itself_is_always_the_same(self, house: House) -> None:
        follower = house.follower(SAME)
        await follow(follower)
        await some_story(house)
        await follow(follower)
        decisions = await house.decisions(SAME.version)
        assert [row.seq for row in decisions] == [1, 2, 3, 4, 5, 6]
        assert all(row.same and row.was == row.action for row in decisions)
        assert [(row.was, row.would_be) for row in await house.openings(SAME.version)] == [
            ("INC-1", "S-1"),
            ("INC-2", "S-5"),
            ("INC-3", "S-6"),
        ]

    async def test_what_was_decided_before_it_began_is_known_and_not_compared(self, house: House) -> None:
        await house.fire("Down")
        follower = house.follower(SAME)
        await follow(follower)
        await house.fire("Full")
        await follow(follower)
        (row,) = await house.decisions(SAME.version)
        assert (row.seq, row.action, row.incident, row.same) == (2, "attach", "S-1", True)
        assert await house.openings(SAME.version) == []

    async def test_what_differs_is_stored_with_the_reason(self, house: House) -> None:
        follower = house.follower(OTHER)
        await follow(follower)
        await some_story(house)
        house.pass_time(minutes=5)
        await follow(follower)
        assert [(row.seq, row.was, row.action, row.incident) for row in await house.decisions(OTHER.version) if not row.same] == [
            (3, "record", "triage", "S-3"),
            (5, "open", "record", None),
        ]
        found = [(row.seq, row.was, row.would_be, row.severity, row.quiet) for row in await house.openings(OTHER.version)]
        assert found == [
            (1, "INC-1", "S-1", "S1", False),
            (3, None, "S-3", "S2", True),
            (5, "INC-2", None, None, None),
            (6, "INC-3", "S-6", "S1", False),
        ]

    async def test_what_time_alone_does_is_done_although_nothing_more_is_heard(self, house: House) -> None:
        follower = house.follower(OTHER)
        await follow(follower)
        await house.fire("Slow", severity="s4", service="api")
        await follow(follower)
        house.pass_time(minutes=30)
        await follow(follower)
        assert await house.openings(OTHER.version) == []
        house.pass_time(minutes=1)
        await follow(follower)
        (row,) = await house.openings(OTHER.version)
        assert (row.seq, row.was, row.would_be, row.severity) == (1, None, "S-1", "S2")
        assert "firing for 30m, rule slow" in row.reason

    async def test_an_incident_that_nobody_sees_is_over_when_its_alerts_are(self, house: House) -> None:
        """Else it would take in all that fires under its key for ever."""
        follower = house.follower(OTHER)
        await follow(follower)
        await house.fire("Small", severity="s3")
        await house.over("Small", severity="s3")
        house.pass_time(hours=2)
        await house.fire("Small", severity="s3")
        house.pass_time(minutes=2)
        await follow(follower)
        assert [(row.would_be, row.ended_at is None) for row in await house.openings(OTHER.version)] == [
            ("S-1", False),
            ("S-2", True),
        ]

    async def test_more_than_a_bit(self, house: House) -> None:
        follower = house.follower(SAME)
        await follow(follower)
        for start in range(0, BIT * 2, 400):
            await house.fire(*(f"A{number}" for number in range(start, start + 400)))
        rounds = 1
        while await follower.round():
            rounds += 1
        assert rounds == 3
        assert await compared(house, SAME.version) == list(range(1, 1201))

    async def test_without_a_candidate_nothing_is_asked(self, house: House) -> None:
        with counting(house.database) as statements:
            assert not await house.follower(None).round()
        assert statements == []


class TestDying:
    """No decision twice, none missing, the same ones."""

    @pytest.mark.parametrize("graceful", [True, False])
    async def test_a_restart_goes_on_and_comes_to_the_same(self, house: House, graceful: bool) -> None:
        steady, broken = house.follower(replace(OTHER, version="sha256:steady")), house.follower(OTHER)
        for _ in range(4):
            await follow(steady)
            await follow(broken)
            if graceful:
                await broken.stop()
            else:
                house.clock.advance(shadows.LEASE)
            broken = house.follower(OTHER)
            await some_story(house)
            house.pass_time(hours=1)
        await follow(steady)
        await follow(broken)
        assert await everything(house, OTHER.version) == await everything(house, "sha256:steady")
        assert await compared(house, OTHER.version) == list(range(1, 4 * DECISIONS + 1))

    @pytest.mark.parametrize("fault", ["before", "after"])
    @pytest.mark.parametrize("nth", [0, 1, 2])
    async def test_a_commit_that_goes_wrong_is_made_good(self, house: House, shaky: Shaky, fault: str, nth: int) -> None:
        follower = house.follower(SAME, shaky)
        shaky.faults = [None] * nth + [fault]
        for _ in range(3):
            await stubbornly(follower)
            await some_story(house)
            house.pass_time(hours=1)
        await follow(follower)
        await follow(follower)
        (course,) = await courses(house)
        assert await compared(house, SAME.version) == list(range(course.first, 3 * DECISIONS + 1))
        assert all(row.same for row in await house.decisions(SAME.version))

    async def test_one_leads_until_nothing_is_heard_of_it(self, house: House, shaky: Shaky) -> None:
        first, second = house.follower(SAME), house.follower(SAME, shaky)
        await follow(first)
        await house.fire("Down")
        await follow(second)
        assert await compared(house, SAME.version) == []
        assert second._metrics.lag._value.get() == 1
        house.clock.advance(shadows.LEASE - timedelta(seconds=1))
        await follow(second)
        assert await compared(house, SAME.version) == []
        house.clock.advance(timedelta(seconds=1))
        await follow(second)
        assert await compared(house, SAME.version) == [1]
        await house.fire("Full")
        await follow(first)
        assert await compared(house, SAME.version) == [1]
        await follow(second)
        assert await compared(house, SAME.version) == [1, 2]

    async def test_embedded_a_process_goes_on_at_once_with_the_lead_of_the_one_that_was_killed(self, house: House) -> None:
        for number in (1, 2):
            follower = Follower(house.database, lambda: SAME, house.clock, ShadowMetrics(CollectorRegistry()))
            await follow(follower)
            await house.fire(f"Down{number}")
            await follow(follower)
        assert await compared(house, SAME.version) == ([1, 2] if house.database.sqlite else [1])

    async def test_who_leads_goes_on_leading_while_nothing_happens(self, house: House, shaky: Shaky) -> None:
        first, second = house.follower(SAME), house.follower(SAME, shaky)
        await follow(first)
        for _ in range(20):
            house.clock.advance(shadows.LEASE / 3)
            await follow(first)
            await follow(second)
        await house.fire("Down")
        await follow(first)
        assert await compared(house, SAME.version) == [1]

    async def test_two_at_once_compare_each_decision_once(self, house: House, shaky: Shaky) -> None:
        followers = [house.follower(SAME), house.follower(SAME, shaky)]
        await follow(followers[0])
        for _ in range(10):
            await house.fire("Down")
            await house.over("Down")
            house.clock.advance(shadows.LEASE)
            await asyncio.gather(*map(follow, followers))
        await asyncio.gather(*map(follow, followers))
        assert await compared(house, SAME.version) == list(range(1, 11))

    async def test_a_memory_is_renewed_and_nothing_shows(self, house: House) -> None:
        follower = house.follower(OTHER)
        for _ in range(3):
            await follow(follower)
            await some_story(house)
            await follow(follower)
            house.clock.advance(RENEWED)
        await follow(follower)
        assert await compared(house, OTHER.version) == list(range(1, 3 * DECISIONS + 1))


async def everything(house: House, policy: str) -> list[tuple[Any, ...]]:
    decisions = [tuple(row)[1:] for row in await house.decisions(policy)]
    return decisions + [(row.seq, row.was, row.would_be, row.severity, row.reason) for row in await house.openings(policy)]


async def courses(house: House) -> list[Any]:
    async with house.database.read() as connection:
        return list(await connection.execute(select(tables.shadows)))
