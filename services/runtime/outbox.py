"""The outbox: messages written in the caller's transaction and published after its commit, in order, at least once.

A row is deleted when the bus has acknowledged it, so what is in the table is what is not yet published; the relay never follows a
high-water mark, which would skip a row whose transaction committed late. The second message of a key is sent only after
the first is acknowledged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, Row, Table, Text, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.bus.port import Bus, Message
from services.runtime.db import Database
from services.runtime.errors import Unavailable
from services.runtime.finish import finish
from services.runtime.metrics import RuntimeMetrics
from services.runtime.wake import Waker

log = structlog.get_logger(__name__)

ROUND = 500
SAFETY_LOOK = 1.0


def outbox_table(metadata: MetaData) -> Table:
    """`id` gives the order within a key."""
    return Table(
        "outbox",
        metadata,
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("topic", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("value", LargeBinary, nullable=False),
    )


@dataclass
class Outbox:
    """One service's outbox and the relay that empties it."""

    service: str
    table: Table
    database: Database
    bus: Bus
    metrics: RuntimeMetrics

    def __post_init__(self) -> None:
        self._waker = Waker()

    async def put(self, connection: AsyncConnection, messages: Sequence[Message]) -> None:
        """Write the messages in the caller's transaction; call `wake` after its commit."""
        rows = [{"topic": message.topic, "key": message.key, "value": message.value} for message in messages]
        if rows:
            await connection.execute(insert(self.table), rows)

    def wake(self) -> None:
        self._waker.wake()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            try:
                while await finish(self.publish_round()):
                    pass
            except Unavailable as error:
                self.metrics.outbox_failures.labels(self.service).inc()
                log.warning("outbox_waits", service=self.service, reason=error.detail)
            await self._waker.sleep(SAFETY_LOOK)

    async def publish_round(self) -> bool:
        """Publish the oldest message of each key; True when there may be more. Raises `Unavailable`."""
        async with self.database.exclusive("outbox"):
            async with self.database.read() as connection:
                rows = (await connection.execute(select(self.table).order_by(self.table.c.id).limit(ROUND))).all()
            self.metrics.outbox_pending.labels(self.service).set(len(rows))
            heads = _first_of_each_key(rows)
            if not heads:
                return False
            await self.bus.publish([Message(row.topic, row.key, row.value) for row in heads])
            async with self.database.transaction() as connection:
                await connection.execute(delete(self.table).where(self.table.c.id.in_([row.id for row in heads])))
        self.metrics.outbox_published.labels(self.service).inc(len(heads))
        return len(heads) < len(rows) or len(rows) == ROUND


def _first_of_each_key(rows: Sequence[Row[tuple[int, str, str, bytes]]]) -> list[Row[tuple[int, str, str, bytes]]]:
    heads: dict[tuple[str, str], Row[tuple[int, str, str, bytes]]] = {}
    for row in rows:
        heads.setdefault((row.topic, row.key), row)
    return list(heads.values())
