"""How far a reader has come on the bus, kept in the reader's own database: the authority on what has been handled."""

from collections.abc import Mapping, Sequence

import structlog
from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.bus.port import Positions, Record, TopicPartition
from services.runtime.db import Database
from services.runtime.errors import StaleBatch
from services.runtime.finish import finish

log = structlog.get_logger(__name__)


def offsets_table(metadata: MetaData) -> Table:
    """`next` is the offset to read next."""
    return Table(
        "offsets",
        metadata,
        Column("topic", Text, primary_key=True),
        Column("partition", Integer, primary_key=True),
        Column("next", BigInteger, nullable=False),
    )


class Offsets:
    """Reads and advances the positions of one service."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def advance(self, connection: AsyncConnection, records: Sequence[Record]) -> None:
        """Move each partition past the batch, in the batch's transaction.

        Raises `StaleBatch` when somebody has been there before. A hole before the batch (records that the log's retention took)
        is passed and logged.
        """
        spans: dict[TopicPartition, tuple[int, int]] = {}
        for record in records:
            first, _ = spans.get(record.place, (record.offset, 0))
            spans[record.place] = (first, record.offset + 1)
        for place, (first, after) in sorted(spans.items()):
            await self._advance_one(connection, place, first, after)

    async def _advance_one(self, connection: AsyncConnection, place: TopicPartition, first: int, after: int) -> None:
        columns = self._table.c
        mine = (columns.topic == place.topic) & (columns.partition == place.partition)
        expected = mine & (columns.next == first)
        if (await connection.execute(update(self._table).where(expected).values(next=after))).rowcount:
            return
        known = (await connection.execute(select(columns.next).where(mine))).scalar_one_or_none()
        if known is None:
            await self._begin(connection, place, after)
            return
        if known > first:
            raise StaleBatch
        log.warning("records_missing", topic=place.topic, partition=place.partition, expected=known, found=first)
        await connection.execute(update(self._table).where(mine & (columns.next == known)).values(next=after))

    async def _begin(self, connection: AsyncConnection, place: TopicPartition, after: int) -> None:
        try:
            await connection.execute(insert(self._table).values(topic=place.topic, partition=place.partition, next=after))
        except IntegrityError:
            raise StaleBatch from None

    def positions(self, database: Database) -> Positions:
        """What a subscription asks on every assignment."""

        async def read(places: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
            async with database.read() as connection:
                rows = await connection.execute(select(self._table))
                known = {TopicPartition(row.topic, row.partition): row.next for row in rows}
            return {place: known[place] for place in places if place in known}

        async def look(places: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
            return await finish(read(places))

        return look
