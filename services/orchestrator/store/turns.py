"""What later became of firings, after their decisions."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Text, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.deciding.ledger import Turn
from services.orchestrator.store.tables import firings, turns
from services.runtime.db import UtcDateTime


async def add(connection: AsyncConnection, happened: Sequence[Turn]) -> None:
    """Store them in their order."""
    if happened:
        await connection.execute(insert(turns), [vars(turn) for turn in happened])


async def moved(connection: AsyncConnection, source: str, target: str, at: datetime, reason: str) -> None:
    """Whatever of one incident is not over moves to another: one statement, however many there are."""
    event, incident, why = (literal(word, Text) for word in ("moved", target, reason))
    open_ones = (firings.c.incident == source) & firings.c.ends_at.is_(None)
    rows = select(firings.c.seq, literal(at, UtcDateTime()), event, incident, why).where(open_ones).order_by(firings.c.seq)
    await connection.execute(insert(turns).from_select(["seq", "at", "event", "incident", "reason"], rows))


async def of(connection: AsyncConnection, firings: Collection[int]) -> dict[int, list[Turn]]:
    """Per decision number what came later, oldest first."""
    found: dict[int, list[Turn]] = {}
    for row in await connection.execute(select(turns).where(turns.c.seq.in_(firings)).order_by(turns.c.id)):
        turn = Turn(row.seq, row.at, row.event, row.incident, row.reason)
        found.setdefault(turn.seq, []).append(turn)
    return found
