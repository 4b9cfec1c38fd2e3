"""Reading from Kafka as a member of a group: positions from the reader's database, a patient rebalance, a watchdog."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from aiokafka import ConsumerRebalanceListener
from aiokafka import TopicPartition as KafkaPlace
from aiokafka.errors import ConsumerStoppedError

from services.runtime.bus.cursor import Bounds, Cursor
from services.runtime.bus.kafka_clients import GOODBYE, Admin, Client, Connection, end_consumer, new_consumer, within
from services.runtime.bus.port import Positions, Record, Subscription, TopicPartition, text_of
from services.runtime.errors import BusUnavailable

log = structlog.get_logger()

_LATEST = 253_402_300_799_000
"""The last second of the year 9999, in milliseconds since 1970; `datetime` knows none after it."""


@dataclass(frozen=True)
class Pace:
    """Times of a subscription, in seconds."""

    answer: float = 5.0
    """The most that one question to Kafka takes."""
    session: float = 6.0
    """A member that is silent for so long is out of the group."""
    heartbeat: float = 2.0
    drain: float = 4.0
    """A batch in flight holds up a rebalance for so long at most; less than `session`."""
    watch: float = 2.0
    """Between two looks at the broker's health, the lag, and offsets to commit."""
    stuck: float = 60.0
    """A consumer that gives nothing for so long although there is something is replaced."""


class KafkaSubscription(Subscription):
    """Partitions whose beginning is not in the cursor are not read yet: `fetch` first asks where to begin and seeks.

    So an assignment, a rewind and a new consumer are one and the same thing: the cursor forgets.
    """

    def __init__(self, connection: Connection, group: str, topics: Sequence[str], positions: Positions, pace: Pace) -> None:
        self._connection = connection
        self._group = group
        self._topics = list(topics)
        self._pace = pace
        self._cursor = Cursor(positions)
        self._consumer: Client | None = None
        self._assigned: frozenset[TopicPartition] = frozenset()
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._unsaid: dict[TopicPartition, int] = {}
        self._trouble: str | None = None
        self._ill_since: float | None = None
        self._hungry_since: float | None = None
        self._joining_since: float | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._joined = self._closed = False

    async def fetch(self, limit: int, timeout: float) -> list[Record]:
        if self._closed:
            raise BusUnavailable("the subscription is closed")
        if self._consumer is None:
            await self._connect()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        await self._wait_until(deadline, lambda: bool(self._assigned) and self._trouble is None)
        if self._trouble is not None:
            raise BusUnavailable(self._trouble)
        await self._begin()
        records = await self._get(limit, max(0.0, deadline - loop.time()))
        if records:
            self._settled.clear()
            self._hungry_since = None
        else:
            self._hungry_since = self._hungry_since or loop.time()
        return records

    async def _connect(self) -> None:
        pace = self._pace
        consumer = new_consumer(
            self._connection,
            group_id=self._group,
            session_timeout_ms=int(pace.session * 1000),
            heartbeat_interval_ms=int(pace.heartbeat * 1000),
            # Joining takes as long as the slowest member's batch in flight, and must not time out before.
            request_timeout_ms=int((pace.session + pace.answer) * 1000),
        )
        try:
            await within(pace.answer, consumer.start())
        except BaseException:
            await end_consumer(consumer)
            raise
        self._consumer = consumer
        self._trouble = self._ill_since = None
        self._joining_since = asyncio.get_running_loop().time()
        consumer.subscribe(self._topics, listener=_Listener(self, consumer))
        self._watcher = self._watcher or asyncio.create_task(self._watch(), name="bus-watch")

    async def _wait_until(self, deadline: float, ready: Callable[[], bool]) -> None:
        # aiokafka's getmany does not keep its timeout while there is no assignment.
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                while not ready():
                    self._changed.clear()
                    await self._changed.wait()

    async def _begin(self) -> None:
        """Ask where to begin the partitions that are new, and seek."""
        before = self._assigned
        new = [place for place in before if place not in self._cursor.next]
        if not new:
            return
        found = await self._cursor.beginnings(await self._bounds(new))
        if self._assigned is not before or self._consumer is None:
            return
        for place in self._ours(found):
            self._consumer.seek(place, found[TopicPartition(*place)])
        self._cursor.next.update(found)
        self.pause(list(self._cursor.paused))

    async def _bounds(self, places: Sequence[TopicPartition]) -> Bounds:
        consumer = self._consumer
        if consumer is None:
            raise BusUnavailable("the consumer is being replaced")
        asked = [KafkaPlace(*place) for place in places]
        firsts = await within(self._pace.answer, consumer.beginning_offsets(asked))
        ends = await within(self._pace.answer, consumer.end_offsets(asked))
        return {place: (firsts[kafka], ends[kafka]) for place, kafka in zip(places, asked, strict=True)}

    async def _get(self, limit: int, timeout: float) -> list[Record]:
        if not self._assigned or self._consumer is None:
            return []
        try:
            getting = self._consumer.getmany(timeout_ms=int(timeout * 1000), max_records=limit)
            found = await within(timeout + self._pace.answer, getting)
        except BusUnavailable as error:
            self._cursor.next.clear()
            if error.__cause__ is None:  # no answer, as in a long rebalance
                return []
            # Errors of the group's coordination come here, and then the client does not get up again.
            await self._replace(error.detail)
            raise
        except ConsumerStoppedError:
            return []
        except BaseException:
            # The client may have moved on, with records that nobody gets: begin again where the reader's database says.
            self._cursor.next.clear()
            raise
        return self._accepted(found)

    def _accepted(self, found: Mapping[KafkaPlace, list[Any]]) -> list[Record]:
        """Without what was read before `_begin` had its say: it will be read again from the right place."""
        records = [
            record
            for kafka, batch in found.items()
            if TopicPartition(*kafka) in self._cursor.next and not self._went_back(batch)
            for record in map(_record, batch)
        ]
        self._cursor.took(records)
        return records

    def _went_back(self, batch: Sequence[Any]) -> bool:
        # The log was lost or replaced while we read; `_begin` will say so.
        place = TopicPartition(batch[0].topic, batch[0].partition)
        if batch[0].offset >= self._cursor.next[place]:
            return False
        self._cursor.forget([place])
        return True

    async def settle(self, records: Sequence[Record]) -> None:
        # Told to Kafka by the watcher: a commit blocks for ever while the broker is away, and nobody reads it but lag tools.
        self._unsaid.update({record.place: record.offset + 1 for record in records})
        self._cursor.settle(records)
        self._landed()

    async def rewind(self) -> None:
        self._cursor.rewind()
        self._landed()

    def _landed(self) -> None:
        if not self._cursor.in_flight():
            self._settled.set()

    def pause(self, places: Sequence[TopicPartition]) -> None:
        self._cursor.paused.update(places)
        if self._consumer is not None:
            self._consumer.pause(*self._ours(places))

    def resume(self, places: Sequence[TopicPartition]) -> None:
        self._cursor.paused.difference_update(places)
        if self._consumer is not None:
            self._consumer.resume(*self._ours(places))

    def _ours(self, places: Iterable[TopicPartition]) -> list[KafkaPlace]:
        known = self._consumer.assignment() if self._consumer is not None else set()
        return [KafkaPlace(*place) for place in places if KafkaPlace(*place) in known]

    def assigned(self) -> frozenset[TopicPartition]:
        return self._assigned

    def joined(self) -> bool:
        return self._joined

    async def lag(self) -> Mapping[TopicPartition, int]:
        if self._consumer is None:
            return {}
        # A member without partitions asks too: the answer shows that the broker lives.
        asked = [KafkaPlace(*place) for place in self._assigned] or [KafkaPlace(self._topics[0], 0)]
        ends = await within(self._pace.answer, self._consumer.end_offsets(asked))
        begun = {place: self._cursor.next[place] for place in self._assigned if place in self._cursor.next}
        return {place: max(0, ends[place] - offset) for place, offset in begun.items() if place in ends}

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher], timeout=GOODBYE)
        if self._trouble is None:
            await self._commit()
        self._cursor.rewind()
        self._landed()
        await self._drop()

    async def revoked(self, consumer: Client) -> None:
        """Hold up the rebalance until the batch in flight is settled or rewound, but not for ever."""
        if consumer is not self._consumer:
            return
        self._joining_since = self._joining_since or asyncio.get_running_loop().time()
        if self._cursor.in_flight() and not self._closed:
            try:
                async with asyncio.timeout(self._pace.drain):
                    await self._settled.wait()
            except TimeoutError:
                log.warning("bus.batch_left_behind", group=self._group)
        self._cursor.rewind()
        self._unsaid.clear()
        self._assigned = frozenset()

    def given(self, consumer: Client, places: Iterable[KafkaPlace]) -> None:
        """A new assignment; where to begin is asked by the next `fetch`."""
        if consumer is not self._consumer:
            return
        self._joining_since = None
        self._joined = True
        self._assigned = frozenset(TopicPartition(*place) for place in places)
        self._cursor.paused &= self._assigned
        self._hungry_since = None
        self._changed.set()
        log.info("bus.assigned", group=self._group, partitions=len(self._assigned))

    async def _watch(self) -> None:
        """Keep `_trouble` true, tell Kafka what is settled, and replace a consumer that sticks (aiokafka#1154)."""
        while not self._closed:  # a cancellation is not enough: aiokafka swallows some
            await asyncio.sleep(self._pace.watch)
            try:
                await self._look()
            except BusUnavailable as error:
                await self._be_ill(error.detail)
            except Exception:  # the edge of a background loop: it must live as long as the subscription
                log.exception("bus.watch_failed", group=self._group)

    async def _be_ill(self, reason: str) -> None:
        now = asyncio.get_running_loop().time()
        self._trouble = reason
        self._ill_since = self._ill_since or now
        # While the brokers are away a new client is no better, and would find the old one still counted as a member.
        if now - self._ill_since > self._pace.stuck and await self._brokers_answer():
            await self._replace("it does not reach the brokers")

    async def _brokers_answer(self) -> bool:
        try:
            async with Admin(self._connection, self._pace.answer):
                return True
        except BusUnavailable:
            return False

    async def _look(self) -> None:
        lag = await self.lag()
        self._trouble = self._ill_since = None
        self._changed.set()
        await self._commit()
        reason = self._stuck(lag)
        if reason is not None:
            await self._replace(reason)

    def _stuck(self, lag: Mapping[TopicPartition, int]) -> str | None:
        before = asyncio.get_running_loop().time() - self._pace.stuck
        # Members that vanished without a word keep everybody waiting for a session.
        if self._joining_since is not None and self._joining_since < before - self._pace.session:
            return "the group does not take it in"
        behind = any(count for place, count in lag.items() if place not in self._cursor.paused)
        if behind and self._hungry_since is not None and self._hungry_since < before:
            return "it gives no records although there are some"
        return None

    async def _commit(self) -> None:
        unsaid, self._unsaid = self._unsaid, {}
        offsets = {place: unsaid[TopicPartition(*place)] for place in self._ours(unsaid)}
        if offsets and self._consumer is not None:
            try:
                await within(self._pace.answer, self._consumer.commit(offsets))
            except BusUnavailable as error:
                log.info("bus.commit_failed", group=self._group, reason=error.detail)

    async def _replace(self, reason: str) -> None:
        """Drop the consumer; the next `fetch` makes another."""
        log.warning("bus.consumer_replaced", group=self._group, reason=reason)
        self._cursor.rewind()
        self._landed()
        self._assigned = frozenset()
        self._hungry_since = self._joining_since = None
        await self._drop()

    async def _drop(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._assigned = frozenset()
        if consumer is not None:
            await end_consumer(consumer)


class _Listener(ConsumerRebalanceListener):
    """Passes on what concerns the subscription; a consumer that was replaced may still be called back."""

    def __init__(self, subscription: KafkaSubscription, consumer: Client) -> None:
        self._subscription = subscription
        self._consumer = consumer

    async def on_partitions_revoked(self, _: set[KafkaPlace]) -> None:
        await self._subscription.revoked(self._consumer)

    async def on_partitions_assigned(self, assigned: set[KafkaPlace]) -> None:
        self._subscription.given(self._consumer, assigned)


def _record(found: Any) -> Record:
    # A writer may have put in microseconds, or -1: any number is a timestamp to Kafka.
    when = datetime.fromtimestamp(min(max(0, found.timestamp or 0), _LATEST) / 1000, UTC)
    return Record(found.topic, found.partition, found.offset, text_of(found.key or b""), found.value or b"", when)


async def read_partition(connection: Connection, place: TopicPartition, after: int, limit: int, timeout: float) -> list[Record]:
    """Records with offset > `after`, outside any group. Raises `BusUnavailable`."""
    kafka = KafkaPlace(*place)
    consumer = new_consumer(connection, request_timeout_ms=int(timeout * 1000))
    try:
        await within(timeout, consumer.start())
        consumer.assign([kafka])
        first = (await within(timeout, consumer.beginning_offsets([kafka])))[kafka]
        end = (await within(timeout, consumer.end_offsets([kafka])))[kafka]
        at = max(after + 1, first)
        consumer.seek(kafka, at)
        records: list[Record] = []
        while at < end and len(records) < limit:
            found = await within(timeout, consumer.getmany(timeout_ms=int(timeout * 1000), max_records=limit - len(records)))
            if not found:
                raise BusUnavailable("Kafka does not answer")
            records += map(_record, found[kafka])
            at = records[-1].offset + 1
        return records
    finally:
        await end_consumer(consumer)
