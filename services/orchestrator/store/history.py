"""The recorded log, read in the order in which everything was decided: what a replay plays.

It is what is stored anyway: firings with their decisions and ends, and what people did. One pass over the decisions in their
order is enough; the ends of firings wait until the decision before which they were heard.
"""

from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush
from typing import Any

from pydantic_core import from_json
from sqlalchemy import Row, Text, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.alerts import AlertReceived
from schemas.incidents import Actor, Incident
from schemas.vocabulary import Action, ActorKind, AlertStatus, Severity
from services.orchestrator.domain.replaying import Decided, Heard, Ordered, known_slos
from services.orchestrator.store.tables import events, firings, incidents, turns

CHUNK = 5000
RELEVANT = tuple(
    f"tocsin.incident.{word}.v1"
    for word in (
        "opened", "severity_changed", "severity_unpinned", "promoted", "mitigated", "resolved", "reopened", "dismissed",
    )
)  # fmt: skip

COLUMNS = (
    firings.c.seq,
    firings.c.fingerprint,
    cast(firings.c.labels, Text).label("labels"),
    cast(firings.c.facts, Text).label("facts"),
    firings.c.received_at,
    firings.c.ends_at,
    firings.c.closed_at,
    firings.c.closed_before,
    firings.c.decided_at,
    firings.c.action,
    firings.c.decided_incident,
    firings.c.decided_severity,
    firings.c.rule,
)


@dataclass(frozen=True)
class Extent:
    """What a log holds from a moment on: the numbers of its first decision and incident, how many decisions, and its end."""

    first_decision: int
    first_incident: int
    decisions: int
    until: datetime | None


async def extent(connection: AsyncConnection, since: datetime) -> Extent:
    """How much there is to play."""
    query = select(func.min(firings.c.seq), func.count(), func.max(firings.c.decided_at)).where(firings.c.decided_at >= since)
    first, count, until = (await connection.execute(query)).one()
    mine = select(func.min(incidents.c.number)).where(incidents.c.id.in_(
        select(events.c.incident).where((events.c.version == 1) & (events.c.recorded_at >= since))
    ))  # fmt: skip
    number = (await connection.execute(mine)).scalar_one()
    return Extent(first or 1, number or 1, count, until)


async def recorded_incidents(connection: AsyncConnection, since: datetime) -> dict[str, Incident]:
    """The incidents that began since a moment, as they are."""
    names = select(events.c.incident).where((events.c.version == 1) & (events.c.recorded_at >= since))
    rows = await connection.execute(select(incidents.c.body).where(incidents.c.id.in_(names)))
    found = (Incident.model_validate(row.body) for row in rows)
    return {incident.id: incident for incident in found}


async def opened_later(connection: AsyncConnection, since: datetime) -> dict[int, str]:
    """The incidents that were opened for firings after their decision, by the number of the decision."""
    mine = (turns.c.event == "opened") & (turns.c.at >= since)
    return {row.seq: row.incident for row in await connection.execute(select(turns.c.seq, turns.c.incident).where(mine))}


async def log(connection: AsyncConnection, since: datetime, first: int) -> AsyncIterator[Heard | Ordered]:
    """Everything that decisions depended on, in its order, from the decision `first` on."""
    assembly, after = Assembly(deque(await _orders(connection, since))), first - 1
    while True:
        query = select(*COLUMNS).where(firings.c.seq > after).order_by(firings.c.seq).limit(CHUNK)
        rows = (await connection.execute(query)).all()
        for row in rows:
            for step in assembly.take(row):
                yield step
        if len(rows) < CHUNK:
            break
        after = rows[-1].seq
    for step in assembly.rest():
        yield step


async def _orders(connection: AsyncConnection, since: datetime) -> list[tuple[int, Ordered]]:
    """What people did, with the number of the decision before which they did it."""
    mine = events.c.type.in_(RELEVANT) & (events.c.recorded_at >= since)
    query = select(events).where(mine).order_by(events.c.position, events.c.recorded_at, events.c.incident, events.c.version)
    return list(ordered(await connection.execute(query)))


def ordered(rows: Iterable[Row[Any]]) -> Iterator[tuple[int, Ordered]]:
    """Of these events what people did, each with the number of the decision before which they did it."""
    for row in rows:
        actor = Actor.model_validate(row.actor)
        if actor.kind is ActorKind.PERSON:
            yield row.position, Ordered(row.recorded_at, row.incident, row.type, row.change, actor, row.reason)


@dataclass
class Assembly:
    """Puts decisions, ends and orders into their order, and what was decided at one moment into one batch."""

    orders: deque[tuple[int, Ordered]] = field(default_factory=deque)
    _ends: list[tuple[int, datetime, int, AlertReceived]] = field(default_factory=list)
    _labels: dict[str, dict[str, str]] = field(default_factory=dict)
    _batch: Heard | None = None

    def expect(self, orders: Iterable[tuple[int, Ordered]]) -> None:
        """What people did after everything that is known so far."""
        self.orders.extend(orders)

    def take(self, row: Row[Any]) -> Iterator[Heard | Ordered]:
        """The next decision. Its firing's end, if there is one, comes in its turn."""
        yield from self.before(row.seq)
        facts = from_json(row.facts)
        alert = self._alert(row, facts)
        decided = Decided(
            row.seq,
            Action(row.action),
            row.decided_incident,
            Severity(row.decided_severity) if row.decided_severity else None,
            row.rule,
        )
        yield from self._add(row.decided_at, alert, decided, facts)
        self.end(row)

    def end(self, row: Row[Any]) -> None:
        """The firing of a decision that was taken ended, if it did after that."""
        if row.closed_before is None or row.closed_at is None or row.closed_before <= row.seq:
            return
        over = AlertReceived.model_construct(
            fingerprint=row.fingerprint,
            status=AlertStatus.RESOLVED,
            labels={},
            annotations={},
            starts_at=row.received_at,
            ends_at=row.ends_at,
            generator_url="",
            received_at=row.closed_at,
        )
        heappush(self._ends, (row.closed_before, row.closed_at, row.seq, over))

    def forget(self, alerts: int) -> None:
        """Keep the labels of at most so many alerts; they are read anew."""
        if len(self._labels) > alerts:
            self._labels = {}

    def rest(self) -> Iterator[Heard | Ordered]:
        """What came after the last decision."""
        yield from self.before(None)
        if self._batch is not None:
            yield self._batch
            self._batch = None

    def before(self, number: int | None) -> Iterator[Heard | Ordered]:
        """Ends and orders before the decision with this number, whichever came first."""
        while True:
            end, order = self._end_before(number), self._order_before(number)
            if end is None and order is None:
                return
            if end is not None and (order is None or end[:2] <= (order[0], order[1].at)):
                heappop(self._ends)
                yield from self._add(end[1], end[3], None, {})
            elif order is not None:
                self.orders.popleft()
                if self._batch is not None:
                    yield self._batch
                    self._batch = None
                yield order[1]

    def _end_before(self, number: int | None) -> tuple[int, datetime, int, AlertReceived] | None:
        return self._ends[0] if self._ends and (number is None or self._ends[0][0] <= number) else None

    def _order_before(self, number: int | None) -> tuple[int, Ordered] | None:
        return self.orders[0] if self.orders and (number is None or self.orders[0][0] <= number) else None

    def _add(
        self, at: datetime, alert: AlertReceived, decided: Decided | None, facts: dict[str, Any]
    ) -> Iterator[Heard | Ordered]:
        if self._batch is not None and self._batch.at != at:
            yield self._batch
            self._batch = None
        if self._batch is None:
            self._batch = Heard(at, [], {}, {})
        batch = self._batch
        assert isinstance(batch.alerts, list)
        assert isinstance(batch.decided, dict)
        assert isinstance(batch.slos, dict)
        batch.alerts.append(alert)
        if decided is not None:
            batch.decided[decided.seq] = decided
        if facts.get("slos"):
            batch.slos.update(known_slos(facts, at))

    def _alert(self, row: Row[Any], facts: dict[str, Any]) -> AlertReceived:
        labels = self._labels.get(row.fingerprint)
        if labels is None:
            labels = self._labels[row.fingerprint] = from_json(row.labels)
        unseen = row.closed_before is not None and row.closed_before <= row.seq
        started = facts.get("starts_at")
        return AlertReceived.model_construct(
            fingerprint=row.fingerprint,
            status=AlertStatus.RESOLVED if unseen else AlertStatus.FIRING,
            labels=labels,
            annotations={},
            starts_at=datetime.fromisoformat(started) if started else row.received_at,
            ends_at=row.ends_at if unseen else None,
            generator_url="",
            received_at=row.received_at,
        )
