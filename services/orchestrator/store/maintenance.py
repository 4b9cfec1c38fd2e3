"""Maintenance planned by hand. Nothing is ever taken out: who planned it, who ended it early and why stays."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Row, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.matching import MatcherError, selector
from services.orchestrator.domain.alerts.maintenance import Maintenance, Planned
from services.orchestrator.store.tables import maintenance
from services.windows import Window, WindowError

log = structlog.get_logger(__name__)


async def revision(connection: AsyncConnection) -> int:
    """Grows with each change of any maintenance."""
    return (await connection.execute(select(func.max(maintenance.c.revision)))).scalar_one() or 0


async def next_number(connection: AsyncConnection) -> int:
    """Gapless, since all that plan do so under one lock."""
    return ((await connection.execute(select(func.max(maintenance.c.number)))).scalar_one() or 0) + 1


async def get(connection: AsyncConnection, name: str) -> Planned | None:
    found = _readable(await connection.execute(select(maintenance).where(maintenance.c.id == name)))
    return found[0] if found else None


async def live(connection: AsyncConnection, now: datetime) -> list[Planned]:
    """What covers something now or will do so, newest first."""
    return _readable(await connection.execute(select(maintenance).where(_live(now)).order_by(maintenance.c.number.desc())))


async def page(connection: AsyncConnection, *, live_at: datetime | None, before: int | None, limit: int) -> list[Planned]:
    """Newest first, below the number `before`; with `live_at` only what is not over at that moment."""
    query = select(maintenance).order_by(maintenance.c.number.desc()).limit(limit)
    if live_at is not None:
        query = query.where(_live(live_at))
    if before is not None:
        query = query.where(maintenance.c.number < before)
    return _readable(await connection.execute(query))


async def add(connection: AsyncConnection, planned: Planned) -> None:
    row = _row(planned) | {"revision": await revision(connection) + 1}
    await connection.execute(insert(maintenance).values(**row))


async def end(connection: AsyncConnection, ended: Planned) -> None:
    """Store when and why it was ended before its time."""
    when = {"ended_at": ended.ended_at, "ended_by": ended.ended_by, "end_reason": ended.end_reason, "over_at": ended.over_at()}
    values = when | {"revision": await revision(connection) + 1}
    await connection.execute(update(maintenance).where(maintenance.c.number == ended.number).values(**values))


def _live(now: datetime) -> ColumnElement[bool]:
    return or_(maintenance.c.over_at.is_(None), maintenance.c.over_at > now)


def _row(planned: Planned) -> dict[str, Any]:
    plan, window = planned.maintenance, planned.maintenance.window
    return {
        "id": plan.id,
        "number": planned.number,
        "name": plan.name,
        "match": [str(matcher) for matcher in plan.selector.matchers],
        "starts": window.starts.isoformat(),
        "duration": int(window.duration.total_seconds()),
        "zone": window.zone,
        "rrule": window.rrule,
        "reason": plan.reason,
        "created_by": plan.by,
        "created_at": planned.created_at,
        "over_at": planned.over_at(),
    }


def _readable(rows: Iterable[Row[Any]]) -> list[Planned]:
    """One that this release, or this machine's time zones, cannot read must not keep alerts from being decided."""
    found: list[Planned] = []
    for row in rows:
        try:
            found.append(_planned(row))
        except (MatcherError, WindowError) as error:
            log.error("maintenance_unreadable", maintenance=row.id, reason=str(error))
    return found


def _planned(row: Row[Any]) -> Planned:
    window = Window(datetime.fromisoformat(row.starts), timedelta(seconds=row.duration), row.zone, row.rrule)
    plan = Maintenance(row.id, row.name, selector(row.match), window, row.reason, row.created_by)
    return Planned(plan, row.number, row.created_at, row.ended_at, row.ended_by, row.end_reason)
