"""Deliveries and threads: how they are planned, and what becomes of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, FromClause, Label, Row, Table, and_, bindparam, case, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas import topics
from schemas.catalogue import encode
from schemas.deliveries import DeliveryOutcome
from schemas.ids import digest
from services.notifier.domain.content import Content, Kind
from services.notifier.domain.delivery import FINAL, MERGED, PATIENCE, SUPERSEDED, Delivery, Place, State, work_key
from services.notifier.domain.plan import Planned
from services.notifier.ports import Address, Begun, Job, Thread
from services.notifier.store.tables import DELIVERIES, THREADS
from services.runtime.bus.port import Message
from services.runtime.db import Database, among, upsert
from services.runtime.outbox import Outbox
from services.runtime.work import Claimed, Item, Work

QUEUE = "deliveries"
SERVICE = "notifier"
COALESCE = timedelta(milliseconds=200)
"""An edit waits so long for others that may follow, so that a storm of changes becomes few edits."""
_REASON = 4000
_PLACE = ("incident", "channel", "destination")

of_place = and_(*(DELIVERIES.c[name] == THREADS.c[name] for name in _PLACE))


@dataclass(frozen=True)
class DeliveryStore:
    """Implements `ports.Plans` and `ports.Outcomes`."""

    database: Database
    work: Work
    outbox: Outbox

    async def add(self, connection: AsyncConnection, planned: Sequence[Planned], now: datetime) -> list[tuple[str, Kind]]:
        """Three statements, however many there are, and two more for each last word. Of the summaries of a place only the
        newest is still to be sent."""
        current, said = await self._advance(connection, _newest_summaries(planned))
        stale = {each.id for each in planned if each.kind == "summary" and current.get(each.place) != each.version}
        fresh = await self._insert(connection, [_row(each, each.id in stale, now) for each in planned])
        new = {each.id: each for each in planned if each.id in fresh}
        # What is new may wait a little, except where a reply waits behind it.
        calm = said - {each.place for each in new.values() if each.kind == "reply"}
        items = [
            item_for(each.id, each.place, each.kind, now + COALESCE if each.place in calm else now)
            for each in new.values()
            if each.id not in stale
        ]
        # A later item of the same key takes the place of the earlier one and keeps its position in the lane.
        await self.work.put(connection, list({item.key: item for item in items}.values()), never_later=True)
        superseded = [(each.place.channel, each.kind) for each in new.values() if each.id in stale]
        for each in new.values():
            if each.last:
                superseded += [(each.place.channel, each.kind)] * await self._silence(connection, each)
        return superseded

    async def _silence(self, connection: AsyncConnection, last: Planned) -> int:
        """Earlier replies at the place of a last word that nobody has begun to send. They do not keep it waiting either."""
        mine = _at(DELIVERIES, last.place) & (DELIVERIES.c.kind == "reply") & (DELIVERIES.c.state == State.PENDING)
        values = {"state": State.SUPERSEDED, "reason": MERGED}
        silence = update(DELIVERIES).where(mine & (DELIVERIES.c.version < last.version)).values(**values)
        silenced = list((await connection.execute(silence.returning(DELIVERIES.c.id))).scalars())
        await self.work.cancel(connection, QUEUE, [work_key(each, last.place, "reply") for each in silenced])
        return len(silenced)

    async def _advance(self, connection: AsyncConnection, newest: dict[Place, int]) -> tuple[dict[Place, int], set[Place]]:
        """Note the newest planned summary of each place; returns those places where it is news, and those that have a message."""
        rows = [{**_columns(place), "planned": version} for place, version in newest.items()]
        if not rows:
            return {}, set()
        statement = upsert(connection, THREADS)
        fresh, columns = statement.excluded, THREADS.c
        statement = statement.on_conflict_do_update(
            index_elements=_PLACE,
            set_={"planned": fresh.planned},
            where=columns.planned < fresh.planned,
        )
        # The address itself: in RETURNING some releases of SQLite (3.40) answer IS NOT NULL wrongly.
        shown = (*(columns[name] for name in _PLACE), columns.planned, columns.address)
        advanced = (await connection.execute(statement.returning(*shown), rows)).all()
        places = {_place(row): row for row in advanced}
        return {place: row.planned for place, row in places.items()}, {
            place for place, row in places.items() if row.address is not None
        }

    async def _insert(self, connection: AsyncConnection, rows: list[dict[str, Any]]) -> set[str]:
        """Returns the ids that were not there before."""
        statement = upsert(connection, DELIVERIES).on_conflict_do_nothing(index_elements=["id"])
        return set((await connection.execute(statement.returning(DELIVERIES.c.id), rows)).scalars())

    async def load(self, connection: AsyncConnection, pieces: Sequence[Claimed]) -> list[tuple[Claimed, Job | ValueError]]:
        """Waits for nobody, so it cannot be part of a deadlock: what somebody else changes just now is left for a moment."""
        columns = [THREADS.c.address, THREADS.c.url.label("thread_url"), THREADS.c.marker, THREADS.c.tried_at]
        ids = [piece.payload["delivery"] for piece in pieces]
        query = select(DELIVERIES, *columns, _overtakes(), _lost_root()).select_from(DELIVERIES.join(THREADS, of_place))
        free = query.where(among(connection, DELIVERIES.c.id, ids)).with_for_update(of=[DELIVERIES, THREADS], skip_locked=True)
        rows = {row.id: row for row in await connection.execute(free)}
        loaded: list[tuple[Claimed, Job | ValueError]] = []
        for piece, name in zip(pieces, ids, strict=True):
            row = rows.get(name)
            if row is None:
                await self._leave(connection, piece, name)
            elif row.state in FINAL:
                await self.work.done(connection, piece)
            else:
                loaded.append((piece, _job_or_error(row)))
        return loaded

    async def _leave(self, connection: AsyncConnection, piece: Claimed, id: str) -> None:
        there = await connection.execute(select(DELIVERIES.c.seq).where(DELIVERIES.c.id == id))
        if there.first() is None:
            await self.work.done(connection, piece)
        else:
            await self.work.again(connection, piece, piece.due_at, "is being changed at this moment")

    async def begin(self, connection: AsyncConnection, jobs: Sequence[Job], now: datetime) -> list[Begun]:
        """Two statements, however many there are; one more for each that overtakes others. `load` holds what they change."""
        columns, ids = DELIVERIES.c, [job.delivery.id for job in jobs]
        if not ids:
            return []
        doubt = or_(columns.doubt, columns.kind == "reply")
        counted = update(DELIVERIES).where(among(connection, columns.id, ids))
        await connection.execute(counted.values(state=State.SENDING, attempts=columns.attempts + 1, doubt=doubt))
        begun = [_begun(job, now, await self._supersede(connection, job) if job.overtakes else 0) for job in jobs]
        await _mark(connection, [each.job for job, each in zip(jobs, begun, strict=True) if each.job.thread != job.thread])
        return begun

    async def wait(self, connection: AsyncConnection, claimed: Claimed, until: datetime, reason: str) -> None:
        await self.work.again(connection, claimed, until, reason)

    async def hold(self, connection: AsyncConnection, claimed: Claimed, job: Job, until: datetime, reason: str) -> None:
        await self._change(connection, job, {"reason": reason[:_REASON]})
        await self.work.again(connection, claimed, until, reason[:_REASON])

    async def rooted(self, job: Job, address: Address) -> None:
        async with self.database.transaction() as connection:
            known = {"address": address.parts, "url": address.url, "marker": None, "tried_at": None}
            await _thread(connection, job.delivery.place, **known)

    async def sent(self, claimed: Claimed, job: Job, address: Address, now: datetime, note: str | None) -> bool:
        values = {"state": State.SENT, "reason": note and note[:_REASON], "doubt": False, "sent_at": now, "url": address.url}
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


def _new_marker(job: Job) -> str | None:
    """What a first message is to be found by, when this try is the first that may leave one."""
    if job.thread.address is not None or job.thread.marker is not None:
        return None
    if job.is_summary:
        return job.delivery.id
    return None if job.root is None else f"{job.delivery.id}-root"


def _begun(job: Job, now: datetime, superseded: int) -> Begun:
    marker = _new_marker(job)
    thread = job.thread if marker is None else replace(job.thread, marker=marker, tried_at=now)
    counted = replace(job.delivery, state=State.SENDING, attempts=job.delivery.attempts + 1)
    return Begun(replace(job, delivery=counted, thread=thread), job.in_doubt, superseded)


async def _mark(connection: AsyncConnection, jobs: Sequence[Job]) -> None:
    rows = [
        {
            **{f"at_{name}": value for name, value in _columns(job.delivery.place).items()},
            "marked": job.thread.marker,
            "tried": job.thread.tried_at,
        }
        for job in jobs
    ]
    if rows:
        here = and_(*(THREADS.c[name] == bindparam(f"at_{name}") for name in _PLACE))
        marks = update(THREADS).where(here).values(marker=bindparam("marked"), tried_at=bindparam("tried"))
        await connection.execute(marks, rows)


def _open_summary(table: FromClause) -> ColumnElement[bool]:
    return (table.c.kind == "summary") & table.c.state.in_([state for state in State if not state.final])


def _overtakes() -> Label[bool]:
    """Whether the selected delivery is a summary with older ones that are still open."""
    mine, older = DELIVERIES.c, DELIVERIES.alias("older")
    where = _same_place(older) & (mine.kind == "summary") & _open_summary(older) & (older.c.version < mine.version)
    return exists().where(where).label("overtakes")


def _lost_root() -> Label[str | None]:
    """What the newest summary said, where a reply has lost the thread that it stood in."""
    mine, other = DELIVERIES.c, DELIVERIES.alias("root")
    said = select(other.c.content).where(_same_place(other) & (other.c.kind == "summary") & (other.c.state == State.SENT))
    newest = said.order_by(other.c.version.desc()).limit(1).scalar_subquery()
    return case(((mine.kind == "reply") & THREADS.c.address.is_(None), newest)).label("root")


def _same_place(other: FromClause) -> ColumnElement[bool]:
    return and_(*(DELIVERIES.c[name] == other.c[name] for name in _PLACE))


def _at(table: Table, place: Place) -> ColumnElement[bool]:
    return and_(*(table.c[name] == value for name, value in _columns(place).items()))


def _columns(place: Place) -> dict[str, Any]:
    return {"incident": place.incident, "channel": place.channel, "destination": place.destination}


def _place(row: Row[Any]) -> Place:
    return Place(row.incident, row.channel, row.destination)


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


def _job_or_error(row: Row[Any]) -> Job | ValueError:
    """One that cannot be read must not keep the others."""
    try:
        return _job(row)
    except ValueError as error:
        return error


def _job(row: Row[Any]) -> Job:
    delivery = Delivery(
        id=row.id,
        place=_place(row),
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
    root = None if row.root is None else Content.model_validate_json(row.root)
    return Job(delivery, Thread(address, row.marker, row.tried_at), row.overtakes, root)
