"""The messages of the built-in board."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.domain.content import Content
from services.notifier.ports import Posted
from services.notifier.store.tables import BOARD
from services.runtime.clock import Clock
from services.runtime.db import Database, upsert

MOST, REPLIES = 100, 20
"""What a page shows at most: messages that are not over, and replies of each."""


@dataclass(frozen=True)
class BoardStore:
    """Implements `ports.Board`."""

    database: Database
    clock: Clock

    async def post(self, id: str, content: Content, thread: str | None) -> None:
        values = {**_written(id, content), "id": id, "thread": thread, "posted_at": self.clock.now()}
        async with self.database.transaction() as connection:
            await connection.execute(upsert(connection, BOARD).values(**values).on_conflict_do_nothing(index_elements=["id"]))

    async def edit(self, id: str, content: Content, delivery: str) -> bool:
        values = {**_written(delivery, content), "edited_at": self.clock.now()}
        async with self.database.transaction() as connection:
            return bool((await connection.execute(update(BOARD).where(BOARD.c.id == id).values(**values))).rowcount)

    async def find(self, delivery: str, thread: str | None) -> str | None:
        columns = BOARD.c
        where = (columns.delivery == delivery) & columns.thread.is_not_distinct_from(thread)
        async with self.database.read() as connection:
            found: str | None = (await connection.execute(select(columns.id).where(where))).scalar()
        return found

    async def exists(self, id: str) -> bool:
        async with self.database.read() as connection:
            return (await connection.execute(select(BOARD.c.seq).where(BOARD.c.id == id))).first() is not None

    async def newest(self, limit: int) -> list[Posted]:
        columns = BOARD.c
        roots = columns.thread.is_(None)
        async with self.database.read() as connection:
            current = await _newest(connection, roots & columns.over.is_(False), MOST)
            past = await _newest(connection, roots & columns.over.is_(True), limit)
            replies = await _replies(connection, [row.id for row in (*current, *past)])
        return [_posted(row, replies[row.id]) for row in (*current, *past)]


def _written(delivery: str, content: Content) -> dict[str, Any]:
    return {"delivery": delivery, "content": content.model_dump_json(), "over": content.mood == "over"}


async def _newest(connection: AsyncConnection, where: ColumnElement[bool], limit: int) -> Sequence[Row[Any]]:
    return (await connection.execute(select(BOARD).where(where).order_by(BOARD.c.seq.desc()).limit(limit))).all()


async def _replies(connection: AsyncConnection, roots: Sequence[str]) -> defaultdict[str, list[Row[Any]]]:
    """The newest replies of each, oldest of them first."""
    columns = BOARD.c
    place = func.row_number().over(partition_by=columns.thread, order_by=columns.seq.desc()).label("place")
    ranked = select(BOARD, place).where(columns.thread.in_(roots)).subquery()
    found: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for row in await connection.execute(select(ranked).where(ranked.c.place <= REPLIES).order_by(ranked.c.seq)):
        found[row.thread].append(row)
    return found


def _posted(row: Row[Any], replies: Sequence[Row[Any]] = ()) -> Posted:
    answers = tuple(_posted(reply) for reply in replies)
    return Posted(row.id, Content.model_validate_json(row.content), row.posted_at, row.edited_at, answers)
