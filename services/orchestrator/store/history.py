"""The recorded log, read in the order in which everything was decided: what a replay plays.

It is what is stored anyway: firings with their decisions and ends, and what people did. Read it in one snapshot.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, Row, Text, func, or_, select, text, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.incidents import Actor, Incident, SeverityChanged
from schemas.vocabulary import ActorKind, IncidentState
from services.orchestrator.domain.comparing import Later, Recorded
from services.orchestrator.domain.replaying import ORDERS, Heard, Ordered
from services.orchestrator.store.assembly import COLUMNS, Assembly
from services.orchestrator.store.tables import OPEN_STATES, events, firings, incidents, turns
from services.runtime.db import UtcDateTime

CHUNK = 5000
WARM_UP = timedelta(days=7)
"""So long before its beginning a replay starts at most, to know what was open then."""
_RAW = [
    type_coerce(column, Text) if isinstance(column.type, JSON | UtcDateTime) else column
    for column in (firings.c[name] for name in COLUMNS)
]
"""Columns as the driver gives them; SQLAlchemy would make values of them one by one, and not as fast."""


@dataclass(frozen=True)
class Extent:
    """What there is to play: from the decision `first` to `last`. Differences count from `since` on; what was decided before
    only warms up. `incident` is the number of the first incident."""

    since: datetime
    start: datetime
    first: int
    last: int
    incident: int


async def extent(connection: AsyncConnection, since: datetime | None, reach: timedelta) -> Extent | None:
    """How much there is; None when nothing has been decided since then. `reach` is how far decisions look back."""
    first, last = (await connection.execute(select(func.min(firings.c.seq), func.max(firings.c.seq)))).one()
    if first is None:
        return None
    if since is not None:
        start = await _start(connection, since, reach)
        first = await _first_since(connection, start, first, last + 1)
    else:
        start = since = await _decided_at(connection, first)
    if await _first_since(connection, since, first, last + 1) > last:
        return None
    return Extent(since, start, first, last, await _first_incident(connection, start))


async def _start(connection: AsyncConnection, since: datetime, reach: timedelta) -> datetime:
    """Early enough to know what was open then, or over for not much longer than decisions look back."""
    lately = select(events.c.incident).where(events.c.recorded_at >= since - reach)
    concerned = or_(incidents.c.id.in_(lately), text(OPEN_STATES))
    beginnings = select(func.min(events.c.recorded_at)).join(incidents, incidents.c.id == events.c.incident)
    oldest = (await connection.execute(beginnings.where((events.c.version == 1) & concerned))).scalar_one()
    return max(since - WARM_UP, min(since - reach, oldest or since))


async def _first_since(connection: AsyncConnection, moment: datetime, low: int, high: int) -> int:
    """The first decision that was made then or later, by halving: numbers grow with time and have no gaps."""
    while low < high:
        middle = (low + high) // 2
        if await _decided_at(connection, middle) < moment:
            low = middle + 1
        else:
            high = middle
    return low


async def _decided_at(connection: AsyncConnection, number: int) -> datetime:
    found: datetime = (await connection.execute(select(firings.c.decided_at).where(firings.c.seq == number))).scalar_one()
    return found


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


async def log(connection: AsyncConnection, extent: Extent) -> AsyncIterator[list[Heard | Ordered]]:
    """Everything that decisions depended on, in its order, piece by piece."""
    assembly, after = Assembly(await _orders(connection, extent.start)), extent.first - 1
    while after < extent.last:
        query = select(*_RAW).where(firings.c.seq > after).order_by(firings.c.seq).limit(CHUNK)
        rows = (await connection.execute(query)).all()
        yield assembly.take(rows)
        after = rows[-1].seq
    yield assembly.rest()


async def _orders(connection: AsyncConnection, start: datetime) -> Sequence[tuple[int, Ordered]]:
    """What people did, with the number of the decision before which they did it."""
    types = {f"tocsin.incident.{word}.v1": word for word in ORDERS}
    mine = events.c.type.in_(types) & (events.c.recorded_at >= start)
    query = select(events).where(mine).order_by(events.c.position, events.c.recorded_at, events.c.incident, events.c.version)
    rows = [row for row in await connection.execute(query) if row.actor["kind"] == ActorKind.PERSON]
    consequences, moved = _consequences(rows), await _moved(connection, start)
    return [
        (row.position, _ordered(row, types[row.type], moved)) for row in rows if (row.incident, row.version) not in consequences
    ]


def _consequences(rows: Sequence[Row[Any]]) -> set[tuple[str, int]]:
    """Events that a person's command has brought about on the way: on the target of a merge, and by taking a pin away."""
    merges = {(row.change["into"], row.recorded_at) for row in rows if row.type.endswith(".merged.v1")}
    unpinned = {(row.incident, row.recorded_at) for row in rows if row.type.endswith(".severity_unpinned.v1")}
    raised = {(row.incident, row.version) for row in rows if row.type == SeverityChanged.TYPE and not row.change["pinned"]}
    return {
        (row.incident, row.version)
        for row in rows
        if (row.incident, row.recorded_at) in merges
        or ((row.incident, row.recorded_at) in unpinned and (row.incident, row.version) in raised)
    }


async def _moved(connection: AsyncConnection, start: datetime) -> Mapping[tuple[str, datetime], tuple[str, ...]]:
    """Which alerts moved to an incident at a moment."""
    query = select(turns.c.incident, turns.c.at, firings.c.fingerprint).join(firings, firings.c.seq == turns.c.seq)
    found = defaultdict[tuple[str, datetime], tuple[str, ...]](tuple)
    for row in await connection.execute(query.where((turns.c.event == "moved") & (turns.c.at >= start)).order_by(turns.c.id)):
        found[row.incident, row.at] += (row.fingerprint,)
    return found


def _ordered(row: Row[Any], word: str, moved: Mapping[tuple[str, datetime], tuple[str, ...]]) -> Ordered:
    actor, alerts = Actor.model_validate(row.actor), moved.get((row.incident, row.recorded_at), ())
    return Ordered(row.recorded_at, row.incident, word, row.change, actor, row.reason, alerts)
