"""Deliveries and threads: how they are planned, and what becomes of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, FromClause, Label, Row, Table, and_, exists, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas import topics
from schemas.catalogue import encode
from schemas.deliveries import DeliveryOutcome
from schemas.ids import digest
from services.notifier.domain.content import Content
from services.notifier.domain.delivery import FINAL, PATIENCE, SUPERSEDED, Delivery, Place, State, work_key
from services.notifier.domain.plan import Planned
from services.notifier.ports import Address, Job, Thread
from services.notifier.store.tables import DELIVERIES, THREADS
from services.runtime.bus.port import Message
from services.runtime.db import Database
from services.runtime.outbox import Outbox
from services.runtime.work import Claimed, Item, Work

QUEUE = "deliveries"
SERVICE = "notifier"
_REASON = 4000

_of_place = and_(*(DELIVERIES.c[name] == THREADS.c[name] for name in ("incident", "channel", "destination")))


@dataclass(frozen=True)
class DeliveryStore:
    """Implements `ports.Plans` and `ports.Outcomes`."""

    database: Database
    work: Work
    outbox: Outbox

    async def add(self, connection: AsyncConnection, planned: Sequence[Planned], now: datetime) -> list[Planned]:
        """Three statements, however many there are. Of the summaries of a place only the newest is still to be sent."""
        current = await self._advance(connection, _newest_summaries(planned))
        stale = {each.id for each in planned if each.kind == "summary" and current.get(each.place) != each.version}
        fresh = await self._insert(connection, [_row(each, each.id in stale, now) for each in planned])
        new = {each.id: each for each in planned if each.id in fresh}
        # A later item of the same key takes the place of the earlier one and keeps its position in the lane.
        items = [item_for(each.id, each.place, each.kind, now) for each in new.values() if each.id not in stale]
        await self.work.put(connection, list({item.key: item for item in items}.values()))
        return [each for each in new.values() if each.id in stale]

    async def _advance(self, connection: AsyncConnection, newest: dict[Place, int]) -> dict[Place, int]:
        """Note the newest planned summary of each place; returns those places where it is news."""
        rows = [{**_columns(place), "planned": version} for place, version in newest.items()]
        if not rows:
            return {}
        statement = _dialect(connection).insert(THREADS)
        fresh, columns = statement.excluded, THREADS.c
        statement = statement.on_conflict_do_update(
            index_elements=["incident", "channel", "destination"],
            set_={"planned": fresh.planned},
            where=columns.planned < fresh.planned,
        )
        returning = statement.returning(columns.incident, columns.channel, columns.destination, columns.planned)
        advanced = await connection.execute(returning, rows)
        return {Place(row.incident, row.channel, row.destination): row.planned for row in advanced}

    async def _insert(self, connection: AsyncConnection, rows: list[dict[str, Any]]) -> set[str]:
        """Returns the ids that were not there before."""
        statement = _dialect(connection).insert(DELIVERIES).on_conflict_do_nothing(index_elements=["id"])
        return set((await connection.execute(statement.returning(DELIVERIES.c.id), rows)).scalars())

    async def load(self, id: str) -> Job | None:
        joined = DELIVERIES.outerjoin(THREADS, _of_place)
        columns = [THREADS.c.address, THREADS.c.url.label("thread_url"), THREADS.c.marker, THREADS.c.tried_at, _overtakes()]
        async with self.database.read() as connection:
            found = await connection.execute(select(DELIVERIES, *columns).select_from(joined).where(DELIVERIES.c.id == id))
            row = found.first()
        return None if row is None else _job(row)

    async def begin(self, job: Job, now: datetime) -> tuple[Job, int] | None:
        delivery = job.delivery
        values: dict[str, Any] = {"state": State.SENDING, "attempts": delivery.attempts + 1}
        if not job.is_summary:
            values["doubt"] = True
        async with self.database.transaction() as connection:
            if not await self._change(connection, job, values):
                return None
            superseded = await self._supersede(connection, job) if job.overtakes else 0
            thread = job.thread
            if job.is_summary and thread.address is None and thread.marker is None:
                thread = replace(thread, marker=delivery.id, tried_at=now)
                await _thread(connection, delivery.place, marker=thread.marker, tried_at=now)
        begun = replace(delivery, state=State.SENDING, attempts=delivery.attempts + 1)
        return replace(job, delivery=begun, thread=thread), superseded

    async def sent(self, claimed: Claimed, job: Job, address: Address, now: datetime) -> bool:
        values = {"state": State.SENT, "reason": None, "doubt": False, "sent_at": now, "url": address.url}
        async with self.database.transaction() as connection:
            if not await self._change(connection, job, values):
                return False
            if job.is_summary and address != job.thread.address:
                known = {"address": address.parts, "url": address.url, "marker": None, "tried_at": None}
                await _thread(connection, job.delivery.place, **known)
            if job.is_summary and job.thread.address is None:
                await self._tell(connection, job, now, url=address.url)
            await self.work.done(connection, claimed)
        self.outbox.wake()
        return True

    async def failed(self, claimed: Claimed, job: Job, reason: str, now: datetime, *, doubt: bool) -> bool:
        values = {"state": State.FAILED, "reason": reason[:_REASON], "doubt": doubt}
        async with self.database.transaction() as connection:
            if not await self._change(connection, job, values):
                return False
            await self._settle_doubt(connection, job, doubt)
            await self._tell(connection, job, now, reason=reason or "no reason was given")
            await self.work.done(connection, claimed)
        self.outbox.wake()
        return True

    async def again(self, claimed: Claimed, job: Job, at: datetime, reason: str, *, doubt: bool) -> bool:
        state = State.UNKNOWN if doubt and job.call == "post" else State.PENDING
        async with self.database.transaction() as connection:
            if not await self._change(connection, job, {"state": state, "reason": reason[:_REASON], "doubt": doubt}):
                return False
            await self._settle_doubt(connection, job, doubt)
            await self.work.again(connection, claimed, at, reason[:_REASON])
        return True

    async def forget(self, claimed: Claimed, job: Job, now: datetime, reason: str) -> bool:
        async with self.database.transaction() as connection:
            if not await self._change(connection, job, {"state": State.PENDING, "reason": reason[:_REASON], "doubt": False}):
                return False
            await _thread(connection, job.delivery.place, address=None, url=None, marker=None, tried_at=None)
            await self.work.again(connection, claimed, now, reason[:_REASON])
        return True

    async def wait(self, claimed: Claimed, until: datetime, reason: str) -> None:
        async with self.database.transaction() as connection:
            await self.work.again(connection, claimed, until, reason)

    async def drop(self, claimed: Claimed) -> None:
        async with self.database.transaction() as connection:
            await self.work.done(connection, claimed)

    async def _change(self, connection: AsyncConnection, job: Job, values: dict[str, Any]) -> bool:
        """Only while nobody else has begun another try of it."""
        columns = DELIVERIES.c
        mine = (columns.id == job.delivery.id) & (columns.attempts == job.delivery.attempts) & columns.state.not_in(FINAL)
        return bool((await connection.execute(update(DELIVERIES).where(mine).values(**values))).rowcount)

    async def _supersede(self, connection: AsyncConnection, job: Job) -> int:
        """Older summaries of the place that nobody will send any more, even one that was being sent when a process died."""
        older = _at(DELIVERIES, job.delivery.place) & _open_summary(DELIVERIES) & (DELIVERIES.c.version < job.delivery.version)
        values = {"state": State.SUPERSEDED, "reason": SUPERSEDED}
        return int((await connection.execute(update(DELIVERIES).where(older).values(**values))).rowcount)

    async def _settle_doubt(self, connection: AsyncConnection, job: Job, doubt: bool) -> None:
        if job.is_summary and job.thread.address is None and not doubt:
            await _thread(connection, job.delivery.place, marker=None, tried_at=None)

    async def _tell(
        self, connection: AsyncConnection, job: Job, now: datetime, *, reason: str = "", url: str | None = None
    ) -> None:
        """Others learn of it: a reason is that of a failure."""
        delivery, place = job.delivery, job.delivery.place
        state: Literal["sent", "failed"] = "failed" if reason else "sent"
        outcome = DeliveryOutcome(
            delivery=delivery.id,
            incident=place.incident,
            channel=place.channel,
            destination=place.destination,
            kind=delivery.kind,
            state=state,
            reason=reason[:_REASON],
            url=url,
            at=now,
        )
        name = digest("outcome", delivery.id, state, str(delivery.attempts))
        value = encode(outcome.TYPE, outcome, id=name, source=SERVICE, subject=place.incident[:255])
        await self.outbox.put(connection, [Message(topics.DELIVERIES, place.incident, value)])


def _newest_summaries(planned: Sequence[Planned]) -> dict[Place, int]:
    newest: dict[Place, int] = {}
    for each in planned:
        if each.kind == "summary":
            newest[each.place] = max(newest.get(each.place, 0), each.version)
    return newest


async def _thread(connection: AsyncConnection, place: Place, **values: Any) -> None:
    await connection.execute(update(THREADS).where(_at(THREADS, place)).values(**values))


def _open_summary(table: FromClause) -> ColumnElement[bool]:
    return (table.c.kind == "summary") & table.c.state.in_([state for state in State if not state.final])


def _overtakes() -> Label[bool]:
    """Whether the selected delivery is a summary with older ones that are still open."""
    mine, older = DELIVERIES.c, DELIVERIES.alias("older")
    same = and_(*(mine[name] == older.c[name] for name in ("incident", "channel", "destination")))
    where = same & (mine.kind == "summary") & _open_summary(older) & (older.c.version < mine.version)
    return exists().where(where).label("overtakes")


def _at(table: Table, place: Place) -> ColumnElement[bool]:
    return and_(*(table.c[name] == value for name, value in _columns(place).items()))


def _columns(place: Place) -> dict[str, Any]:
    return {"incident": place.incident, "channel": place.channel, "destination": place.destination}


def _dialect(connection: AsyncConnection) -> Any:
    return sqlite if connection.dialect.name == "sqlite" else postgresql


def _row(each: Planned, stale: bool, now: datetime) -> dict[str, Any]:
    return {
        **_columns(each.place),
        "id": each.id,
        "kind": each.kind,
        "version": each.version,
        "content": each.content.model_dump_json(),
        "why": str(each.why),
        "state": State.SUPERSEDED if stale else State.PENDING,
        "reason": SUPERSEDED if stale else None,
        "attempts": 0,
        "doubt": False,
        "created_at": now,
        "give_up_at": now + PATIENCE,
        "caused_at": each.caused_at,
    }


def item_for(id: str, place: Place, kind: Any, now: datetime) -> Item:
    return Item(QUEUE, work_key(id, place, kind), now, str(place), {"delivery": id})


def _job(row: Row[Any]) -> Job:
    delivery = Delivery(
        id=row.id,
        place=Place(row.incident, row.channel, row.destination),
        kind=row.kind,
        version=row.version,
        content=Content.model_validate_json(row.content),
        state=State(row.state),
        attempts=row.attempts,
        doubt=row.doubt,
        created_at=row.created_at,
        give_up_at=row.give_up_at,
        caused_at=row.caused_at,
    )
    address = None if row.address is None else Address(row.address, row.thread_url)
    return Job(delivery, Thread(address, row.marker, row.tried_at), row.overtakes)
