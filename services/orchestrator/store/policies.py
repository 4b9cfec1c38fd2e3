"""Each policy that decided, under its hash, so that old decisions can be explained by the rule of then."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.store.tables import policies
from services.runtime.db import among, upsert


async def keep(connection: AsyncConnection, hash: str, document: dict[str, Any], now: datetime) -> bool:
    """Store it unless it is known; whether it was."""
    row = {"hash": hash, "first_used_at": now, "document": document}
    statement = upsert(connection, policies).values(**row).on_conflict_do_nothing()
    return (await connection.execute(statement.returning(policies.c.hash))).first() is None


async def kept(connection: AsyncConnection, hashes: Collection[str]) -> dict[str, dict[str, Any]]:
    """Of these policies the ones that are stored, by their hash: the sections, and when each first decided."""
    rows = await connection.execute(select(policies).where(among(connection, policies.c.hash, hashes)))
    return {row.hash: {"hash": row.hash, "first_used_at": row.first_used_at, "document": row.document} for row in rows}
