"""Durable work: things to do at a moment, kept in the service's own database. Timers, effects and deliveries are queues of it.

A piece of work is known by its queue and key. Putting it again replaces what it carries and when it is due, and keeps its
place; a worker that was busy with the older revision then leaves the newer one to be done. Claiming takes a lease; a
lease that runs out is taken over by whoever looks next, so nothing is stuck after a crash. Pieces of one lane are done
one at a time, in the order they were first put. What is done is deleted: the table holds only what is still to do.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any

import structlog
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.clock import Clock
from services.runtime.db import Database, UtcDateTime, upsert
from services.runtime.errors import Unavailable
from services.runtime.finish import LAST_CHANCE, finish
from services.runtime.metrics import RuntimeMetrics
from services.runtime.retry import Backoff
from services.runtime.wake import Waker

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=30)
LONGEST_SLEEP = timedelta(seconds=30)


def work_table(metadata: MetaData) -> Table:
    """`id` is the place in the lane, `revision` grows with each put, `attempt` counts claims of this revision."""
    return Table(
        "work",
        metadata,
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("queue", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("lane", Text),
        Column("due_at", UtcDateTime, nullable=False),
        Column("lease_until", UtcDateTime),
        Column("revision", Integer, nullable=False),
        Column("attempt", Integer, nullable=False),
        Column("reason", Text),
        Column("payload", JSON, nullable=False),
        UniqueConstraint("queue", "key"),
        Index("work_due", "queue", "due_at"),
        Index("work_lane", "queue", "lane", "id"),
    )


@dataclass(frozen=True)
class Item:
    """Work to put. With a `lane` it waits for what was put before it in the same lane."""

    queue: str
    key: str
    due_at: datetime
    lane: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Claimed:
    """Work to do now. `attempt` is 1 the first time; a higher one may follow a try whose outcome nobody knows."""

    id: int
    queue: str
    key: str
    revision: int
    attempt: int
    due_at: datetime
    payload: dict[str, Any]


class Work:
    """The work table of one service."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def put(self, connection: AsyncConnection, items: Sequence[Item], *, never_later: bool = False) -> None:
        """Add or replace work, in the caller's transaction; wake the worker after its commit.

        With `never_later` what still waits keeps its moment when that is the earlier one: putting it again and again, each
        time for a little later, does not put it off for ever. What is being done has had its moment.
        """
        if not items:
            return
        statement = upsert(connection, self._table)
        fresh, columns = statement.excluded, self._table.c
        earlier = columns.lease_until.is_(None) & (columns.due_at < fresh.due_at)
        statement = statement.on_conflict_do_update(
            index_elements=["queue", "key"],
            set_={
                "due_at": case((earlier, columns.due_at), else_=fresh.due_at) if never_later else fresh.due_at,
                "payload": fresh.payload,
                "attempt": 0,
                "reason": None,
                "revision": columns.revision + 1,
            },
        )
        rows = [
            {
                "queue": item.queue, "key": item.key, "lane": item.lane, "due_at": item.due_at, "lease_until": None,
                "revision": 1, "attempt": 0, "reason": None, "payload": dict(item.payload),
            }
            for item in items
        ]  # fmt: skip
        await connection.execute(statement, rows)

    async def cancel(self, connection: AsyncConnection, queue: str, keys: Sequence[str]) -> None:
        """Forget work that is no longer wanted."""
        if keys:
            columns = self._table.c
            await connection.execute(delete(self._table).where((columns.queue == queue) & columns.key.in_(keys)))

    async def done(self, connection: AsyncConnection, claimed: Claimed) -> None:
        """Finish it; if it was put again meanwhile, the newer revision stays and is due."""
        mine = self._table.c.id == claimed.id
        removed = await connection.execute(delete(self._table).where(mine & (self._table.c.revision == claimed.revision)))
        if not removed.rowcount:
            await connection.execute(update(self._table).where(mine).values(lease_until=None))

    async def again(self, connection: AsyncConnection, claimed: Claimed, due_at: datetime, reason: str) -> None:
        """Try the same work again later."""
        columns = self._table.c
        mine = (columns.id == claimed.id) & (columns.revision == claimed.revision)
        values = {"lease_until": None, "due_at": due_at, "reason": reason}
        moved = await connection.execute(update(self._table).where(mine).values(**values))
        if not moved.rowcount:
            await connection.execute(update(self._table).where(columns.id == claimed.id).values(lease_until=None))

    async def claim(self, connection: AsyncConnection, queue: str, limit: int, now: datetime) -> list[Claimed]:
        """Take up to `limit` pieces that are due, with a lease of 30 s."""
        columns = self._table.c
        free = or_(columns.lease_until.is_(None), columns.lease_until <= now)
        due = (
            select(columns.id)
            .where((columns.queue == queue) & (columns.due_at <= now) & free & self._first_in_lane())
            .order_by(columns.due_at, columns.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        taken = await connection.execute(
            update(self._table)
            .where(columns.id.in_(due.scalar_subquery()))
            .values(lease_until=now + LEASE, attempt=columns.attempt + 1)
            .returning(columns.id, columns.queue, columns.key, columns.revision, columns.attempt, columns.due_at, columns.payload)
        )
        return sorted((Claimed(*row) for row in taken), key=lambda claimed: (claimed.due_at, claimed.id))

    async def outlook(self, connection: AsyncConnection, queue: str) -> tuple[int, datetime | None]:
        """How much is to do, and when the next piece can be claimed."""
        columns = self._table.c
        when = case((columns.lease_until > columns.due_at, columns.lease_until), else_=columns.due_at)
        count = select(func.count()).select_from(self._table).where(columns.queue == queue)
        soonest = select(func.min(when)).where((columns.queue == queue) & self._first_in_lane())
        both = select(count.scalar_subquery(), soonest.scalar_subquery())
        pending, next_due = (await connection.execute(both)).one()
        return pending, next_due

    def _first_in_lane(self) -> ColumnElement[bool]:
        mine, earlier = self._table.c, self._table.alias("earlier")
        before = (earlier.c.queue == mine.queue) & (earlier.c.lane == mine.lane) & (earlier.c.id < mine.id)
        return ~exists().where(before)


Do = Callable[[Claimed], Awaitable[None]]
"""Does one piece and finishes it by `done` or `again` in its own transaction."""

Step = Callable[[], Awaitable[None]]
Begin = Callable[[AsyncConnection, Sequence[Claimed]], Awaitable[Sequence[tuple[Claimed, Step]]]]
"""Begins what was claimed, in the transaction that claims it, which spares one; returns what is to be done after the commit.
A piece that it leaves out it has finished."""


def _simply(do: Do | None) -> Begin:
    """Nothing to begin: each piece is done after the commit."""
    assert do is not None, "a worker needs `do` or `begin`"

    async def begin(_: AsyncConnection, claimed: Sequence[Claimed]) -> list[tuple[Claimed, Step]]:
        return [(piece, partial(do, piece)) for piece in claimed]

    return begin


class Worker:
    """The loop over one queue: claims what is due, does up to `width` pieces at a time, sleeps until the next is due.

    It is told either what to `do` with a piece or how to `begin` it.
    """

    def __init__(
        self,
        *,
        service: str,
        queue: str,
        work: Work,
        database: Database,
        clock: Clock,
        metrics: RuntimeMetrics,
        do: Do | None = None,
        begin: Begin | None = None,
        width: int = 8,
    ) -> None:
        self._service, self._queue, self._work, self._database = service, queue, work, database
        self._begin, self._clock, self._metrics, self._width = begin or _simply(do), clock, metrics, width
        self._told = True
        self._waker, self._running = Waker(), set[asyncio.Task[None]]()
        self._backoff, self._dice = Backoff(first=1.0, most=60.0), Random()

    def wake(self) -> None:
        """Something was put."""
        self._told = True
        self._waker.wake()

    async def run(self) -> None:
        """Work until cancelled; what is being done then has `LAST_CHANCE` seconds to end, and is else left to its lease."""
        try:
            while True:
                try:
                    due = await finish(self._round())
                except Unavailable as error:
                    log.warning("work_waits", service=self._service, queue=self._queue, reason=error.detail)
                    due = self._clock.now() + timedelta(seconds=1)
                await self._rest(due)
        finally:
            if self._running:
                await asyncio.wait(self._running, timeout=LAST_CHANCE)
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _rest(self, due: datetime) -> None:
        """Until woken, or the clock has come so far: a clock that is moved by hand (tests, demonstration) moves the work too."""
        wait = max((due - self._clock.now()).total_seconds(), 0.0)
        alarm = asyncio.create_task(self._clock.sleep(wait))
        alarm.add_done_callback(self._ring)
        try:
            await self._waker.sleep(LONGEST_SLEEP.total_seconds())
        finally:
            alarm.remove_done_callback(self._ring)
            alarm.cancel()

    def _ring(self, _: asyncio.Task[None]) -> None:
        self._waker.wake()

    async def _round(self) -> datetime:
        """Claims at once when something was put. Else it looks first: a claim takes the only writer's turn, found or not.

        Returns the moment for which it should wait.
        """
        if len(self._running) >= self._width:
            return self._clock.now() + LONGEST_SLEEP
        told, self._told = self._told, False
        if not told and (due := await self._look()) > self._clock.now():
            return due
        await self._claim()
        return await self._look()

    async def _claim(self) -> None:
        room = self._width - len(self._running)
        async with self._database.transaction() as connection:
            claimed = await self._work.claim(connection, self._queue, room, self._clock.now())
            begun = await self._begin(connection, claimed) if claimed else ()
        for piece, step in begun:
            task = asyncio.create_task(self._guarded(piece, step), name=f"work:{self._queue}:{piece.key}")
            self._running.add(task)
            task.add_done_callback(self._finished)

    async def _look(self) -> datetime:
        """When the next piece can be claimed, as far as is known."""
        async with self._database.read() as connection:
            pending, next_due = await self._work.outlook(connection, self._queue)
        now = self._clock.now()
        late = 0.0 if next_due is None else (now - next_due).total_seconds()
        self._metrics.work_pending.labels(self._service, self._queue).set(pending)
        self._metrics.work_overdue.labels(self._service, self._queue).set(max(0.0, late))
        return next_due or now + LONGEST_SLEEP

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._waker.wake()

    async def _guarded(self, piece: Claimed, step: Step) -> None:
        try:
            await step()
        except Unavailable as error:
            await self._postpone(piece, error.detail)
        except Exception as error:  # the edge of the loop: counted, logged, tried again
            self._metrics.work_failures.labels(self._service, self._queue).inc()
            log.exception("work_failed", service=self._service, queue=self._queue, key=piece.key)
            await self._postpone(piece, f"{type(error).__name__} while doing it")

    async def _postpone(self, piece: Claimed, reason: str) -> None:
        """Give the lease back as soon as the database can take it; until then it is ours anyway."""
        due_at = self._clock.now() + timedelta(seconds=self._backoff.wait(piece.attempt, self._dice))
        for _ in range(int(LEASE.total_seconds())):
            try:
                async with self._database.transaction() as connection:
                    await self._work.again(connection, piece, due_at, reason)
                return
            except Unavailable:
                await asyncio.sleep(1.0)
        log.warning("work_left_to_its_lease", service=self._service, queue=self._queue, key=piece.key)
