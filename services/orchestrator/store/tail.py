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

from services.orchestrator.domain.alerts.maintenance import Planned
from services.orchestrator.domain.deciding.ledger import Turn
from services.orchestrator.domain.trying.replaying import RELEVANT, Heard, Ordered
from services.orchestrator.store import maintenance
from services.orchestrator.store.assembly import COLUMNS, END, Assembly
from services.orchestrator.store.history import ordered, raw
from services.orchestrator.store.tables import events, firings, turns
from services.runtime.db import among

ALERTS_KNOWN = 20_000
"""Of how many alerts the labels are remembered."""


@dataclass(frozen=True)
class Bit:
    """What is new: the steps to play, the openings of incidents for firings that were decided before, maintenance that people
    planned (all of it; None when nothing changed), the number of the last decision there is, and whether that was all."""

    steps: Sequence[Heard | Ordered]
    openings: Sequence[Turn]
    planned: Sequence[Planned] | None
    last: int
    whole: bool


@dataclass(frozen=True)
class _Found:
    """What a snapshot shows: `until` is the number up to which all that belongs before a decision is in it."""

    last: int
    whole: bool
    until: int
    rows: Sequence[Row[Any]]
    ends: Sequence[Row[Any]]
    orders: Sequence[Row[Any]]
    fresh: Sequence[tuple[int, Ordered]]
    openings: Sequence[Row[Any]]
    revision: int
    planned: Sequence[Planned] | None


class Tail:
    """Reads a log from its decision `first` on, which was made at `since` or later. `next` is the next decision to be read.

    To look changes nothing, so whatever becomes of the connection, nothing is lost; only what is taken is behind us.
    """

    def __init__(self, first: int, since: datetime) -> None:
        self.next = first
        self._since = since
        self._turn = self._revision = 0
        self._open: set[int] = set()
        self._done: set[tuple[str, int]] = set()
        self._assembly = Assembly()

    async def look(self, connection: AsyncConnection, limit: int) -> _Found:
        """Find the next decisions, at most `limit`, and all that belongs between them. The connection is a snapshot's."""
        last = (await connection.execute(select(func.max(firings.c.seq)))).scalar_one() or 0
        mine = select(*raw(COLUMNS)).where(firings.c.seq >= self.next).order_by(firings.c.seq).limit(limit)
        rows = (await connection.execute(mine)).all()
        whole = len(rows) < limit
        until = max(self.next, last + 1) if whole else rows[-1].seq
        orders = await self._orders(connection, until)
        return _Found(
            last,
            whole,
            until,
            rows,
            ends=await self._ends(connection),
            orders=orders,
            fresh=await ordered(connection, [row for row in orders if (row.incident, row.version) not in self._done]),
            openings=await self._openings(connection),
            revision=(revision := await maintenance.revision(connection)),
            planned=await maintenance.live(connection, self._since) if revision != self._revision else None,
        )

    def take(self, found: _Found) -> Bit:
        """What was found last as the next bit. A batch that may go on waits for the one after."""
        for row in found.ends:
            self._assembly.end(row)
            self._open.discard(row.seq)
        self._assembly.expect(found.fresh)
        steps = self._assemble(found)
        self._done = {(row.incident, row.version) for row in found.orders if row.position >= self.next}
        self._turn = found.openings[-1].id if found.openings else self._turn
        self._revision = found.revision
        openings = [Turn(row.seq, row.at, row.event, row.incident, row.reason) for row in found.openings]
        return Bit(steps, openings, found.planned, found.last, found.whole)

    async def _ends(self, connection: AsyncConnection) -> list[Row[Any]]:
        """Of firings that were read without their end, those that have one."""
        if not self._open:
            return []
        over = among(connection, firings.c.seq, self._open) & firings.c.closed_before.is_not(None)
        return list(await connection.execute(select(*raw(END)).where(over)))

    async def _orders(self, connection: AsyncConnection, until: int) -> Sequence[Row[Any]]:
        """What was done from the next decision on; some of it may have been read."""
        mine = events.c.type.in_(RELEVANT) & events.c.position.between(self.next, until)
        order = (events.c.position, events.c.recorded_at, events.c.incident, events.c.version)
        return (await connection.execute(select(events).where(mine).order_by(*order))).all()

    async def _openings(self, connection: AsyncConnection) -> Sequence[Row[Any]]:
        mine = (turns.c.id > self._turn) & (turns.c.event == "opened") & (turns.c.at >= self._since)
        return (await connection.execute(select(turns).where(mine).order_by(turns.c.id))).all()

    def _assemble(self, found: _Found) -> list[Heard | Ordered]:
        steps = self._assembly.take(found.rows)
        self._open |= {row.seq for row in found.rows if row.closed_before is None}
        steps += self._assembly.rest() if found.whole else self._assembly.before(found.until)
        self._assembly.forget(ALERTS_KNOWN)
        self.next = found.rows[-1].seq + 1 if found.rows else self.next
        return steps
