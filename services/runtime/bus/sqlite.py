"""The embedded bus: a durable log in one SQLite file, written by this process only. The contract is in `port`."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import chain, islice
from pathlib import Path

import structlog

from schemas.topics import DEADLETTERS, TOPICS, Topic
from services.runtime.bus.cursor import Cursor
from services.runtime.bus.port import Bus, Message, Positions, Record, Subscription, TopicPartition, partition_of
from services.runtime.bus.sqlite_log import Append, Listener, Places, Reader, Trim, Writer
from services.runtime.clock import Clock
from services.runtime.errors import BusUnavailable

log = structlog.get_logger()

TAIL_RECORDS = 8_192
TAIL_BYTES = 32 << 20
"""Bounds of what is kept in memory for readers who keep up: per partition, and for all partitions together."""
RETENTION_EVERY = 3_600.0
"""Seconds between two looks for records that are too old."""
STOP = 3.0
"""Seconds that the writer has to write what waits when the bus is stopped."""
PATIENCE = 10.0
"""Seconds for which a batch in flight keeps its partition from moving to another member."""


def open_readonly(path: Path) -> Reader:
    """For another process that wants to look. Raises `sqlite3.Error` when there is no log at `path`."""
    return Reader(path)


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6)


class _Tail:
    """The newest records of one partition, without holes, so that a reader who keeps up never touches the disk."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._records: deque[Record] = deque()
        self._bytes = 0

    def append(self, record: Record) -> None:
        if self._records and self._records[-1].offset + 1 != record.offset:
            self._records.clear()
            self._bytes = 0
        self._records.append(record)
        self._bytes += len(record.value)
        while self._bytes > self._budget or len(self._records) > TAIL_RECORDS:
            self._bytes -= len(self._records.popleft().value)

    def read(self, start: int, limit: int) -> list[Record]:
        """Empty when `start` is older than what is kept."""
        if not self._records or start < self._records[0].offset:
            return []
        index = start - self._records[0].offset
        return list(islice(self._records, index, index + limit))


class SqliteBus(Bus):
    """`partitions` is for topics that are not in the file yet; `publish_timeout` in seconds."""

    def __init__(self, path: Path, clock: Clock, partitions: int = 1, publish_timeout: float = 5.0) -> None:
        self._path = path
        self._clock = clock
        self._topics = {topic.name: 1 if topic.name == DEADLETTERS else partitions for topic in TOPICS}
        self._timeout = publish_timeout
        self._trouble: str | None = "the bus is not started"
        self._stopped = True
        self._places: Places = {}
        self._counts: dict[str, int] = {}
        self._tails: dict[TopicPartition, _Tail] = {}
        self._groups: dict[str, _Group] = {}
        self._opened = asyncio.Event()
        self._writer: Writer | None = None
        self._reader: Reader | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._retention: asyncio.Task[None] | None = None

    @property
    def commits(self) -> int:
        """Transactions that wrote messages since the start."""
        return self._writer.commits if self._writer else 0

    async def start(self) -> None:
        listener = Listener(landed=self._landed, refused=self._refused, opened=self._was_opened, trimmed=self._trimmed)
        self._trouble = "the storage does not answer"
        self._stopped = False
        self._opened.clear()
        self._writer = Writer(self._path, self._topics, asyncio.get_running_loop(), listener)
        self._writer.start()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bus-reader")
        try:
            async with asyncio.timeout(self._timeout):
                await self._opened.wait()
        except TimeoutError:
            reason = self._trouble
            await self.stop()
            raise BusUnavailable(reason) from None
        self._retention = asyncio.create_task(self._retain(), name="bus-retention")

    async def stop(self) -> None:
        self._trouble = "the bus is stopped"
        self._stopped = True
        self._wake()
        if self._retention is not None:
            self._retention.cancel()
            await asyncio.gather(self._retention, return_exceptions=True)
        if self._writer is not None and self._thread is not None:
            loop = asyncio.get_running_loop()
            if not await loop.run_in_executor(self._thread, self._writer.stop, STOP):
                log.error("bus.writer_abandoned", path=str(self._path))
            await loop.run_in_executor(self._thread, self._close_reader)
            self._thread.shutdown(wait=False)
        self._thread = self._retention = None

    async def publish(self, messages: Sequence[Message]) -> None:
        if self._trouble is not None or self._writer is None:
            raise BusUnavailable(self._trouble or "")
        if not messages:
            return
        items = [(self._place(message), message.key, message.value) for message in messages]
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._writer.put(Append(items, _micros(self._clock.now()), done))
        try:
            async with asyncio.timeout(self._timeout):
                await done
        except TimeoutError:
            # Cleared by whatever the writer reports next.
            self._trouble = "the storage does not answer"
            raise BusUnavailable(self._trouble) from None

    def _place(self, message: Message) -> TopicPartition:
        return TopicPartition(message.topic, partition_of(message.key, self._counts[message.topic]))

    def subscribe(self, group: str, topics: Sequence[str], positions: Positions) -> Subscription:
        return SqliteSubscription(self, group, topics, positions)

    def available(self) -> str | None:
        return self._trouble

    def check_started(self) -> None:
        """Raises `BusUnavailable` unless it is started; a disk that takes no writes may still be read."""
        if self._stopped:
            raise BusUnavailable(self._trouble or "")

    async def describe(self) -> list[tuple[Topic, int, int]]:
        return [(topic, self._counts.get(topic.name, 0), 1) for topic in TOPICS]

    async def read(self, topic: str, after: int, limit: int) -> list[Record]:
        return await self.load(TopicPartition(topic, 0), after + 1, limit)

    async def trim(self) -> None:
        """Forget what is older than its topic's retention; otherwise done every hour."""
        if self._writer is None:
            raise BusUnavailable(self._trouble or "")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        now = self._clock.now()
        before = {topic.name: _micros(now - timedelta(seconds=topic.retention)) for topic in TOPICS}
        self._writer.put(Trim(before, done))
        await done

    async def _retain(self) -> None:
        while True:
            try:
                await self.trim()
            except BusUnavailable as error:
                log.warning("bus.retention_failed", error=error.detail)
            await self._clock.sleep(RETENTION_EVERY)

    def group(self, name: str) -> "_Group":
        return self._groups.setdefault(name, _Group())

    def places(self, topics: Sequence[str]) -> list[TopicPartition]:
        """The partitions of the topics, in a fixed order."""
        return sorted(place for place in self._places if place.topic in topics)

    def bounds(self, place: TopicPartition) -> tuple[int, int]:
        """The oldest offset kept and the offset that the next record will get."""
        return self._places[place].first, self._places[place].end

    async def load(self, place: TopicPartition, start: int, limit: int) -> list[Record]:
        """Records of a partition from offset `start` on, from memory when they are there."""
        if place not in self._places or start >= self._places[place].end:
            return []
        found = self._tails[place].read(start, limit)
        if found:
            return found
        if self._thread is None:
            raise BusUnavailable(self._trouble or "")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._load, place, start, limit)
        except sqlite3.Error as error:
            raise BusUnavailable(f"the storage cannot be read: {error}") from error

    def _load(self, place: TopicPartition, start: int, limit: int) -> list[Record]:
        try:
            self._reader = self._reader or Reader(self._path)
            return self._reader.read(place, start, limit)
        except sqlite3.Error:
            self._close_reader()
            raise

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _was_opened(self, places: Places) -> None:
        self._places = places
        self._counts = {name: sum(place.topic == name for place in places) for name in self._topics}
        budget = TAIL_BYTES // len(places)
        self._tails = {place: self._tails.get(place) or _Tail(budget) for place in places}
        self._writes_again()
        self._opened.set()

    def _landed(self, jobs: list[Append], records: list[Record]) -> None:
        for record in records:
            place = record.place
            self._tails[place].append(record)
            self._places[place].end = record.offset + 1
        self._writes_again()
        for job in jobs:
            if not job.done.done():
                job.done.set_result(None)
        self._wake()

    def _wake(self) -> None:
        for group in self._groups.values():
            group.wake()

    def _refused(self, jobs: list[Append | Trim], reason: str) -> None:
        self._trouble = reason
        for job in jobs:
            if not job.done.done():
                job.done.set_exception(BusUnavailable(reason))

    def _trimmed(self, job: Trim, places: Places) -> None:
        for place, state in places.items():
            self._places[place].first = state.first
        self._writes_again()
        if not job.done.done():
            job.done.set_result(None)

    def _writes_again(self) -> None:
        # A writer that was told to stop still writes what waits; that does not make the bus available.
        if not self._stopped:
            self._trouble = None


class _Group:
    """Who reads which partition. Owners change when members come and go, but not while a batch is in flight."""

    def __init__(self) -> None:
        self._members: list[SqliteSubscription] = []
        self._owners: dict[TopicPartition, SqliteSubscription] = {}

    def join(self, member: "SqliteSubscription") -> None:
        self._members.append(member)
        self.balance()

    def leave(self, member: "SqliteSubscription") -> None:
        self._members.remove(member)
        self._owners = {place: owner for place, owner in self._owners.items() if owner is not member}
        self.balance()

    def owned(self, member: "SqliteSubscription") -> list[TopicPartition]:
        return [place for place, owner in self._owners.items() if owner is member]

    def balance(self) -> None:
        """Give every partition to whom it belongs, as far as that is possible now."""
        for place, member in self._wanted().items():
            owner = self._owners.get(place)
            if owner is member or (owner is not None and owner.holds(place)):
                continue
            if owner is not None:
                owner.lost(place)
            self._owners[place] = member
            member.wake.set()

    def wake(self) -> None:
        for member in self._members:
            member.wake.set()

    def _wanted(self) -> dict[TopicPartition, "SqliteSubscription"]:
        wanted = {}
        for index, place in enumerate(sorted({place for member in self._members for place in member.places})):
            readers = [member for member in self._members if place in member.places]
            wanted[place] = readers[index % len(readers)]
        return wanted


class SqliteSubscription(Subscription):
    """A member of a group in this process."""

    def __init__(self, bus: SqliteBus, group: str, topics: Sequence[str], positions: Positions) -> None:
        self._bus = bus
        self._group = bus.group(group)
        self._topics = topics
        self._cursor = Cursor(positions)
        self._joined = self._closed = False
        self._fetched_at = 0.0
        self._turn = 0
        self.places: list[TopicPartition] = []
        self.wake = asyncio.Event()

    async def fetch(self, limit: int, timeout: float) -> list[Record]:
        if self._closed:
            raise BusUnavailable("the subscription is closed")
        self._bus.check_started()
        if not self._joined:
            self.places = self._bus.places(self._topics)
            self._group.join(self)
            self._joined = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            self.wake.clear()
            records = await self._look(limit)
            if records or loop.time() >= deadline:
                self._fetched_at = loop.time()
                return records
            with suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self.wake.wait()
            self._bus.check_started()

    async def _look(self, limit: int) -> list[Record]:
        self._group.balance()
        await self._begin()
        found: dict[TopicPartition, tuple[int, list[Record]]] = {}
        left = limit
        for place in self._readable():
            start = self._cursor.next[place]
            found[place] = start, await self._bus.load(place, start, left)
            left -= len(found[place][1])
            if left <= 0:
                break
        # Nothing is taken before all is loaded, so that an error or a cancellation loses nothing; and a partition may have
        # moved to another member meanwhile.
        mine = (records for place, (start, records) in found.items() if self._cursor.next.get(place) == start)
        records = [*chain.from_iterable(mine)]
        self._cursor.took(records)
        return records

    def _readable(self) -> list[TopicPartition]:
        """Each time another partition comes first, so that a full one does not starve the others."""
        places = [place for place in self._group.owned(self) if place in self._cursor.next and place not in self._cursor.paused]
        self._turn += 1
        turn = self._turn % len(places) if places else 0
        return places[turn:] + places[:turn]

    async def _begin(self) -> None:
        new = [place for place in self._group.owned(self) if place not in self._cursor.next]
        if new:
            found = await self._cursor.beginnings({place: self._bus.bounds(place) for place in new})
            still = self.assigned()
            self._cursor.next.update({place: offset for place, offset in found.items() if place in still})

    def holds(self, place: TopicPartition) -> bool:
        """Whether the partition may not move to another member now."""
        return self._cursor.in_flight([place]) and asyncio.get_running_loop().time() - self._fetched_at < PATIENCE

    def lost(self, place: TopicPartition) -> None:
        """The partition is another member's now."""
        self._cursor.forget([place])

    async def settle(self, records: Sequence[Record]) -> None:
        self._cursor.settle(records)
        self._group.balance()

    async def rewind(self) -> None:
        self._cursor.rewind()
        self._group.balance()

    def pause(self, places: Sequence[TopicPartition]) -> None:
        self._cursor.paused.update(places)

    def resume(self, places: Sequence[TopicPartition]) -> None:
        self._cursor.paused.difference_update(places)
        self.wake.set()

    def assigned(self) -> frozenset[TopicPartition]:
        return frozenset(self._group.owned(self))

    def joined(self) -> bool:
        return self._joined

    async def lag(self) -> Mapping[TopicPartition, int]:
        ends = {place: self._bus.bounds(place)[1] for place in self._group.owned(self)}
        return {place: ends[place] - self._cursor.next[place] for place in ends if place in self._cursor.next}

    async def close(self) -> None:
        if self._joined and not self._closed:
            self._group.leave(self)
        self._closed = True
        self._cursor.rewind()
