"""Looking at deliveries, and asking for one again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.domain.content import Content
from services.notifier.domain.delivery import PATIENCE, Place, State
from services.notifier.store.deliveries import item_for, of_place
from services.notifier.store.tables import DELIVERIES, THREADS
from services.runtime.db import Database
from services.runtime.work import Work

_SHOWN = ("id", "incident", "channel", "destination", "kind", "version", "state", "reason", "why", "attempts", "url")
_MOMENTS = ("created_at", "sent_at")


@dataclass(frozen=True)
class DeliveryDesk:
    """Implements `ports.Desk`."""

    database: Database
    work: Work

    async def page(
        self, *, incident: str | None, state: State | None, limit: int, before: int | None
    ) -> tuple[list[dict[str, Any]], int | None]:
        columns = DELIVERIES.c
        query = select(DELIVERIES).order_by(columns.seq.desc()).limit(limit + 1)
        for column, value in ((columns.incident, incident), (columns.state, state)):
            query = query if value is None else query.where(column == value)
        if before is not None:
            query = query.where(columns.seq < before)
        async with self.database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [_shown(row._mapping) for row in rows[:limit]], rows[limit - 1].seq if len(rows) > limit else None

    async def retry(self, id: str, now: datetime) -> dict[str, Any] | str | None:
        async with self.database.transaction() as connection:
            row = await _find(connection, id)
            if row is None:
                return None
            refusal = _refusal(row)
            if refusal:
                return refusal
            state = State.UNKNOWN if row.doubt else State.PENDING
            values = {"state": state, "give_up_at": now + PATIENCE}
            await connection.execute(update(DELIVERIES).where(DELIVERIES.c.id == id).values(**values))
            place = Place(row.incident, row.channel, row.destination)
            await self.work.put(connection, [item_for(id, place, row.kind, now)])
        return _shown({**row._mapping, **values})


async def _find(connection: AsyncConnection, id: str) -> Row[Any] | None:
    query = (
        select(DELIVERIES, THREADS.c.planned).select_from(DELIVERIES.outerjoin(THREADS, of_place)).where(DELIVERIES.c.id == id)
    )
    return (await connection.execute(query)).first()


def _refusal(row: Row[Any]) -> str | None:
    if row.state not in (State.FAILED, State.UNKNOWN):
        return f"The delivery is {row.state}; only one that is failed or unknown can be tried again."
    if row.kind == "summary" and (row.planned or 0) > row.version:
        return "A newer state of the summary exists and is sent instead."
    return None


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    content = Content.model_validate_json(row["content"])
    moments = {name: row[name] and row[name].isoformat() for name in _MOMENTS}
    return {name: row[name] for name in _SHOWN} | {"headline": content.headline, "text": content.text} | moments
