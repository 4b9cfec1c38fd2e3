"""What stands around a candidate, on both databases: it costs the decisions nothing, its report is right, it is forgotten."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from schemas.vocabulary import Action, Severity
from services.matching import selector
from services.orchestrator.domain.alerts.maintenance import Maintenance, Planned
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.policy.rules import EVERYTHING, DecisionRule, Promotion, SeverityRule
from services.orchestrator.handlers.shadow import PAUSE, Follower
from services.orchestrator.handlers.shadow_report import ShadowReports
from services.orchestrator.metrics import ShadowMetrics
from services.orchestrator.store import maintenance, shadows, tables
from services.orchestrator.store.shadow_report import KINDS
from services.runtime.db import Database
from services.runtime.finish import finish
from services.windows import Window
from tests.builders import NOW, POLICY, minutes
from tests.support.shadowing import House, Shaky, counting, follow, two_databases

LAB = DecisionRule("lab", selector(['env="lab"']), Action.RECORD)
SMALL = DecisionRule("small", EVERYTHING, Action.TRIAGE, frozenset({Severity.S3}))
ONE = replace(POLICY, version="sha256:one", rules=(LAB, SMALL), severity_map={**POLICY.severity_map, "s2": Severity.S2})
TWO = replace(ONE, version="sha256:two", rules=())


@dataclass
class Candidate:
    """What the configuration names; it can be another one from now on."""

    policy: Policy | None
    valid: bool = True
    name: str | None = "candidate.yaml"

    def __call__(self) -> Policy | None:
        return self.policy


@pytest.fixture(params=["sqlite", "postgres"])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Database, Shaky]]:
    async with two_databases(request, tmp_path) as pair:
        yield pair


@pytest.fixture
async def house(pair: tuple[Database, Shaky]) -> House:
    return await House(pair[0]).start()


class TestCost:
    """Deciding does not know of it."""

    async def test_a_storm_is_decided_by_the_same_statements_with_a_candidate_as_without(
        self, house: House, pair: tuple[Database, Shaky]
    ) -> None:
        follower = house.follower(ONE, pair[1])
        await follow(follower)

        async def storm(name: str) -> Counter[str]:
            with counting(house.database) as statements:
                for batch in range(4):
                    await house.fire(*(f"{name}{batch}-{number}" for number in range(200)), severity="s4", service=name)
                    await asyncio.sleep(0)
            return Counter(statements)

        alone = await storm("a")
        following = asyncio.create_task(self._keep_following(follower))
        beside = await storm("b")
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        assert alone == beside
        assert not [statement for statement in beside if "shadow" in statement]
        await follow(follower)
        assert len(await house.decisions(ONE.version)) == 1600

    async def _keep_following(self, follower: Follower) -> None:
        while True:
            await finish(follower.round())
            await asyncio.sleep(0)

    async def test_a_candidate_that_waits_for_the_database_keeps_nobody_from_deciding(
        self, house: House, pair: tuple[Database, Shaky]
    ) -> None:
        """It holds no lock while it reads: a decision comes through in the middle."""
        async with pair[1].snapshot() as connection:
            await connection.execute(select(tables.firings.c.seq))
            async with asyncio.timeout(10):
                await house.fire("Down")
        assert len(await house.open_incidents()) == 1


class TestReload:
    """Another candidate, or none."""

    async def test_another_candidate_begins_anew_and_the_old_results_stay(self, house: House) -> None:
        candidate = Candidate(ONE)
        follower = Follower(house.database, candidate, house.clock, ShadowMetrics(CollectorRegistry()))
        await follow(follower)
        await house.fire("Down", env="lab")
        await follow(follower)
        candidate.policy = TWO
        await follow(follower)
        await house.fire("Down")
        await follow(follower)
        assert [row.seq for row in await house.decisions(ONE.version)] == [1]
        assert [row.seq for row in await house.decisions(TWO.version)] == [2]

    async def test_the_candidate_of_before_goes_on_where_it_was(self, house: House) -> None:
        candidate = Candidate(ONE)
        follower = Follower(house.database, candidate, house.clock, ShadowMetrics(CollectorRegistry()))
        for policy in (ONE, TWO, None, ONE):
            candidate.policy = policy
            await follow(follower)
            await house.fire("Down")
            await house.over("Down")
        await follow(follower)
        assert [row.seq for row in await house.decisions(ONE.version)] == [1, 2, 3, 4]

    async def test_without_a_candidate_nothing_stays_held(self, house: House, pair: tuple[Database, Shaky]) -> None:
        candidate = Candidate(ONE)
        follower = Follower(house.database, candidate, house.clock, ShadowMetrics(CollectorRegistry()))
        await follow(follower)
        candidate.policy = None
        await follow(follower)
        other = house.follower(ONE, pair[1])
        await house.fire("Down")
        await follow(other)
        assert [row.seq for row in await house.decisions(ONE.version)] == [1]


class TestReport:
    """A hand-made story."""

    async def told(self, house: House, candidate: Candidate, **asked: Any) -> Any:
        reports = ShadowReports(house.database, candidate, lambda: house.policy, house.clock)
        return await reports.report(asked.get("since"), asked.get("before"), asked.get("limit", 100))

    async def story(self, house: House) -> None:
        """Four alerts: one as before, one that only the candidate opens, one that it does not, one that it finds worse."""
        strict = {**POLICY.severity_map, "broken": Severity.S1}
        house.policy = replace(POLICY, severity_map={**strict, "broken": Severity.S2})
        follower = house.follower(replace(ONE, severity_map=strict))
        await follow(follower)
        await house.fire("Down")
        await house.fire("Small", severity="s3", service="api")
        await house.fire("Test", env="lab")
        await house.fire("Broken", severity="broken", service="db")
        house.pass_time(minutes=1)
        await follow(follower)

    async def test_it_tells_what_would_be_otherwise_and_why(self, house: House) -> None:
        await self.story(house)
        told = await self.told(house, Candidate(ONE))
        assert told["candidate"] == {"file": "candidate.yaml", "policy": ONE.version, "valid": True}
        assert (told["policy"], told["decisions"], told["same"], told["behind"]) == (POLICY.version, 4, 1, 0)
        assert told["moves"] == [
            {"was": "open", "would_be": "record", "count": 1},
            {"was": "open as S2", "would_be": "open as S1", "count": 1},
            {"was": "record", "would_be": "triage", "count": 1},
        ]
        counts = {"was": 3, "would_be": 3, "would_open": 1, "would_not_open": 1, "severity": 1}
        assert told["incidents"] == dict.fromkeys(KINDS, 0) | counts
        found = [tuple(item[key] for key in ("what", "incident", "would_be_incident", "alert", "was", "would_be", "severity"))
                 for item in told["items"]]  # fmt: skip
        assert found == [
            ("severity", "INC-3", "S-4", "Broken", "S2", "S1", "S1"),
            ("would not open", "INC-2", None, "Test", "S1", "nothing", "S1"),
            ("would open", None, "S-2", "Small", "nothing", "S3 in triage", "S3"),
        ]
        assert "S1 opens one" in told["items"][0]["why"]
        assert "rule lab says record" in told["items"][1]["why"]
        assert "rule small opens for triage" in told["items"][2]["why"]
        assert (told["items"][2]["labels"]["service"], told["items"][2]["over_at"]) == ("api", None)

    async def test_it_comes_in_pages_and_since_a_moment(self, house: House) -> None:
        await self.story(house)
        first = await self.told(house, Candidate(ONE), limit=2)
        second = await self.told(house, Candidate(ONE), limit=2, before=int(first["next"]))
        assert [item["seq"] for page in (first, second) for item in page["items"]] == [4, 3, 2]
        assert (first["next"], second["next"]) == ("3", None)
        later = await self.told(house, Candidate(ONE), since=house.now)
        assert (later["decisions"], later["items"], later["since"]) == (0, [], house.now)
        assert (await self.told(house, Candidate(ONE), since=NOW - minutes(999)))["since"] == NOW

    async def test_what_was_opened_later_in_earnest_too_is_no_difference(self, house: House) -> None:
        """The candidate opens at once what a rule in force opens when it has lasted; a person's act is on both."""
        slow = replace(SMALL, name="slow", action=Action.OPEN)
        house.policy = replace(POLICY, severity_rules=(SeverityRule("lasting", EVERYTHING, Severity.S2, persists=minutes(30)),))
        follower = house.follower(replace(ONE, rules=(slow,)))
        await follow(follower)
        await house.fire("Small", severity="s3")
        await follow(follower)
        assert [item["what"] for item in (await self.told(house, Candidate(ONE)))["items"]] == ["would open"]
        house.pass_time(minutes=30)
        await house.take()
        await house.over("Small", severity="s3")
        answer = await house.do("INC-1", ask.Move(Step.RESOLVE))
        house.pass_time(hours=2)
        await follow(follower)
        told = await self.told(house, Candidate(ONE))
        assert [item["what"] for item in told["items"]] == ["severity"]
        (row,) = await house.openings(ONE.version)
        assert (row.was, row.would_be, row.ended_at) == ("INC-1", "S-1", answer.incident.resolved_at)

    async def test_what_another_alert_opens_is_one_incident_at_another_time(self, house: House) -> None:
        """The candidate waits for something worse; or it opens for what was recorded only."""
        patient = DecisionRule("patient", selector(['alertname="Early"']), Action.RECORD)
        eager = DecisionRule("eager", selector(['alertname="Hint"']), Action.OPEN)
        follower = house.follower(replace(ONE, rules=(patient, eager)))
        await follow(follower)
        await house.fire("Early")
        await house.fire("Hint", severity="s4", service="db")
        house.pass_time(minutes=10)
        await house.fire("Late", "Later")
        await house.fire("Late", service="db")
        await follow(follower)
        told = await self.told(house, Candidate(ONE))
        found = [tuple(item[key] for key in ("seq", "what", "incident", "would_be_incident", "was", "would_be"))
                 for item in told["items"]]  # fmt: skip
        assert found == [
            (3, "would open later", "INC-1", "S-3", "S1", "S1, 10 minutes later"),
            (2, "would open earlier", "INC-2", "S-2", "S1", "S1, 10 minutes earlier"),
        ]
        counts = {"was": 2, "would_be": 2, "would_open_earlier": 1, "would_open_later": 1}
        assert told["incidents"] == dict.fromkeys(KINDS, 0) | counts

    async def test_two_that_would_be_one_are_told_as_one_that_would_not_open(self, house: House) -> None:
        follower = house.follower(replace(ONE, rules=(), correlation=("env",)))
        await follow(follower)
        await house.fire("Down", service="web")
        await house.fire("Down", service="db")
        await follow(follower)
        (item,) = (await self.told(house, Candidate(ONE)))["items"]
        assert (item["what"], item["incident"], item["would_be"]) == ("would not open", "INC-2", "joins S-1")

    async def test_what_would_be_quiet_is_told(self, house: House) -> None:
        quiet = DecisionRule("quiet", EVERYTHING, Action.TRIAGE)
        house.policy = replace(POLICY, rules=(replace(quiet, selector=selector(['env="lab"'])),), promotion=Promotion(None))
        promotion = Promotion(None)
        follower = house.follower(replace(ONE, rules=(replace(quiet, selector=selector(['env="gprd"'])),), promotion=promotion))
        await follow(follower)
        await house.fire("Down")
        await house.fire("Down", env="lab")
        await follow(follower)
        told = await self.told(house, Candidate(ONE))
        assert [(item["what"], item["was"], item["would_be"]) for item in told["items"]] == [
            ("would not be in triage", "S1 in triage", "S1"),
            ("would be in triage", "S1", "S1 in triage"),
        ]
        assert told["incidents"]["triage"] == 2

    async def test_there_is_none_without_a_candidate(self, house: House) -> None:
        assert await self.told(house, Candidate(None, name=None)) is None

    async def test_one_that_never_could_be_used_has_compared_nothing(self, house: House) -> None:
        told = await self.told(house, Candidate(None, valid=False))
        assert told["candidate"] == {"file": "candidate.yaml", "policy": None, "valid": False}
        assert (told["since"], told["behind"], told["decisions"], told["items"]) == (None, None, 0, [])


class TestAround:
    """What else it looks at, counts and forgets."""

    async def test_maintenance_that_people_plan_holds_for_the_candidate_too(self, house: House) -> None:
        follower = house.follower(replace(ONE, rules=()))
        await follow(follower)
        await self._plan(house, ended=False)
        await house.fire("Down", service="db")
        await self._plan(house, ended=True)
        house.pass_time(minutes=2)
        await follow(follower)
        (row,) = await house.decisions(ONE.version)
        assert (row.action, row.rule, row.was) == ("record", "maintenance", "open")
        (opened,) = [row for row in await house.openings(ONE.version) if row.would_be]
        assert (opened.seq, opened.would_be) == (1, "S-1")

    async def _plan(self, house: House, *, ended: bool) -> None:
        """An hour of work on the database begins, or is ended before its time."""
        window = Window.parse(starts=NOW.replace(tzinfo=None).isoformat(), duration=minutes(60), zone="UTC")
        plan = Maintenance("MW-1", "upgrade", selector(['service="db"']), window, "because", "ann")
        planned = Planned(plan, 1, NOW, *((house.now, "ann", "done") if ended else ()))
        async with house.database.transaction(serial=True) as connection:
            await (maintenance.end if ended else maintenance.add)(connection, planned)

    async def test_it_is_counted_once_each_decision_is_stored(self, house: House) -> None:
        metrics = ShadowMetrics(CollectorRegistry())
        follower = Follower(house.database, Candidate(ONE), house.clock, metrics)
        await follow(follower)
        await house.fire("Down")
        await house.fire("Down", env="lab")
        await follow(follower)
        await follow(follower)
        assert [metrics.decisions.labels(same)._value.get() for same in ("true", "false")] == [1, 1]
        assert metrics.differences.labels("open", "record")._value.get() == 1
        assert (metrics.lag._value.get(), metrics.open_incidents._value.get()) == (0, 1)

    async def test_what_is_older_than_thirty_days_is_forgotten_bit_by_bit(self, house: House) -> None:
        old = house.follower(ONE)
        await follow(old)
        await house.fire("Down", "Test", env="lab")
        await follow(old)
        await old.stop()
        follower = house.follower(TWO)
        await follow(follower)
        house.clock.advance(shadows.KEPT - minutes(1))
        await house.fire("Down")
        await follow(follower)
        assert len(await house.decisions(ONE.version)) == 2
        house.clock.advance(minutes(1))
        await follow(follower)
        assert await house.decisions(ONE.version) == []
        assert [row.policy for row in await self._courses(house)] == [TWO.version]
        assert len(await house.decisions(TWO.version)) == 1

    async def test_a_candidate_that_was_forgotten_begins_anew(self, house: House) -> None:
        follower = house.follower(ONE)
        await follow(follower)
        await follower.stop()
        await house.fire("Down")
        house.clock.advance(shadows.KEPT + minutes(1))
        await follow(follower)
        (course,) = await self._courses(house)
        assert (course.first, course.started_at) == (2, house.now)

    async def _courses(self, house: House) -> list[Any]:
        async with house.database.read() as connection:
            return list(await connection.execute(select(tables.shadows)))

    async def test_the_loop_follows_when_it_is_woken_and_ends_when_told(self, house: House) -> None:
        follower = house.follower(ONE)
        running = asyncio.create_task(follower.run())
        for count in (1, 2):
            await self._compared(house, count - 1)
            await house.fire(f"Down{count}")
            house.clock.advance(minutes(PAUSE))
            follower.wake()
            await self._compared(house, count)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await follower.stop()
        (course,) = await self._courses(house)
        assert (course.leader, course.position) == (None, 3)

    async def _compared(self, house: House, count: int) -> None:
        """Until the loop has begun, and has compared so many."""
        async with asyncio.timeout(20):
            while not await self._courses(house) or len(await house.decisions(ONE.version)) < count:
                await asyncio.sleep(0.01)
