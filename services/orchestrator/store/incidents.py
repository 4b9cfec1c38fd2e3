"""Incidents and their events: appended, folded, read."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.ids import incident_number
from schemas.incidents import Actor, Incident, IncidentEvent
from schemas.vocabulary import IncidentState
from services.orchestrator.store.tables import events, firings, incidents
from services.runtime.db import among

_OPEN = incidents.c.state.in_([state for state in IncidentState if state.open])


async def get(connection: AsyncConnection, incident: str) -> Incident | None:
    found = await _incidents(connection, select(incidents.c.body).where(incidents.c.id == incident))
    return found[0] if found else None


async def named(connection: AsyncConnection, names: Collection[str]) -> list[Incident]:
    """The incidents with these ids."""
    return await _incidents(connection, select(incidents.c.body).where(among(connection, incidents.c.id, names)))


async def open_ones(connection: AsyncConnection, limit: int = 1000) -> list[Incident]:
    """All open incidents, the oldest first."""
    return await _incidents(connection, select(incidents.c.body).where(_OPEN).order_by(incidents.c.number).limit(limit))


async def ended_since(connection: AsyncConnection, moment: datetime, limit: int = 1000) -> list[Incident]:
    """Incidents that were resolved since a moment, newest first."""
    recent = incidents.c.resolved_at >= moment
    return await _incidents(connection, select(incidents.c.body).where(recent).order_by(incidents.c.number.desc()).limit(limit))


_LAST = select(
    select(func.max(firings.c.seq)).scalar_subquery().label("decision"),
    select(func.max(incidents.c.number)).scalar_subquery().label("incident"),
)


async def next_numbers(connection: AsyncConnection) -> tuple[int, int]:
    """The numbers of the next decision and of the next incident; gapless, since all decide under one lock."""
    last = (await connection.execute(_LAST)).one()
    return (last.decision or 0) + 1, (last.incident or 0) + 1


async def page(
    connection: AsyncConnection, *, only_open: bool, state: str | None, severity: str | None, before: int | None, limit: int
) -> list[Incident]:
    """Incidents newest first, below the number `before`."""
    query = select(incidents.c.body).order_by(incidents.c.number.desc()).limit(limit)
    for wanted, condition in (
        (only_open or None, _OPEN),
        (state, incidents.c.state == state),
        (severity, incidents.c.severity == severity),
        (before, incidents.c.number < (before or 0)),
    ):
        if wanted is not None:
            query = query.where(condition)
    return await _incidents(connection, query)


async def open_by_severity(connection: AsyncConnection) -> dict[str, int]:
    """How many incidents are open, per severity."""
    query = select(incidents.c.severity, func.count()).where(_OPEN).group_by(incidents.c.severity)
    return {row[0]: row[1] for row in await connection.execute(query)}


async def append(connection: AsyncConnection, happened: Sequence[IncidentEvent], position: int) -> None:
    """Store events and the state after them; `position` is the number of the next decision.

    A version that exists already raises IntegrityError: nobody decides twice.
    """
    if not happened:
        return
    await connection.execute(insert(events), [_event_row(event) | {"position": position} for event in happened])
    final = {event.incident.id: event.incident for event in happened}
    new = {event.incident.id for event in happened if event.version == 1}
    for incident in sorted(final.values(), key=lambda incident: incident.state.open):  # who gives up a key before who takes it
        if incident.id not in new:
            values = _incident_row(incident)
            await connection.execute(update(incidents).where(incidents.c.id == incident.id).values(**values))
    fresh = [_incident_row(incident) for incident in final.values() if incident.id in new]
    if fresh:
        await connection.execute(insert(incidents), fresh)


async def timeline(connection: AsyncConnection, incident: str, after: int, limit: int) -> list[dict[str, Any]]:
    """The events of an incident with a version above `after`, in order, in the API's shape."""
    mine = (events.c.incident == incident) & (events.c.version > after)
    query = select(events).where(mine).order_by(events.c.version).limit(limit)
    return [
        {
            "seq": row.version,
            "type": row.type,
            "occurred_at": row.occurred_at,
            "recorded_at": row.recorded_at,
            "actor": row.actor,
            "text": row.text,
            "reason": row.reason,
            "data": row.change,
        }
        for row in await connection.execute(query)
    ]


async def stored_events(connection: AsyncConnection, incident: str | None = None) -> list[Any]:
    """All stored events, of one incident or of all, in an order in which they can be folded."""
    query = select(events).order_by(events.c.recorded_at, events.c.incident, events.c.version)
    return list(await connection.execute(query.where(events.c.incident == incident) if incident else query))


async def _incidents(connection: AsyncConnection, query: Select[Any]) -> list[Incident]:
    return [Incident.model_validate(row.body) for row in await connection.execute(query)]


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


def _event_row(event: IncidentEvent) -> dict[str, Any]:
    return {
        "incident": event.incident.id,
        "version": event.version,
        "type": event.type,
        "actor": Actor.model_dump(event.actor, mode="json"),
        "occurred_at": event.occurred_at,
        "recorded_at": event.recorded_at,
        "caused_at": event.caused_at,
        "reason": event.reason,
        "text": event.text,
        "change": event.change,
    }
