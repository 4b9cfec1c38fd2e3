"""The recorded log, read in the order in which everything was decided: what a replay plays.

It is what is stored anyway: firings with their decisions and ends, and what people did. Read it in one snapshot.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, Column, ColumnElement, Row, Text, cast, func, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.incidents import Actor, Incident, Merged, SeverityChanged, SeverityUnpinned
from schemas.vocabulary import ActorKind, IncidentState
from services.orchestrator.domain.alerts.maintenance import Planned
from services.orchestrator.domain.trying.comparing import Later, Recorded
from services.orchestrator.domain.trying.replaying import RELEVANT, Heard, Ordered
from services.orchestrator.domain.trying.shadowing import FURTHEST, beginning
from services.orchestrator.store import maintenance
from services.orchestrator.store.assembly import COLUMNS, Assembly
from services.orchestrator.store.shadows import first_since, last_decision, spans
from services.orchestrator.store.tables import events, firings, incidents, turns
from services.runtime.db import UtcDateTime, among

CHUNK = 5000


def raw(names: Iterable[str]) -> list[ColumnElement[Any]]:
    """Columns of firings as the database has them: SQLAlchemy would make values of them one by one, and not as fast."""
    return [_raw(firings.c[name]) for name in names]


def _raw(column: Column[Any]) -> ColumnElement[Any]:
    if isinstance(column.type, JSON):
        return cast(column, Text).label(column.name)
    return type_coerce(column, Text) if isinstance(column.type, UtcDateTime) else column


@dataclass(frozen=True)
class Extent:
    """What there is to play: from the decision `first` to `last`, the first of them made at `start`. Differences count from
    `since` on; what was decided before only warms up. `incident` is the number of the first incident."""

    since: datetime
    start: datetime
    first: int
    last: int
    incident: int


async def extent(connection: AsyncConnection, since: datetime | None, memory: timedelta, policy: str) -> Extent | None:
    """How much there is; None when nothing has been decided since then. `memory` is how far the policy looks back."""
    last = await last_decision(connection)
    if last == 0:
        return None
    if since is None:
        since = start = await _first_moment(connection)
    else:
        start = await _beginning(connection, since, memory, policy)
    if await first_since(connection, since) > last:
        return None
    return Extent(since, start, await first_since(connection, start), last, await _first_incident(connection, start))


async def _first_moment(connection: AsyncConnection) -> datetime:
    """When the first decision was made, or a person did something before that."""
    decided: datetime = (await connection.execute(select(func.min(firings.c.decided_at)))).scalar_one()
    done: datetime | None = (await connection.execute(select(func.min(events.c.recorded_at)))).scalar_one()
    return min(decided, done or decided)


async def _beginning(connection: AsyncConnection, since: datetime, memory: timedelta, policy: str) -> datetime:
    """Early enough to know what was open then, and all that decisions look back at."""
    furthest = since - FURTHEST
    found = await spans(connection, policy, await first_since(connection, furthest), furthest)
    return beginning(since, memory, found)


async def _first_incident(connection: AsyncConnection, start: datetime) -> int:
    began = (events.c.incident == incidents.c.id) & (events.c.version == 1)
    query = select(func.min(incidents.c.number)).join(events, began).where(events.c.recorded_at >= start)
    found: int | None = (await connection.execute(query)).scalar_one()
    if found is None:
        found = ((await connection.execute(select(func.max(incidents.c.number)))).scalar_one() or 0) + 1
    return found


async def recorded_incidents(connection: AsyncConnection, first: int) -> dict[str, Recorded]:
    """The incidents from this number on, as they are."""
    mine = incidents.c.number >= first
    raises = select(events.c.incident, events.c.reason).join(incidents, incidents.c.id == events.c.incident)
    raises = raises.where(mine & (events.c.type == SeverityChanged.TYPE)).order_by(events.c.incident, events.c.version)
    raised = {row.incident: row.reason for row in await connection.execute(raises)}
    began = (events.c.incident == incidents.c.id) & (events.c.version == 1)
    rows = await connection.execute(select(incidents.c.id, incidents.c.body, events.c.change).join(events, began).where(mine))
    return {
        row.id: Recorded(Incident.model_validate(row.body), row.change["state"] == IncidentState.TRIAGE, raised.get(row.id, ""))
        for row in rows
    }


async def opened_later(connection: AsyncConnection, start: datetime) -> dict[int, Later]:
    """The incidents that were opened for firings after their decision, by the number of the decision."""
    mine = (turns.c.event == "opened") & (turns.c.at >= start)
    rows = await connection.execute(select(turns.c.seq, turns.c.incident, turns.c.at).where(mine))
    return {row.seq: Later(row.incident, row.at) for row in rows}


async def planned(connection: AsyncConnection, start: datetime) -> list[Planned]:
    """What people had planned that was not over then."""
    return await maintenance.live(connection, start)


async def log(connection: AsyncConnection, since: datetime, first: int) -> AsyncIterator[Heard | Ordered]:
    """Everything that decisions depended on, in its order, from the decision `first` on, which was made at `since` or later."""
    assembly, after, columns = Assembly(), first - 1, raw(COLUMNS)
    assembly.expect(await _orders(connection, since))
    while True:
        query = select(*columns).where(firings.c.seq > after).order_by(firings.c.seq).limit(CHUNK)
        rows = (await connection.execute(query)).all()
        for step in assembly.take(rows):
            yield step
        if len(rows) < CHUNK:
            break
        after = rows[-1].seq
    for step in assembly.rest():
        yield step


async def _orders(connection: AsyncConnection, start: datetime) -> Sequence[tuple[int, Ordered]]:
    mine = events.c.type.in_(RELEVANT) & (events.c.recorded_at >= start)
    query = select(events).where(mine).order_by(events.c.position, events.c.recorded_at, events.c.incident, events.c.version)
    return await ordered(connection, (await connection.execute(query)).all())


async def ordered(connection: AsyncConnection, rows: Sequence[Row[Any]]) -> list[tuple[int, Ordered]]:
    """Of these events the commands of people, each with the number of the decision before which it was given."""
    mine = [row for row in rows if row.actor["kind"] == ActorKind.PERSON]
    consequences, moved = _consequences(mine), await _moved(connection, mine)
    return [
        (row.position, _ordered(row, moved.get((row.incident, row.recorded_at), ())))
        for row in mine
        if (row.incident, row.version) not in consequences
    ]


def _consequences(rows: Sequence[Row[Any]]) -> set[tuple[str, int]]:
    """Events that a person's command has brought about on the way: on the target of a merge, and by taking a pin away."""
    merges = {(row.change["into"], row.recorded_at) for row in rows if row.type == Merged.TYPE}
    unpinned = {(row.incident, row.recorded_at) for row in rows if row.type == SeverityUnpinned.TYPE}
    return {
        (row.incident, row.version)
        for row in rows
        if (row.incident, row.recorded_at) in merges
        or ((row.incident, row.recorded_at) in unpinned and row.type == SeverityChanged.TYPE and not row.change["pinned"])
    }


async def _moved(connection: AsyncConnection, rows: Sequence[Row[Any]]) -> Mapping[tuple[str, datetime], tuple[str, ...]]:
    """Which alerts moved to incidents that were split out, and when."""
    new = [row.incident for row in rows if row.change.get("split_from")]
    found = defaultdict[tuple[str, datetime], tuple[str, ...]](tuple)
    if new:
        query = select(turns.c.incident, turns.c.at, firings.c.fingerprint).join(firings, firings.c.seq == turns.c.seq)
        mine = (turns.c.event == "moved") & among(connection, turns.c.incident, new)
        for row in await connection.execute(query.where(mine).order_by(turns.c.id)):
            found[row.incident, row.at] += (row.fingerprint,)
    return found


def _ordered(row: Row[Any], alerts: tuple[str, ...]) -> Ordered:
    actor = Actor.model_validate(row.actor)
    return Ordered(row.recorded_at, row.incident, row.type, row.change, actor, row.reason, alerts)
