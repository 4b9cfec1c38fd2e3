"""The bus on Kafka keeps the contract, with real brokers that are killed and frozen; and what only it promises."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition as KafkaPlace

from schemas.topics import ALERTS, DEADLETTERS
from services.runtime.bus import kafka_producer
from services.runtime.bus.kafka import KafkaBus
from services.runtime.bus.kafka_clients import new_producer
from services.runtime.bus.kafka_consumer import KafkaSubscription, Pace, _record
from services.runtime.bus.port import Message, TopicPartition
from services.runtime.clock import Clock
from services.runtime.errors import BusUnavailable
from tests.contract.bus_contract import (
    PATIENCE,
    BusContract,
    Patient,
    Reader,
    alerts,
    name,
    refused,
    timed,
    until_available,
)
from tests.support import kafka as kafka_support
from tests.support.kafka import KafkaServer
from tests.support.processes import free_port
from tests.support.stack import forget_topics

FAST = Pace(answer=2.0, session=6.0, heartbeat=0.2, drain=3.0, watch=0.2, stuck=30.0)
HASTY = replace(FAST, stuck=1.0)


def a_bus(server: KafkaServer, publish_timeout: float = 5.0, pace: Pace = FAST) -> KafkaBus:
    return KafkaBus(server.address, Clock(), publish_timeout=publish_timeout, pace=pace)


@asynccontextmanager
async def admin_of(server: KafkaServer) -> AsyncIterator[Any]:
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=server.address)
    await admin.start()
    yield admin
    await admin.close()


class Killed(Patient):
    """The broker is killed with SIGKILL."""

    bound = 2.0

    def __init__(self, server: KafkaServer) -> None:
        self.server = server
        self.bus = a_bus(server, self.bound)

    async def hurt(self) -> None:
        await asyncio.to_thread(self.server.kill9)

    async def heal(self) -> None:
        await asyncio.to_thread(self.server.restart)


class Frozen(Killed):
    """The broker accepts connections and never answers."""

    async def hurt(self) -> None:
        self.server.sigstop()

    async def heal(self) -> None:
        self.server.sigcont()


@pytest.fixture(scope="module")
def brittle() -> Iterator[KafkaServer]:
    """A broker that may be hurt."""
    server = KafkaServer()
    if not server.own:
        pytest.skip("a broker that is not ours is not killed")
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def bus(kafka: KafkaServer) -> AsyncIterator[KafkaBus]:
    bus = a_bus(kafka)
    await bus.start()
    yield bus
    await bus.stop()


class TestKafkaBus(BusContract):
    """The bus on a broker, and what a killed broker does to it."""

    @pytest.fixture
    async def bus(self, kafka: KafkaServer) -> AsyncIterator[KafkaBus]:
        bus = a_bus(kafka)
        await bus.start()
        yield bus
        await bus.stop()

    @pytest.fixture
    async def patient(self, kafka: KafkaServer, brittle: KafkaServer) -> AsyncIterator[Patient]:
        patient = self.made(brittle)
        await patient.bus.start()
        yield patient
        await patient.bus.stop()

    def made(self, server: KafkaServer) -> Patient:
        return Killed(server)


class TestFrozenBroker:
    """The same troubles with a broker that is frozen instead of killed."""

    @pytest.fixture
    async def patient(self, kafka: KafkaServer, brittle: KafkaServer) -> AsyncIterator[Patient]:
        patient = Frozen(brittle)
        await patient.bus.start()
        yield patient
        await patient.heal()
        await patient.bus.stop()

    test_fails_in_time = BusContract.test_fails_in_time_then_at_once_and_comes_back_by_itself
    test_ghosts = BusContract.test_what_was_acknowledged_survives_trouble_and_ghosts_are_only_repeats
    test_ends = BusContract.test_ends_within_seconds_while_it_is_hurt


async def test_fetch_says_that_the_broker_is_away_and_works_again(kafka: KafkaServer, brittle: KafkaServer) -> None:
    bus = a_bus(brittle, pace=HASTY)
    await bus.start()
    reader = Reader(bus, name(), {})
    await reader.skip_to_end()
    await asyncio.to_thread(brittle.kill9)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(BusUnavailable):
            while True:
                await reader.step()
    await asyncio.sleep(2 * HASTY.stuck)
    await asyncio.to_thread(brittle.restart)
    await until_available(bus)
    await bus.publish([Message(ALERTS, "k", b"after")])
    await reader.until(lambda: b"after" in reader.values())
    await reader.subscription.close()
    await bus.stop()


async def test_a_consumer_that_sticks_is_replaced(kafka: KafkaServer) -> None:
    bus = a_bus(kafka, pace=HASTY)
    await bus.start()
    reader = Reader(bus, name(), {})
    await reader.skip_to_end()
    subscription = reader.subscription
    assert isinstance(subscription, KafkaSubscription)
    client: Any = subscription._consumer
    client.pause(*client.assignment())  # behind our back
    await bus.publish(alerts(3))
    await reader.until(lambda: len(reader.seen) >= 3)
    assert subscription._consumer is not client
    await subscription.close()
    await bus.stop()


async def test_keys_that_are_no_text_are_read_as_text_that_can_be_written(kafka: KafkaServer, bus: KafkaBus) -> None:
    reader = Reader(bus, name(), {})
    await reader.skip_to_end()
    producer: Any = AIOKafkaProducer(bootstrap_servers=kafka.address)  # type: ignore[no-untyped-call]  # has no annotations
    await producer.start()
    for key in (b"\xff", b"\xed\xa0\x80", b"a\xe2\x82", None):
        await producer.send_and_wait(ALERTS, key=key, value=b".", partition=0)
    await producer.stop()
    await reader.until(lambda: len(reader.seen) == 4)
    assert [record.key for record in reader.seen] == [r"\xff", r"\xed\xa0\x80", r"a\xe2\x82", ""]
    await reader.subscription.close()


@pytest.mark.parametrize(
    ("stamp", "read"),
    [
        (-1, datetime(1970, 1, 1, tzinfo=UTC)),
        (None, datetime(1970, 1, 1, tzinfo=UTC)),
        (1_500, datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)),
        (1_795_420_800_000_000, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (2**63 - 1, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (-(2**63), datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_any_number_is_a_timestamp(stamp: int | None, read: datetime) -> None:
    found = SimpleNamespace(topic=ALERTS, partition=0, offset=7, key=None, value=None, timestamp=stamp)
    assert _record(found).timestamp == read


async def test_a_surprise_while_coming_back_does_not_end_the_coming_back(
    kafka: KafkaServer, bus: KafkaBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    def surprise(*arguments: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise LookupError("nobody expects this")
        return new_producer(*arguments)

    monkeypatch.setattr(kafka_producer, "new_producer", surprise)
    bus._publisher._fail("as if the broker were gone")
    await until_available(bus)
    await bus.publish(alerts(1))
    assert tries == 2


async def test_topics_that_are_gone_are_made_again(kafka: KafkaServer) -> None:
    bus = a_bus(kafka, publish_timeout=2.0)
    await bus.start()
    await bus.publish(alerts(1))
    await forget_topics(kafka)  # as when a broker comes back with nothing on its disk
    await refused(bus)
    await until_available(bus)
    await bus.publish(alerts(1))
    await bus.stop()


async def test_a_start_without_a_broker_fails_in_time() -> None:
    bus = KafkaBus(f"127.0.0.1:{free_port()}", Clock(), publish_timeout=1.0)
    with pytest.raises(BusUnavailable):
        await bus.start()
    assert await refused(bus) < 0.1
    await bus.stop()


async def test_positions_below_the_oldest_record_begin_at_the_oldest(kafka: KafkaServer, bus: KafkaBus) -> None:
    await bus.publish([Message(DEADLETTERS, "k", b"%d" % n) for n in range(5)])
    last = (await bus.read(DEADLETTERS, -1, 10_000))[-1].offset
    async with admin_of(kafka) as admin:
        before: Any = RecordsToDelete
        await admin.delete_records({KafkaPlace(DEADLETTERS, 0): before(last)})
    reader = Reader(bus, name(), {TopicPartition(DEADLETTERS, 0): 0}, [DEADLETTERS])
    await reader.until(lambda: bool(reader.seen))
    assert [last] == [record.offset for record in reader.seen]
    await reader.subscription.close()


async def test_a_batch_that_is_never_settled_holds_up_the_group_for_a_bounded_time(bus: KafkaBus) -> None:
    group = name()
    stuck, other = Reader(bus, group, {}), Reader(bus, group, {})
    await stuck.skip_to_end()
    await bus.publish(alerts(1))
    assert await stuck.subscription.fetch(10, PATIENCE)
    other.store = stuck.store
    waiting = asyncio.create_task(other.until(lambda: bool(other.subscription.assigned())))
    await asyncio.sleep(FAST.drain)
    # What it settles now is not its own any more, and must not disturb.
    await stuck.subscription.settle([])
    await stuck.until(lambda: bool(stuck.seen) or bool(other.seen))
    await waiting
    assert len(stuck.seen + other.seen) == 1
    for reader in (stuck, other):
        await reader.subscription.close()


async def test_settled_offsets_are_told_to_kafka(kafka: KafkaServer, bus: KafkaBus) -> None:
    group = name()
    reader = Reader(bus, group, {})
    await reader.skip_to_end()
    await bus.publish(alerts(1))
    await reader.until(lambda: len(reader.seen) == 1)
    await reader.subscription.close()
    async with admin_of(kafka) as admin:
        told = await admin.list_consumer_group_offsets(group)
    record = reader.seen[0]
    assert record.offset + 1 == told[KafkaPlace(*record.place)].offset


async def test_a_message_that_no_broker_would_take_is_refused_without_harm(bus: KafkaBus) -> None:
    with pytest.raises(ValueError, match="too large"):
        await bus.publish([Message(ALERTS, "k", b"." * 1_100_000)])
    await bus.publish([Message(ALERTS, "k", b"." * 900_000)])
    assert bus.available() is None


async def test_many_calls_are_fast(bus: KafkaBus) -> None:
    async def write() -> None:
        for _ in range(50):
            await bus.publish(alerts(1, size=1_000))

    taken = await timed(asyncio.gather(*(write() for _ in range(200))))
    assert 10_000 / taken > 2_000, "far below what one core does, so that a busy machine does not fail the test"


def test_tells_what_is_missing() -> None:
    missing = kafka_support.unavailable()
    assert missing is None or kafka_support.ADDRESS in missing or "Maven" in missing
