"""The bus on Kafka. The contract is in `port`; aiokafka is imported by the files `kafka*.py` only."""

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.topics import Topic
from services.runtime.bus.kafka_clients import Admin
from services.runtime.bus.kafka_consumer import KafkaSubscription, Pace, read_partition
from services.runtime.bus.kafka_producer import Publisher
from services.runtime.bus.port import Bus, Message, Positions, Record, Subscription, TopicPartition
from services.runtime.clock import Clock


class KafkaBus(Bus):
    """`bootstrap` is `host:port[,host:port…]`; `security` holds arguments for every client of aiokafka (TLS, SASL).

    Topics that we make stamp their records by the broker's clock, others by ours; connections are paced by real time.
    """

    def __init__(
        self,
        bootstrap: str,
        clock: Clock,
        publish_timeout: float = 5.0,
        client_id: str = "tocsin",
        security: Mapping[str, Any] | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._connection = {"bootstrap_servers": bootstrap.split(","), "client_id": client_id, **(security or {})}
        self._timeout = publish_timeout
        self._pace = pace or Pace()
        self._publisher = Publisher(self._connection, clock, publish_timeout)

    async def start(self) -> None:
        await self._publisher.start()

    async def stop(self) -> None:
        await self._publisher.stop()

    async def publish(self, messages: Sequence[Message]) -> None:
        await self._publisher.publish(messages)

    def subscribe(self, group: str, topics: Sequence[str], positions: Positions) -> Subscription:
        return KafkaSubscription(self._connection, group, topics, positions, self._pace)

    def available(self) -> str | None:
        return self._publisher.trouble

    async def describe(self) -> list[tuple[Topic, int, int]]:
        async with Admin(self._connection, self._timeout) as admin:
            return await admin.describe()

    async def read(self, topic: str, after: int, limit: int) -> list[Record]:
        return await read_partition(self._connection, TopicPartition(topic, 0), after, limit, self._timeout)
