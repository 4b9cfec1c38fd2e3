"""A long history as the orchestrator would have stored it: a day decided by the engine, and the same day again and again.

The same site gives the same history. Most of it is recorded only; there are outages of a service, and now and then a storm over
many. People resolve what was opened. In the last hours of a day all is over, so that no day knows of the one before it.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import Any

from sqlalchemy import JSON, Column, insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.alerts import AlertReceived
from schemas.ids import Fingerprint, digest, incident_number
from schemas.incidents import Incident, IncidentEvent
from schemas.vocabulary import AlertStatus
from services.orchestrator.domain.alerts.firings import Firing
from services.orchestrator.domain.deciding.ledger import Outcome
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.trying.simulation import Simulation
from services.orchestrator.store import firings, tables, turns
from services.runtime.db import Database, UtcDateTime
from tests.builders import ANN

FIRST_DAY = datetime(2026, 6, 1, tzinfo=UTC)
BUSY, LONGEST = timedelta(hours=18), timedelta(hours=2)
SERVICES, INSTANCES = 150, 12
LESSER = (
    "LatencyHigh", "SaturationHigh", "PodCrashLooping", "QueueGrows", "DiskFillsUp", "CertificateExpires", "BackupLate",
    "ReplicationLags", "TargetDown",
)  # fmt: skip
SEVERITIES = ("panic", *["s3"] * 8, *["s4"] * 12, *["warning"] * 12)
AT_ONCE = (1, 1, 1, 1, 1, 1, 2, 3, 5, 8)
SERIOUS, STORM = 0.003, 0.0002
"""How many of all troubles are outages of a service, and of many services at once."""
STORMY = 40


@dataclass(frozen=True)
class Kind:
    """An alert as it is defined; it may fire again and again."""

    fingerprint: Fingerprint
    labels: dict[str, str]


@dataclass(frozen=True)
class Service:
    """Its lesser alerts, and those that mean an outage."""

    lesser: list[Kind]
    serious: list[Kind]


def a_day(firings: int, seed: int = 1) -> Iterator[tuple[datetime, list[AlertReceived]]]:
    """What comes in one batch, with its moment, in order."""
    rng, now, left = random.Random(seed), FIRST_DAY, firings
    services = [_service(rng, number) for number in range(SERVICES)]
    pause = BUSY.total_seconds() / (firings / (sum(AT_ONCE) / len(AT_ONCE)))
    firing: set[str] = set()
    ends: list[tuple[datetime, str, AlertReceived]] = []
    while left > 0 or ends:
        now = now + timedelta(seconds=rng.expovariate(1 / pause)) if left > 0 else ends[0][0]
        while ends and ends[0][0] <= now:
            at, fingerprint, over = heappop(ends)
            firing.remove(fingerprint)
            yield at, [over]
        if left <= 0:
            continue
        begun = [kind for kind in _trouble(rng, services) if kind.fingerprint not in firing][:left]
        for kind in begun:
            firing.add(kind.fingerprint)
            at = now + min(timedelta(seconds=30 + rng.expovariate(1 / 900)), LONGEST)
            heappush(ends, (at, kind.fingerprint, _message(kind, now, at)))
        left -= len(begun)
        if begun:
            yield now, [_message(kind, now) for kind in begun]


def _service(rng: random.Random, number: int) -> Service:
    lesser = [kind for name in LESSER for kind in _kinds(number, name, rng.choice(SEVERITIES))]
    return Service(lesser, _kinds(number, "ErrorRateHigh", rng.choice(["s1", "s2"])))


def _kinds(service: int, name: str, severity: str) -> list[Kind]:
    found = []
    for instance in range(INSTANCES):
        labels = {
            "alertname": name, "severity": severity, "service": f"service-{service}", "env": "prod" if instance else "dev",
            "instance": f"host-{service}-{instance}:9100", "team": f"team-{service % 12}", "region": f"region-{instance % 3}",
            "prometheus": "monitoring/main",
        }  # fmt: skip
        found.append(Kind(Fingerprint(digest(*labels.values())[:16]), labels))
    return found


def _trouble(rng: random.Random, services: Sequence[Service]) -> list[Kind]:
    dice, service = rng.random(), rng.choice(services)
    if dice < STORM:
        return [rng.choice(each.serious) for each in rng.sample(services, STORMY)]
    if dice < SERIOUS:
        return rng.sample(service.serious, 3) + rng.sample(service.lesser, 10)
    return rng.sample(service.lesser, rng.choice(AT_ONCE))


def _message(kind: Kind, began: datetime, over: datetime | None = None) -> AlertReceived:
    return AlertReceived.model_construct(
        fingerprint=kind.fingerprint,
        status=AlertStatus.RESOLVED if over else AlertStatus.FIRING,
        labels=kind.labels,
        annotations={"title": f"{kind.labels['alertname']} on {kind.labels['instance']}"},
        starts_at=began,
        ends_at=over,
        generator_url="",
        received_at=over or began,
    )


@dataclass
class Recorder:
    """Decides, has people resolve what was opened, and keeps what is to be stored."""

    simulation: Simulation
    firings: dict[int, Firing] = field(default_factory=dict)
    turns: list[Any] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    resolving: list[tuple[datetime, str]] = field(default_factory=list)

    def hear(self, now: datetime, batch: Sequence[AlertReceived]) -> None:
        self.pass_time(now)
        position = self.simulation.world.next_decision
        self._keep(self.simulation.alerts(now, batch), now, position)

    def pass_time(self, now: datetime) -> None:
        while self.resolving and self.resolving[0][0] <= now:
            at, name = heappop(self.resolving)
            self._advance(at)
            done = self.simulation.command(at, name, ask.Move(Step.RESOLVE), ANN, "It is over.")
            self._tell(done if isinstance(done, list) else (), at, self.simulation.world.next_decision)
        self._advance(now)

    def _advance(self, now: datetime) -> None:
        for outcome in self.simulation.advance(now):
            self._keep(outcome, now, self.simulation.world.next_decision)

    def _keep(self, outcome: Outcome, now: datetime, position: int) -> None:
        self.firings |= {firing.decision.seq: firing for firing in (*outcome.began, *outcome.changed) if firing.decision}
        self.turns += outcome.turns
        self._tell(outcome.events, now, position)

    def _tell(self, happened: Sequence[IncidentEvent], now: datetime, position: int) -> None:
        for event in happened:
            self.events.append(_event_row(event, position))
            if event.type.split(".")[2] in {"opened", "reopened"}:
                heappush(self.resolving, (now + timedelta(minutes=40 + event.version % 90), event.incident.id))


async def write_history(database: Database, policy: Policy, firings: int, days: int = 1) -> int:
    """Store so many firings a day in an empty database on SQLite, decided under the policy. Returns how many incidents."""
    recorder = Recorder(Simulation(policy, telling=True))
    for now, batch in a_day(firings):
        recorder.hear(now, batch)
    recorder.pass_time(FIRST_DAY + timedelta(days=1))
    found = list(recorder.simulation.world.incidents.values())
    async with database.transaction() as connection:
        await _store(connection, recorder, found)
        await connection.execute(text("CREATE TEMP TABLE newest AS SELECT seq FROM firings WHERE latest"))
        if days > 1:
            await connection.execute(update(tables.firings).values(latest=False))
        for day in range(1, days):
            await _again(connection, day, firings, len(found), last=day == days - 1)
    return len(found) * days


async def _store(connection: AsyncConnection, recorder: Recorder, found: Sequence[Incident]) -> None:
    known: set[str] = set()
    began = list(recorder.firings.values())
    for first in range(0, len(began), 5000):
        chunk = began[first : first + 5000]
        await firings.add(connection, chunk, known=known)
        known |= {firing.fingerprint for firing in chunk}
    await turns.add(connection, recorder.turns)
    if found:
        await connection.execute(insert(tables.events), recorder.events)
        await connection.execute(insert(tables.incidents), [_incident_row(incident) for incident in found])


_NAME = "'INC-' || (substr({}, 5) + :incidents)"
_MOVED = {
    **dict.fromkeys(("seq", "position", "closed_before"), "{} + :decisions"),
    **dict.fromkeys(("incident", "decided_incident"), _NAME),
    "number": "{} + :incidents",
    "latest": "(:last AND seq IN newest)",
}


async def _again(connection: AsyncConnection, day: int, decisions: int, incidents: int, *, last: bool) -> None:
    """What was stored of the first day, with other numbers, names and dates."""
    values = {
        "first": f"{FIRST_DAY:%Y-%m-%d}", "then": f"{FIRST_DAY + timedelta(days=day):%Y-%m-%d}", "last": last,
        "decisions": day * decisions, "incidents": day * incidents,
    }  # fmt: skip
    of_the_day = {
        tables.firings: f"seq <= {decisions}",
        tables.turns: f"seq <= {decisions}",
        tables.events: f"substr(incident, 5) + 0 <= {incidents}",
        tables.incidents: f"number <= {incidents}",
    }
    for table, mine in of_the_day.items():
        columns = [column for column in table.columns if table is not tables.turns or column.name != "id"]
        names, moved = ", ".join(f'"{column.name}"' for column in columns), ", ".join(map(_moved, columns))
        statement = text(f"INSERT INTO {table.name} ({names}) SELECT {moved} FROM {table.name} WHERE {mine}")
        await connection.execute(statement, {name: values[name] for name in values if f":{name}" in moved})


def _moved(column: Column[Any]) -> str:
    own = f'"{column.name}"'
    if column.table is tables.incidents and column.name in {"id", "body"}:
        name = _NAME.format("id")
        return name if column.name == "id" else f"json_set(replace(body, :first, :then), '$.id', {name})"
    if column.name in _MOVED:
        return _MOVED[column.name].format(own)
    dated = isinstance(column.type, JSON | UtcDateTime)
    return f"replace({own}, :first, :then)" if dated else own


def _incident_row(incident: Incident) -> dict[str, Any]:
    return {
        "number": incident_number(incident.id),
        "id": incident.id,
        "version": incident.version,
        "state": incident.state,
        "severity": incident.severity,
        "correlation_key": incident.correlation_key,
        "resolved_at": incident.resolved_at,
        "body": incident.model_dump(mode="json"),
    }


def _event_row(event: IncidentEvent, position: int) -> dict[str, Any]:
    return {
        "incident": event.incident.id,
        "version": event.version,
        "type": event.type,
        "actor": event.actor.model_dump(mode="json"),
        "occurred_at": event.occurred_at,
        "recorded_at": event.recorded_at,
        "caused_at": event.caused_at,
        "reason": event.reason,
        "text": event.text,
        "change": event.change,
        "position": position,
    }
