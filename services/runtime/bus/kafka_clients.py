"""The clients of aiokafka as we want them, and how to get rid of them when the broker does not answer."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from schemas.topics import TOPICS, Topic
from services.runtime.errors import BusUnavailable

log = structlog.get_logger()

MAX_REQUEST = 2 << 20
"""Bytes of the largest request, and of the largest record batch a topic of ours takes."""
MAX_BATCH = 512 << 10
"""Bytes of a record batch; half of what a broker takes by default, since a topic may have been made by somebody else."""
FETCH = 16 << 20
"""Bytes of one answer to a fetch."""
GOODBYE = 2.0
"""Seconds a client has to say goodbye to its broker."""

Client = Any
"""A client of aiokafka, whose methods have no annotations."""
Connection = Mapping[str, Any]
"""Arguments of every client: addresses, name, security."""


async def within(seconds: float, what: Coroutine[Any, Any, Any]) -> Any:
    """Await `what`, which aiokafka may never answer, or raise `BusUnavailable` after some seconds.

    It gets a task of its own, since aiokafka swallows cancellations of its caller and lets those of its own tasks out.
    """
    task = asyncio.create_task(what)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # an answer that comes too late is not missed
    try:
        await asyncio.wait([task], timeout=seconds)
    finally:
        in_time = task.done()
        task.cancel()
    if not in_time or task.cancelled():
        raise BusUnavailable("Kafka does not answer")
    try:
        return task.result()
    except (KafkaError, OSError) as error:
        raise BusUnavailable(f"Kafka does not work: {_words(error)}") from error


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def new_producer(connection: Connection, timeout: float) -> Client:
    """Not started yet. No linger: it delays every lonely message, and we make batches ourselves. No transactions."""
    return AIOKafkaProducer(  # type: ignore[no-untyped-call]  # has no annotations
        **connection,
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_batch_size=MAX_BATCH,
        max_request_size=MAX_REQUEST,
        request_timeout_ms=int(timeout * 1000),
    )


def new_consumer(connection: Connection, **options: Any) -> Client:
    """Not started yet. Bytes in, bytes out: a deserializer that raises would block its partition for ever."""
    return AIOKafkaConsumer(  # type: ignore[no-untyped-call]  # has no annotations
        **connection,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=MAX_REQUEST,
        fetch_max_bytes=FETCH,
        **options,
    )


async def end_producer(producer: Client) -> None:
    """Close it and give up what is unsent. Its own `stop` would wait for the broker for ever (aiokafka#1101)."""
    producer._closed = True
    with suppress(BusUnavailable):
        await within(GOODBYE, producer.client.close())
    sender = producer._sender.sender_task
    # The first cancellation makes it wait for its requests, the second ends them.
    for _ in range(2):
        if sender is not None and not sender.done():
            sender.cancel()
            await asyncio.wait([sender], timeout=GOODBYE / 2)


async def end_consumer(consumer: Client) -> None:
    """Leave the group, if the broker answers, and close; what `stop` does not get to is closed one by one."""
    try:
        await within(GOODBYE, consumer.stop())
        return
    except BusUnavailable as error:
        log.info("bus.consumer_abandoned", reason=error.detail)
    coordinator = consumer._coordinator
    tasks = (coordinator._coordination_task, coordinator._heartbeat_task, coordinator._commit_refresh_task) if coordinator else ()
    left = [task for task in tasks if task is not None and not task.done()]
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=GOODBYE)
    for part in (consumer._fetcher, consumer._client):
        with suppress(BusUnavailable):
            await within(GOODBYE, part.close()) if part else None


class Admin:
    """Looks at the topics and makes those that are missing. Use as an async context manager."""

    def __init__(self, connection: Connection, timeout: float) -> None:
        self._client: Client = AIOKafkaAdminClient(**connection, request_timeout_ms=int(timeout * 1000))
        self._timeout = timeout

    async def __aenter__(self) -> "Admin":
        try:
            await within(self._timeout, self._client.start())
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(BusUnavailable):
            await within(GOODBYE, self._client.close())

    async def make_topics(self) -> None:
        """Topics that exist are used as they are; more than one broker keeps copies, and one of them may be away."""
        known = set(await within(self._timeout, self._client.list_topics()))
        missing = [topic for topic in TOPICS if topic.name not in known]
        if not missing:
            return
        brokers = (await within(self._timeout, self._client.describe_cluster()))["brokers"]
        wanted = [_new_topic(topic, min(3, len(brokers))) for topic in missing]
        response = await within(self._timeout, self._client.create_topics(wanted, timeout_ms=int(self._timeout * 1000)))
        _check(response.topic_errors)

    async def describe(self) -> list[tuple[Topic, int, int]]:
        """Each of our topics with its partitions and copies; zeros when it does not exist."""
        answer = await within(self._timeout, self._client.describe_topics([topic.name for topic in TOPICS]))
        found = {entry["topic"]: entry["partitions"] for entry in answer}
        return [
            (topic, len(partitions), min((len(one["replicas"]) for one in partitions), default=0))
            for topic in TOPICS
            for partitions in [found.get(topic.name, [])]
        ]


def _new_topic(topic: Topic, copies: int) -> NewTopic:
    config = {
        "retention.ms": str(topic.retention * 1000),
        "min.insync.replicas": str(max(1, copies - 1)),
        "max.message.bytes": str(MAX_REQUEST),
        # The broker's clock: a writer whose clock is wrong would have its messages refused or forgotten at once.
        "message.timestamp.type": "LogAppendTime",
    }
    return NewTopic(topic.name, topic.partitions, copies, topic_configs=config)  # type: ignore[no-untyped-call]  # has none


def _check(errors: Iterable[tuple[Any, ...]]) -> None:
    for name, code, *message in errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise BusUnavailable(f"Kafka does not make the topic {name}: {message[0] if message else error.__name__}")
