"""The recorded log, followed: bit by bit, each in one snapshot, nothing twice and nothing left out.

Deciding is serial, so what a snapshot shows is whole up to some moment. What of it was read before is known by its number: a
decision by its own, the end of a firing by the firing's, what a person did by the event's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.ledger import Turn
from services.orchestrator.domain.maintenance import Planned
from services.orchestrator.domain.replaying import Heard, Ordered
from services.orchestrator.store import maintenance
from services.orchestrator.store.history import COLUMNS, RELEVANT, Assembly, ordered
from services.orchestrator.store.tables import events, firings, turns
from services.runtime.db import among

ALERTS_KNOWN = 20_000
"""Of how many alerts the labels are remembered."""

_OF_AN_END = (
    *(firings.c.seq, firings.c.fingerprint, firings.c.received_at),
    *(firings.c.ends_at, firings.c.closed_at, firings.c.closed_before),
)


@dataclass(frozen=True)
class Bit:
    """What is new: the steps to play, the openings of incidents for firings that were decided before, maintenance that people
    planned (all of it; None when nothing changed), the number of the last decision there is, and whether that was all."""

    steps: Sequence[Heard | Ordered]
    openings: Sequence[Turn]
    planned: Sequence[Planned] | None
    last: int
    whole: bool


class Tail:
    """Reads a log from its decision `first` on, which was made at `since` or later. `next` is the next decision to be read."""

    def __init__(self, first: int, since: datetime) -> None:
        self.next = first
        self._since = since
        self._turn = self._revision = 0
        self._open: set[int] = set()
        self._done: set[tuple[str, int]] = set()
        self._assembly = Assembly()

    async def read(self, connection: AsyncConnection, limit: int) -> Bit:
        """The next decisions, at most `limit`, and all that belongs between them. A batch that may go on waits for the next bit.

        The connection is a snapshot's. When a query fails, nothing was read.
        """
        last = (await connection.execute(select(func.max(firings.c.seq)))).scalar_one() or 0
        mine = select(*COLUMNS).where(firings.c.seq >= self.next).order_by(firings.c.seq).limit(limit)
        rows = (await connection.execute(mine)).all()
        whole = len(rows) < limit
        until = max(self.next, last + 1) if whole else rows[-1].seq
        ends = await self._ends(connection)
        orders = await self._orders(connection, until)
        openings, planned = await self._openings(connection), await self._planned(connection)
        self._note(ends, orders)
        steps = self._assemble(rows, until, whole)
        self._done = {(row.incident, row.version) for row in orders if row.position >= self.next}
        return Bit(steps, openings, planned, last, whole)

    async def _ends(self, connection: AsyncConnection) -> list[Row[Any]]:
        """Of firings that were read without their end, those that have one."""
        if not self._open:
            return []
        over = among(connection, firings.c.seq, self._open) & firings.c.closed_before.is_not(None)
        return list(await connection.execute(select(*_OF_AN_END).where(over)))

    async def _orders(self, connection: AsyncConnection, until: int) -> Sequence[Row[Any]]:
        """What was done from the next decision on; some of it may have been read."""
        mine = events.c.type.in_(RELEVANT) & events.c.position.between(self.next, until)
        order = (events.c.position, events.c.recorded_at, events.c.incident, events.c.version)
        return (await connection.execute(select(events).where(mine).order_by(*order))).all()

    async def _openings(self, connection: AsyncConnection) -> Sequence[Turn]:
        mine = (turns.c.id > self._turn) & (turns.c.event == "opened") & (turns.c.at >= self._since)
        rows = (await connection.execute(select(turns).where(mine).order_by(turns.c.id))).all()
        self._turn = rows[-1].id if rows else self._turn
        return [Turn(row.seq, row.at, row.event, row.incident, row.reason) for row in rows]

    async def _planned(self, connection: AsyncConnection) -> Sequence[Planned] | None:
        revision = await maintenance.revision(connection)
        if revision == self._revision:
            return None
        self._revision = revision
        return await maintenance.live(connection, self._since)

    def _note(self, ends: Sequence[Row[Any]], orders: Sequence[Row[Any]]) -> None:
        for row in ends:
            self._assembly.end(row)
            self._open.discard(row.seq)
        self._assembly.expect(ordered(row for row in orders if (row.incident, row.version) not in self._done))

    def _assemble(self, rows: Sequence[Row[Any]], until: int, whole: bool) -> list[Heard | Ordered]:
        steps: list[Heard | Ordered] = []
        for row in rows:
            steps += self._assembly.take(row)
            if row.closed_before is None:
                self._open.add(row.seq)
        steps += self._assembly.rest() if whole else self._assembly.before(until)
        self._assembly.forget(ALERTS_KNOWN)
        self.next = rows[-1].seq + 1 if rows else self.next
        return steps
