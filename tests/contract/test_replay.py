"""What was decided on either database is replayed from it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from schemas.incidents import Absorbed, Dismissed, Mitigated, Promoted, Reopened, SplitOut
from schemas.vocabulary import Action, IncidentState, Severity
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.rules import EVERYTHING, Breadth, DecisionRule, Rate, SeverityRule
from services.orchestrator.domain.trying.comparing import What
from services.orchestrator.domain.trying.replaying import RELEVANT
from services.orchestrator.store.tables import events
from services.runtime.db import Database
from tests.builders import NOW, POLICY, minutes
from tests.support.shadowing import Shaky, two_databases
from tests.support.stories import Past, Story, nothing_differs

BROAD = SeverityRule("broad", EVERYTHING, Severity.S2, Breadth("instance", 2, minutes(20)))
LONG = SeverityRule("long", EVERYTHING, Severity.S2, persists=minutes(45))
SMALL = DecisionRule("small", EVERYTHING, Action.TRIAGE, frozenset({Severity.S3}))
IN_FORCE = replace(POLICY, severity_rules=(BROAD, LONG), rules=(SMALL,), flapping=Rate(2, minutes(20)))

WEB, DB, SLOW, OTHER = (
    ("Down", "s1", "web", "1"),
    ("Down", "s2", "db", "1"),
    ("Slow", "s3", "web", "1"),
    ("Slow", "s3", "api", "2"),
)
STORY: Story = [
    ("declare", None),
    ("hear", [SLOW, OTHER]),
    ("pass", 3),
    ("plan", 60),
    ("hear", [WEB, DB]),
    ("merge", (3, 4)),
    ("pass", 10),
    ("hear", [("Slow", "s3", "api", "3")]),
    ("do", (4, ask.SetSeverity(Severity.S4, pin=True))),
    ("split", (2, [SLOW])),
    ("hear", [SLOW, WEB]),
    ("pass", 4),
    ("hear", [SLOW]),
    ("end", None),
    ("do", (4, ask.Unpin())),
    ("pass", 50),
    ("do", (1, ask.Move(Step.RESOLVE))),
    ("hear", [WEB, DB]),
    ("pass", 30),
    ("do", (2, ask.Move(Step.RESOLVE))),
]


@pytest.fixture(params=["sqlite", "postgres"])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Database, Shaky]]:
    async with two_databases(request, tmp_path) as pair:
        yield pair


@pytest.fixture
async def past(pair: tuple[Database, Shaky]) -> Past:
    """The story, lived."""
    past = await Past(pair[0], IN_FORCE).start()
    await past.live(STORY)
    async with past.database.read() as connection:
        types = set((await connection.execute(select(events.c.type))).scalars())
    assert types >= {*RELEVANT, SplitOut.TYPE, Absorbed.TYPE} - {Reopened.TYPE, Mitigated.TYPE, Promoted.TYPE, Dismissed.TYPE}
    return past


async def test_the_policy_in_force_decides_what_it_decided_from_whatever_moment_on(past: Past) -> None:
    counts = []
    for since in (None, NOW, NOW + minutes(3.5), NOW + minutes(20), NOW + minutes(60)):
        found = await past.replayed(since)
        assert found is not None
        nothing_differs(found)
        counts.append(found.report.decisions)
    assert counts == [7, 7, 3, 1, 1]


async def test_another_policy_is_compared_with_it(past: Past) -> None:
    past.policy = replace(IN_FORCE, rules=(), severity_rules=(LONG,))
    found = await past.replayed()
    assert found is not None
    assert {each.what for each in found.differences} >= {What.OPENS_LATER}
    assert sum(found.report.changes.values()) == found.report.decisions - found.report.same > 0
    assert found.until == past.now


async def test_nothing_is_written(past: Past) -> None:
    async def incidents() -> list[tuple[str, int, IncidentState]]:
        return [(each.id, each.version, each.state) for each in await past.open_incidents()]

    before = await incidents()
    past.policy = replace(IN_FORCE, rules=())
    assert await past.replayed() is not None
    assert await incidents() == before


async def test_there_is_nothing_to_replay_where_nothing_was_decided(pair: tuple[Database, Shaky]) -> None:
    past = await Past(pair[0]).start()
    assert await past.replayed() is None
    await past.live([("declare", None)])
    assert await past.replayed(NOW) is None
