"""What later became of firings, after their decisions."""

from collections.abc import Collection, Sequence

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.ledger import Turn
from services.orchestrator.store.tables import turns


async def add(connection: AsyncConnection, happened: Sequence[Turn]) -> None:
    """Store them in their order."""
    if happened:
        await connection.execute(insert(turns), [vars(turn) for turn in happened])


async def of(connection: AsyncConnection, firings: Collection[int]) -> dict[int, list[Turn]]:
    """Per decision number what came later, oldest first."""
    found: dict[int, list[Turn]] = {}
    for row in await connection.execute(select(turns).where(turns.c.seq.in_(firings)).order_by(turns.c.id)):
        turn = Turn(row.seq, row.at, row.event, row.incident, row.reason)
        found.setdefault(turn.seq, []).append(turn)
    return found
