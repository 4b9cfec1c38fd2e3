"""Each policy that decided, under its hash, so that old decisions can be explained by the rule of then."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.store.tables import policies
from services.runtime.db import upsert


async def keep(connection: AsyncConnection, hash: str, document: dict[str, Any], now: datetime) -> None:
    """Store it unless it is known."""
    row = {"hash": hash, "first_used_at": now, "document": document}
    await connection.execute(upsert(connection, policies).values(**row).on_conflict_do_nothing())


async def get(connection: AsyncConnection, hash: str) -> dict[str, Any] | None:
    """The policy's sections, and when it first decided."""
    row = (await connection.execute(select(policies).where(policies.c.hash == hash))).first()
    return {"hash": row.hash, "first_used_at": row.first_used_at, "document": row.document} if row is not None else None
