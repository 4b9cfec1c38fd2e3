"""What triage reads, on both databases: aggregates that are right, and quick however many firings there are."""

import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from schemas.incidents import Incident
from schemas.vocabulary import Action, FiringState, IncidentState, Severity
from services.orchestrator.domain.evidence.picture import Tally
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.happen import record
from services.orchestrator.domain.incident.incident import Context, Refusal, decide
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.store import incidents, tables, triage
from services.runtime.db import Database
from services.runtime.migrate import migrate
from tests.builders import ANN, NOW, POLICY, minutes
from tests.support.postgres import PostgresServer


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path}/test.db"
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.create_database()
    database = Database(url, "orchestrator")
    await migrate(database, "services.orchestrator.store.migrations")
    yield database
    await database.stop()


def a_row(
    seq: int,
    state: FiringState = FiringState.FIRING,
    severity: Severity | None = Severity.S1,
    incident: str | None = None,
    starts_at: datetime = NOW,
    **labels: str,
) -> dict[str, Any]:
    """A firing as it is stored."""
    return {
        "seq": seq, "fingerprint": f"{seq:016x}", "latest": True, "labels": {"alertname": "A", **labels},
        "annotations": {"summary": "x" * 200}, "generator_url": "", "starts_at": starts_at, "newest_start": starts_at,
        "last_seen": starts_at, "received_at": starts_at, "ends_at": NOW if state is FiringState.RESOLVED else None,
        "state": state, "severity": severity, "action": Action.RECORD, "incident": incident, "rule": "r", "policy": "p",
        "decided_at": starts_at, "reason": "", "facts": {},
    }  # fmt: skip


async def store(database: Database, *rows: dict[str, Any]) -> None:
    async with database.transaction() as connection:
        await connection.execute(insert(tables.firings), rows)


async def store_incident(
    database: Database, number: int, severity: Severity, *services: str, steps: tuple[Step, ...] = (), **more: Any
) -> None:
    """An incident that was opened, and what was done to it since."""
    name = f"INC-{number}"
    opened = ask.Open(name, f"uuid-{number}", "Title", severity, services, **more)
    commands: tuple[ask.Command, ...] = (opened, *map(ask.Move, steps))
    incident: Incident | None = None
    async with database.transaction() as connection:
        for each in commands:
            changes = decide(incident, each, Context(now=NOW, periods=POLICY.periods))
            assert not isinstance(changes, Refusal)
            incident, events = record(name, incident, changes, actor=ANN, reason="r", now=NOW)
            await incidents.append(connection, events, 0)


async def tallies(database: Database) -> set[Tally]:
    async with database.read() as connection:
        return set(await triage.tallies(connection))


async def test_firings_are_counted_by_service_state_severity_and_open_incident(database: Database) -> None:
    await store_incident(database, 1, Severity.S1, "web")
    await store_incident(database, 2, Severity.S1, "db", steps=(Step.RESOLVE,))
    await store(
        database,
        a_row(1, incident="INC-1", service="web", starts_at=NOW - minutes(9)),
        a_row(2, incident="INC-1", service="web"),
        a_row(3, severity=Severity.S3, service="web"),
        a_row(4, state=FiringState.MUTED, service="web"),
        a_row(5, state=FiringState.STALE, severity=None, service="web"),
        a_row(6, state=FiringState.RESOLVED, service="web"),
        a_row(7, incident="INC-2", service="db"),
    )
    s1, s3 = Severity.S1, Severity.S3
    assert await tallies(database) == {
        Tally("web", FiringState.FIRING, s1, "INC-1", 2, NOW - minutes(9)),
        Tally("web", FiringState.FIRING, s3, None, 1, NOW),
        Tally("web", FiringState.MUTED, s1, None, 1, NOW),
        Tally("web", FiringState.STALE, None, None, 1, NOW),
        Tally("db", FiringState.FIRING, s1, None, 1, NOW),
    }


async def test_the_service_falls_back_as_it_does_for_the_key(database: Database) -> None:
    hostile = "x'\"; -- \u202e %s $1 \\u0041"
    await store(database, a_row(1, service="", job="api"), a_row(2), a_row(3, service=hostile))
    assert {tally.service for tally in await tallies(database)} == {"api", "A", hostile}


async def test_open_incidents_come_worst_first_and_then_newest(database: Database) -> None:
    await store_incident(database, 1, Severity.S2, "web", environment="gprd")
    await store_incident(database, 2, Severity.S1, drill=True)
    await store_incident(database, 3, Severity.S2, "db", steps=(Step.MITIGATE,))
    await store_incident(database, 4, Severity.S1, steps=(Step.RESOLVE,))
    async with database.read() as connection:
        found = await triage.open_incidents(connection)
        whole = await triage.worst_incidents(connection, 2)
    assert [incident.id for incident in found] == ["INC-2", "INC-3", "INC-1"]
    assert [incident.id for incident in whole] == ["INC-2", "INC-3"]
    assert [incident.drill for incident in found] == [True, False, False]
    assert (found[1].state, found[1].services, found[1].environment) == (IncidentState.MITIGATED, ("db",), None)
    assert (found[2].services, found[2].environment) == (("web",), "gprd")


async def test_ten_thousand_open_firings_beside_as_many_old_ones_are_counted_within_half_a_second(database: Database) -> None:
    await store_incident(database, 1, Severity.S1, "web")
    rows = [a_row(seq, incident="INC-1", service=f"service-{seq % 20}", instance="x" * 300) for seq in range(10_000)]
    old = [a_row(seq, FiringState.RESOLVED, service="web", instance="x" * 300) for seq in range(10_000, 20_000)]
    await store(database, *rows, *old)
    begun = time.monotonic()
    found = await tallies(database)
    took = time.monotonic() - begun
    assert (len(found), sum(tally.count for tally in found)) == (20, 10_000)
    assert took < 0.5
