"""Forgets what came to an end long ago: a few rows at a time, so that nobody has to wait for it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, delete, func, or_, select

from services.notifier.domain.delivery import FINAL, State
from services.notifier.store.tables import BOARD, DELIVERIES
from services.runtime.clock import Clock
from services.runtime.db import Database

KEPT = timedelta(days=90)
INTERVAL = 3600.0
BATCH, PAUSE = 200, 0.2
"""Rows of one transaction, and seconds that others have before the next."""


@dataclass(frozen=True)
class Retention:
    """Threads stay: they are small, and an incident that is open for long still needs its own."""

    database: Database
    clock: Clock

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            while await self.trim():
                await self.clock.sleep(PAUSE)
            await self.clock.sleep(INTERVAL)

    async def trim(self) -> int:
        """Forget the oldest; returns how many rows these were."""
        before = self.clock.now() - KEPT
        counts = [await self._trim_deliveries(state, before) for state in FINAL]
        return sum(counts) + await self._trim_board(before)

    async def _trim_deliveries(self, state: State, before: datetime) -> int:
        """Looks at the oldest only, which the index knows; and it looks first, since a look costs no turn of the writer."""
        columns = DELIVERIES.c
        oldest = (
            select(columns.seq, columns.created_at).where(columns.state == state).order_by(columns.seq).limit(BATCH).subquery()
        )
        old = await self._found(select(oldest.c.seq).where(oldest.c.created_at < before))
        if old:
            # A person may have asked for it again meanwhile.
            async with self.database.transaction() as connection:
                await connection.execute(delete(DELIVERIES).where(columns.seq.in_(old) & (columns.state == state)))
        return len(old)

    async def _trim_board(self, before: datetime) -> int:
        """Messages of incidents that are over, with their replies."""
        columns = BOARD.c
        last = func.coalesce(columns.edited_at, columns.posted_at, type_=columns.posted_at.type)
        over = columns.thread.is_(None) & columns.over.is_(True)
        old = await self._found(select(columns.id).where(over & (last < before)).order_by(columns.seq).limit(BATCH))
        if old:
            async with self.database.transaction() as connection:
                await connection.execute(delete(BOARD).where(or_(columns.id.in_(old), columns.thread.in_(old))))
        return len(old)

    async def _found(self, query: Select[Any]) -> list[Any]:
        async with self.database.read() as connection:
            return list((await connection.execute(query)).scalars())
