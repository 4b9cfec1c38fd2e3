"""Publishing to Kafka: concurrent calls share a batch per partition; the producer is replaced whenever anything goes wrong."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from schemas.topics import TOPICS
from services.runtime.bus.kafka_clients import Admin, Client, Connection, end_producer, new_producer, within
from services.runtime.bus.port import Message, TopicPartition, partition_of
from services.runtime.clock import Clock
from services.runtime.errors import BusUnavailable

log = structlog.get_logger()

MAX_MESSAGE = 1_000_000
"""Bytes of key and value of one message; a broker takes a little more by default."""
MAX_WAITING = 64 << 20
"""Bytes that may wait for the broker; more is refused."""
FIRST_PAUSE, LAST_PAUSE = 0.2, 5.0
"""Seconds between two tries to come back; longer while the tries succeed but the writes after them fail."""


@dataclass(slots=True)
class _Call:
    """One call of `publish`: `at` in milliseconds since 1970; `left` batches are not acknowledged yet."""

    at: int
    done: "asyncio.Future[None]"
    left: int = 0


@dataclass(slots=True)
class _Batch:
    """Messages for one partition that go out together, at `deadline` (the loop's time) at the latest."""

    builder: Client
    deadline: float
    size: int = 0
    calls: list[_Call] = field(default_factory=list)


@dataclass(slots=True)
class _Lane:
    """What waits for one partition, the first being on its way: one batch at a time keeps the order."""

    batches: "deque[_Batch]" = field(default_factory=deque)
    task: "asyncio.Task[None] | None" = None


class Publisher:
    """`timeout` is the most seconds that a message waits for its acknowledgement."""

    def __init__(self, connection: Connection, clock: Clock, timeout: float) -> None:
        self._clock = clock
        self._connection = connection
        self._timeout = timeout
        self._producer: Client | None = None
        self._partitions: Mapping[str, int] = {}
        self._lanes: dict[TopicPartition, _Lane] = {}
        self._waiting = 0
        self._pause = FIRST_PAUSE
        self._revival: asyncio.Task[None] | None = None
        self._stopped = False
        self.trouble: str | None = "the bus is not started"

    async def start(self) -> None:
        self._stopped = False
        await self._connect()
        self.trouble = None

    async def stop(self) -> None:
        """What waits gets the time it had anyway; then everything is given back."""
        self.trouble = "the bus is stopped"
        self._stopped = True
        if self._revival is not None:
            self._revival.cancel()
            await asyncio.wait([self._revival], timeout=self._timeout)
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=self._timeout)
        self._give_up(self.trouble)
        if self._producer is not None:
            await end_producer(self._producer)
            self._producer = None

    async def publish(self, messages: Sequence[Message]) -> None:
        if self.trouble is not None:
            raise BusUnavailable(self.trouble)
        size = sum(len(message.value) for message in messages)
        if self._waiting + size > MAX_WAITING:
            raise BusUnavailable("too much waits for Kafka already")
        items = [_encoded(message) for message in messages]
        if not items:
            return
        call = _Call(int(self._clock.now().timestamp() * 1000), asyncio.get_running_loop().create_future())
        for message, (key, value) in zip(messages, items, strict=True):
            self._append(message, key, value, call)
        await call.done

    def _append(self, message: Message, key: bytes, value: bytes, call: _Call) -> None:
        place = TopicPartition(message.topic, partition_of(message.key, self._partitions[message.topic]))
        lane = self._lanes.setdefault(place, _Lane())
        # A batch on its way is closed, and refuses as a full one does.
        if not lane.batches or lane.batches[-1].builder.append(timestamp=call.at, key=key, value=value) is None:
            lane.batches.append(self._new_batch())
            lane.batches[-1].builder.append(timestamp=call.at, key=key, value=value)
        batch = lane.batches[-1]
        batch.size += len(value)
        self._waiting += len(value)
        if not batch.calls or batch.calls[-1] is not call:
            batch.calls.append(call)
            call.left += 1
        if lane.task is None:
            lane.task = asyncio.create_task(self._drain(place, lane), name="bus-lane")

    def _new_batch(self) -> _Batch:
        assert self._producer is not None
        return _Batch(self._producer.create_batch(), asyncio.get_running_loop().time() + self._timeout)

    async def _drain(self, place: TopicPartition, lane: _Lane) -> None:
        """Send what waits, batch by batch; ends when nothing waits or the bus is given up."""
        try:
            while lane.batches:
                await self._send(place, lane.batches[0])
                self._acknowledge(lane.batches.popleft())
        except BusUnavailable as error:
            self._fail(error.detail)
        except Exception as error:  # the edge of a background loop: who waits must hear of it, whatever aiokafka raises
            log.exception("bus.send_failed", topic=place.topic, partition=place.partition)
            self._fail(f"Kafka does not work: {error!r}")
        finally:
            lane.task = None

    async def _send(self, place: TopicPartition, batch: _Batch) -> None:
        batch.builder.close()
        left = batch.deadline - asyncio.get_running_loop().time()
        assert self._producer is not None
        await within(left, self._deliver(self._producer, place, batch))

    async def _deliver(self, producer: Client, place: TopicPartition, batch: _Batch) -> None:
        sent = await producer.send_batch(batch.builder, place.topic, partition=place.partition)
        await sent

    def _acknowledge(self, batch: _Batch) -> None:
        self._pause = FIRST_PAUSE
        self._waiting -= batch.size
        for call in batch.calls:
            call.left -= 1
            if call.left == 0 and not call.done.done():
                call.done.set_result(None)

    def _fail(self, reason: str) -> None:
        """Refuse everything that waits, and all that comes, until a new producer works."""
        if self.trouble is None:
            log.error("bus.unavailable", reason=reason)
            self.trouble = reason
            self._revival = asyncio.create_task(self._revive(), name="bus-revival")
        self._give_up(reason)

    def _give_up(self, reason: str) -> None:
        lanes, self._lanes, self._waiting = self._lanes, {}, 0
        for lane in lanes.values():
            if lane.task is not None and lane.task is not asyncio.current_task():
                lane.task.cancel()
            for call in [call for batch in lane.batches for call in batch.calls]:
                if not call.done.done():
                    call.done.set_exception(BusUnavailable(reason))
            lane.batches.clear()

    async def _revive(self) -> None:
        """Replace the producer; a new one that starts has proved that the brokers answer, not yet that they write."""
        dead, self._producer = self._producer, None
        if dead is not None:
            await self._try(end_producer(dead))
        # A cancellation is not enough to end this: aiokafka swallows some.
        while self._producer is None and not self._stopped:
            await asyncio.sleep(self._pause)
            await self._try(self._connect())
        if self._stopped:
            return
        self._pause = min(2 * self._pause, LAST_PAUSE)
        self.trouble = None
        log.info("bus.available_again")

    async def _try(self, step: Awaitable[None]) -> None:
        try:
            await step
        except BusUnavailable as error:
            log.info("bus.still_unavailable", reason=error.detail)
        except Exception:  # the edge of a background loop: without it nothing is published until a restart
            log.exception("bus.revival_failed")

    async def _connect(self) -> None:
        # Each time: brokers may come back with nothing on their disks.
        async with Admin(self._connection, self._timeout) as admin:
            await admin.make_topics()
        producer = new_producer(self._connection, self._timeout)
        try:
            await within(self._timeout, producer.start())
            known = [await within(self._timeout, producer.partitions_for(topic.name)) for topic in TOPICS]
        except BaseException:
            await end_producer(producer)
            raise
        self._producer = producer
        self._partitions = {topic.name: len(partitions) for topic, partitions in zip(TOPICS, known, strict=True)}


def _encoded(message: Message) -> tuple[bytes, bytes]:
    key = message.key.encode("utf-8", "surrogatepass")
    if len(key) + len(message.value) > MAX_MESSAGE:
        raise ValueError(f"a message of {len(key) + len(message.value)} bytes is too large for the bus")
    return key, message.value
