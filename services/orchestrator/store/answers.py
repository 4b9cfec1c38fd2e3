"""Answers given under an `Idempotency-Key`, so that a repeated request is answered and not carried out again."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.store.tables import answers

KEPT = timedelta(hours=24)


async def find(connection: AsyncConnection, actor: str, key: str) -> Row[Any] | None:
    """The answer under this key, with the digest of its request."""
    mine = (answers.c.actor == actor) & (answers.c.key == key)
    return (await connection.execute(select(answers).where(mine))).first()


async def keep(
    connection: AsyncConnection, *, actor: str, key: str, request: str, status: int, incident: str, now: datetime
) -> None:
    """Keep an answer for a day; older ones are forgotten on the way."""
    await connection.execute(delete(answers).where(answers.c.at < now - KEPT))
    row = {"actor": actor, "key": key, "request": request, "status": status, "incident": incident, "at": now}
    await connection.execute(insert(answers).values(**row))
