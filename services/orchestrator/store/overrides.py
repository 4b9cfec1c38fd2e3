"""Who stands in for whom. Nothing is ever taken out: who wanted it, who ended it early and why stays."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.vocabulary import Role
from services.orchestrator.domain.duty.rotation import Override
from services.orchestrator.store.tables import overrides


async def next_number(connection: AsyncConnection) -> int:
    """Gapless, since all that add some do so under one lock."""
    return ((await connection.execute(select(func.max(overrides.c.number)))).scalar_one() or 0) + 1


async def get(connection: AsyncConnection, names: Sequence[str]) -> list[Override]:
    """Those with these ids, in their order."""
    query = select(overrides).where(overrides.c.id.in_(names)).order_by(overrides.c.number)
    return _read(await connection.execute(query))


async def between(connection: AsyncConnection, start: datetime, end: datetime) -> list[Override]:
    """Those that have time in common with this one, in the order in which they were wanted."""
    query = select(overrides).where((overrides.c.ends > start) & (overrides.c.starts < end)).order_by(overrides.c.number)
    return _read(await connection.execute(query))


async def page(connection: AsyncConnection, *, live_at: datetime | None, before: int | None, limit: int) -> list[Override]:
    """Newest first, below the number `before`; with `live_at` only what is not over at that moment."""
    query = select(overrides).order_by(overrides.c.number.desc()).limit(limit)
    if live_at is not None:
        query = query.where((overrides.c.ends > live_at) & overrides.c.ended_at.is_(None))
    if before is not None:
        query = query.where(overrides.c.number < before)
    return _read(await connection.execute(query))


async def add(connection: AsyncConnection, fresh: Override) -> None:
    """Store one."""
    row = {name: value for name, value in vars(fresh).items() if name != "by"}
    await connection.execute(insert(overrides).values(**row, created_by=fresh.by))


async def end(connection: AsyncConnection, ended: Override) -> None:
    """Store when and why it was ended before its time."""
    values = {"ended_at": ended.ended_at, "ended_by": ended.ended_by, "end_reason": ended.end_reason}
    await connection.execute(update(overrides).where(overrides.c.id == ended.id).values(**values))


def _read(rows: Iterable[Row[Any]]) -> list[Override]:
    return [
        Override(
            id=row.id,
            number=row.number,
            rotation=row.rotation,
            role=Role(row.role),
            person=row.person,
            starts=row.starts,
            ends=row.ends,
            reason=row.reason,
            by=row.created_by,
            created_at=row.created_at,
            ended_at=row.ended_at,
            ended_by=row.ended_by,
            end_reason=row.end_reason,
        )
        for row in rows
    ]
