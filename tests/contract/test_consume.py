"""The reading loop on both buses: every message has its effect once, whatever fails; poison is put aside and told."""

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client import Counter as Counted
from sqlalchemy import Column, Integer, MetaData, Table, Text, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.alerts import AlertReceived
from schemas.base import Contract
from schemas.catalogue import decode, encode
from schemas.deadletters import DeadLetter
from schemas.envelope import Envelope
from schemas.topics import ALERTS, DEADLETTERS
from services.runtime.bus import consume
from services.runtime.bus.consume import POISON_LIMIT, Consumer, Delivered
from services.runtime.bus.port import Bus, Message, Positions, Subscription, partition_of
from services.runtime.bus.sqlite import SqliteBus
from services.runtime.clock import Clock, ManualClock
from services.runtime.db import Database
from services.runtime.deadletters import MAX_BODY
from services.runtime.errors import DatabaseUnavailable
from services.runtime.metrics import RuntimeMetrics
from services.runtime.offsets import Offsets, offsets_table
from tests.builders import NOW, an_alert
from tests.contract.bus_contract import PATIENCE, Patient, Reader, name
from tests.contract.test_sqlite_bus import Locked

A_WHILE = 0.3
"""Seconds in which something that must not happen would have happened."""

metadata = MetaData()
offsets_rows = offsets_table(metadata)
effects = Table("effects", metadata, Column("id", Integer, primary_key=True), Column("name", Text, nullable=False))

Trick = Callable[[], Awaitable[None]]


async def nothing() -> None:
    """No trick."""


class House:
    """A service that reads alerts and keeps their effects. `before` and `after` run inside the transaction."""

    def __init__(self, bus: Bus, database: Database, clock: Clock | None = None) -> None:
        self.bus, self.database, self.clock = bus, database, clock or Clock()
        self.service = f"service-{name()}"
        self.metrics = RuntimeMetrics(CollectorRegistry())
        self.before: Trick = nothing
        self.after: Trick = nothing
        self.told: list[int] = []
        self.consumer = self.another(self.service)

    def another(self, service: str) -> Consumer:
        self.metrics.declare(service, (ALERTS,), ())
        return Consumer(
            service=service, bus=self.bus, database=self.database, offsets=Offsets(offsets_rows), topics=(ALERTS,),
            handler=self.handle, serial=True, clock=self.clock, metrics=self.metrics,
        )  # fmt: skip

    async def handle(self, connection: AsyncConnection, batch: Sequence[Delivered]) -> Callable[[], None]:
        await self.before()
        await connection.execute(insert(effects), [{"name": item.envelope.id} for item in batch])
        await self.after()
        return lambda: self.told.append(len(batch))

    async def seen(self) -> list[str]:
        async with self.database.read() as connection:
            return list((await connection.execute(select(effects.c.name).order_by(effects.c.id))).scalars())

    async def until_seen(self, *names: str) -> None:
        """Each has had its effect, exactly once."""
        await until(lambda: self._seen(set(names)))
        counted = Counter(await self.seen())
        assert {name: counted[name] for name in names} == dict.fromkeys(names, 1)

    async def _seen(self, names: set[str]) -> bool:
        return names <= set(await self.seen())

    def failures(self, cause: str, service: str | None = None) -> float:
        return value_of(self.metrics.batch_failures.labels(service or self.service, cause))

    async def letters(self) -> list[DeadLetter]:
        found = [decode(record.value)[1] for record in await self.bus.read(DEADLETTERS, -1, 10_000)]
        return [letter for letter in found if isinstance(letter, DeadLetter) and letter.refused_by == self.service]

    @asynccontextmanager
    async def reading(self, *consumers: Consumer) -> AsyncIterator[None]:
        """The consumers run meanwhile."""
        tasks = [asyncio.create_task(consumer.run()) for consumer in consumers or (self.consumer,)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await holds():
            await asyncio.sleep(0.01)


def value_of(metric: Counted | Gauge) -> float:
    return float(metric._value.get())


async def known(holds: object) -> object:
    """For what is known without asking."""
    return holds


def good(id: str, key: str = "k") -> Message:
    alert = an_alert()
    return Message(ALERTS, key, encode(AlertReceived.TYPE, alert, id=id, source="test", subject=key))


def garbage(count: int = 1, key: str = "k") -> list[Message]:
    return [Message(ALERTS, key, b"\xff not ours %d" % number) for number in range(count)]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/reader.db", "test")
    async with database.transaction() as connection:
        await connection.run_sync(metadata.create_all)
    yield database
    await database.stop()


@pytest.fixture
async def sqlite_bus(tmp_path: Path) -> AsyncIterator[SqliteBus]:
    bus = SqliteBus(tmp_path / "bus.db", Clock(), partitions=2)
    await bus.start()
    yield bus
    await bus.stop()


@pytest.fixture(params=["sqlite", "kafka"])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    bus: Bus = SqliteBus(tmp_path / "either.db", Clock(), partitions=2)
    if request.param == "kafka":
        server = request.getfixturevalue("kafka")
        from tests.contract.test_kafka_bus import a_bus

        bus = a_bus(server)
    await bus.start()
    yield bus
    await bus.stop()


@pytest.fixture
async def house(bus: Bus, database: Database) -> House:
    """On either bus, past what other tests have left there."""
    reader = Reader(bus, name(), {})
    await reader.skip_to_end()
    await reader.subscription.close()
    rows = [{"topic": place.topic, "partition": place.partition, "next": offset} for place, offset in reader.store.items()]
    if rows:
        async with database.transaction() as connection:
            await connection.execute(insert(offsets_rows), rows)
    return House(bus, database)


class TestOnEitherBus:
    """Effects come once."""

    async def test_in_the_order_of_each_key(self, house: House) -> None:
        names = [name() for _ in range(30)]
        async with house.reading():
            for number, each in enumerate(names):
                await house.bus.publish([good(each, f"key{number % 3}")])
            await house.until_seen(*names)
        seen = await house.seen()
        for lane in range(3):
            assert [each for each in seen if each in names[lane::3]] == names[lane::3]
        assert sum(house.told) == 30

    async def test_a_handler_that_fails_is_tried_again_in_place(self, house: House) -> None:
        tries = 0

        async def fail_twice() -> None:
            nonlocal tries
            tries += 1
            if tries == 1:
                raise LookupError
            if tries == 2:
                raise DatabaseUnavailable("gone for a moment")

        house.after = fail_twice
        names = [name() for _ in range(5)]
        await house.bus.publish([good(each) for each in names])
        async with house.reading():
            await house.until_seen(*names)
            await until(lambda: known(house.consumer.trouble is None))
        assert (house.failures("unexpected"), house.failures("database"), await house.letters()) == (1, 1, [])
        assert [each for each in await house.seen() if each in names] == names

    async def test_a_crash_before_the_commit_loses_nothing(self, house: House) -> None:
        reached, stuck = asyncio.Event(), asyncio.Event()

        async def hang() -> None:
            reached.set()
            await stuck.wait()

        house.after = hang
        names = [name() for _ in range(5)]
        await house.bus.publish([good(each) for each in names])
        async with house.reading():
            await asyncio.wait_for(reached.wait(), PATIENCE)
        assert (await house.seen(), house.told) == ([], [])
        house.after = nothing
        async with house.reading(house.another(house.service)):
            await house.until_seen(*names)

    async def test_a_crash_after_the_commit_repeats_nothing(self, house: House) -> None:
        first, second = name(), name()
        await house.bus.publish([good(first)])
        async with house.reading():
            await house.until_seen(first)
        await house.bus.publish([good(second)])
        async with house.reading(house.another(house.service)):
            await house.until_seen(first, second)

    async def test_of_two_who_read_the_same_one_counts(self, house: House) -> None:
        zombie = f"{house.service}-zombie"
        names: list[str] = []

        async def both_have_tried() -> bool:
            names.append(name())
            await house.bus.publish([good(names[-1])])
            return bool(house.failures("stale") + house.failures("stale", zombie))

        async with house.reading(house.consumer, house.another(zombie)):
            await until(both_have_tried)
            await house.until_seen(*names)
        assert [each for each in await house.seen() if each in names] == names

    async def test_poison_is_put_aside_and_told_and_the_rest_goes_on(self, house: House) -> None:
        before, after, key = name(), name(), f"key-{name()}"
        unknown = good(name(), key).value.replace(b"tocsin.alert.received.v1", b"tocsin.alert.received.v9")
        half = encode(AlertReceived.TYPE, an_alert(), id="x", source="x", subject="x").replace(b'"labels"', b'"lables"')
        bad = [garbage(1, key)[0].value, unknown, half]
        await house.bus.publish([good(before, key), *(Message(ALERTS, key, value) for value in bad), good(after, key)])
        async with house.reading():
            await house.until_seen(before, after)
        letters = await house.letters()
        assert [letter.reason for letter in letters] == ["invalid", "unsupported", "invalid"]
        assert [base64.b64decode(letter.body) for letter in letters] == bad
        assert {(letter.origin, letter.key, letter.refused_by) for letter in letters} == {(ALERTS, key, house.service)}
        assert len({letter.partition for letter in letters}) == 1
        places = [letter.offset for letter in letters if letter.offset is not None]
        assert (len(places), places) == (3, sorted(set(places)))
        assert "v9" in letters[1].detail
        assert "labels" in letters[2].detail
        counted = [value_of(house.metrics.refused.labels(house.service, ALERTS, reason)) for reason in ("invalid", "unsupported")]
        assert counted == [2, 1]

    async def test_letters_about_the_largest_records_are_cut(self, house: House) -> None:
        huge = bytes(range(256)) * 3_600
        await house.bus.publish([Message(ALERTS, "k", huge), good(after := name())])
        async with house.reading():
            await house.until_seen(after)
        (letter,) = await house.letters()
        assert base64.b64decode(letter.body) == huge[:MAX_BODY]
        assert "131,072 of 921,600 bytes are kept" in letter.detail

    async def test_whatever_the_decoder_raises_the_rest_goes_on(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        def brittle(value: bytes) -> tuple[Envelope, Contract]:
            if value == b"ouch":
                raise OverflowError("date value out of range")
            return decode(value)

        monkeypatch.setattr(consume, "decode", brittle)
        await house.bus.publish([Message(ALERTS, "k\0\ud800", b"ouch"), good(after := name())])
        async with house.reading():
            await house.until_seen(after)
        (letter,) = await house.letters()
        assert (letter.reason, letter.key) == ("invalid", r"k\x00\xed\xa0\x80")
        assert "date value out of range" in letter.detail


@pytest.mark.parametrize("bus", ["kafka"], indirect=True)
async def test_it_is_ready_when_its_group_has_answered_and_not_before(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    subscriptions: list[Subscription] = []
    subscribe = house.bus.subscribe

    def remembered(group: str, topics: Sequence[str], positions: Positions) -> Subscription:
        subscriptions.append(subscribe(group, topics, positions))
        return subscriptions[0]

    busy = Reader(house.bus, f"tocsin-{house.service}", {})
    await busy.skip_to_end()
    await house.bus.publish([good(name())])
    assert await busy.subscription.fetch(1, PATIENCE), "in flight, so that the group lets nobody in for a while"
    monkeypatch.setattr(house.bus, "subscribe", remembered)
    async with house.reading():
        await until(lambda: known(house.consumer.trouble is None))
        assert subscriptions[0].assigned()
    await busy.subscription.close()


async def test_an_embedded_reader_is_ready_at_once(sqlite_bus: SqliteBus, database: Database) -> None:
    house = House(sqlite_bus, database)
    async with house.reading():
        async with asyncio.timeout(0.5):
            await until(lambda: known(house.consumer.trouble is None))


class TestTooMuchPoison:
    """More than 100 refusals in 1,000 records look like a bad deployment."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock(NOW)

    @pytest.fixture
    def house(self, sqlite_bus: SqliteBus, database: Database, clock: ManualClock) -> House:
        return House(sqlite_bus, database, clock)

    def paused(self, house: House) -> float:
        return value_of(house.metrics.paused.labels(house.service))

    async def test_the_partition_rests_for_half_a_minute(self, house: House, clock: ManualClock) -> None:
        await house.bus.publish([*garbage(POISON_LIMIT + 1), good("with them")])
        async with house.reading():
            await house.until_seen("with them")
            await until(lambda: known(house.consumer.resting == 1))
            assert self.paused(house) == 1
            await house.bus.publish([good("later")])
            clock.advance(timedelta(seconds=29))
            await asyncio.sleep(A_WHILE)
            assert await house.seen() == ["with them"]
            clock.advance(timedelta(seconds=1))
            await house.until_seen("later")
            assert (house.consumer.resting, self.paused(house)) == (0, 0)
        assert len(await house.letters()) == POISON_LIMIT + 1

    async def test_other_partitions_go_on(self, house: House) -> None:
        other = next(key for key in map(str, range(100)) if partition_of(key, 2) != partition_of("k", 2))
        await house.bus.publish(garbage(POISON_LIMIT + 1))
        async with house.reading():
            await until(lambda: known(house.consumer.resting == 1))
            await house.bus.publish([good("elsewhere", other)])
            await house.until_seen("elsewhere")

    async def test_a_hundred_are_borne(self, house: House) -> None:
        await house.bus.publish([*garbage(POISON_LIMIT), good("last")])
        async with house.reading():
            await house.until_seen("last")
        assert house.consumer.resting == 0

    async def test_old_poison_is_forgotten(self, house: House) -> None:
        await house.bus.publish(garbage(POISON_LIMIT))
        await house.bus.publish([good(f"n{number}") for number in range(1_000)])
        await house.bus.publish([*garbage(POISON_LIMIT), good("last")])
        async with house.reading():
            await house.until_seen("last")
        assert house.consumer.resting == 0

    async def test_a_batch_that_is_tried_again_counts_once(self, house: House, clock: ManualClock) -> None:
        tries = 0

        async def fail_often() -> None:
            nonlocal tries
            tries += 1
            if tries <= POISON_LIMIT:
                raise DatabaseUnavailable

        async def moved_on() -> bool:
            clock.advance(timedelta(seconds=20))
            return "last" in await house.seen()

        house.before = fail_often
        await house.bus.publish([*garbage(2), good("last")])
        async with house.reading():
            await until(moved_on)
        refused = value_of(house.metrics.refused.labels(house.service, ALERTS, "invalid"))
        assert (tries, house.consumer.resting, refused) == (POISON_LIMIT + 1, 0, 2)


class TestTheBusAway:
    """What cannot be told waits."""

    @pytest.fixture
    async def patient(self, tmp_path: Path) -> AsyncIterator[Patient]:
        patient = Locked(tmp_path / "patient.db")
        await patient.bus.start()
        yield patient
        await patient.heal()
        await patient.bus.stop()

    async def test_poison_waits_until_its_letter_is_written(self, patient: Patient, database: Database) -> None:
        house = House(patient.bus, database)
        await house.bus.publish([good("before"), *garbage(), good("after")])
        await patient.hurt()
        async with house.reading():
            await until(lambda: known(house.failures("bus") >= 1))
            assert house.consumer.trouble
            assert await house.seen() == []
            await patient.heal()
            await house.until_seen("before", "after")
            await until(lambda: known(house.consumer.trouble is None))
        assert {letter.offset for letter in await house.letters()} == {1}

    async def test_reading_goes_on_when_the_bus_is_back(self, sqlite_bus: SqliteBus, database: Database) -> None:
        house = House(sqlite_bus, database)
        async with house.reading():
            await sqlite_bus.publish([good("before")])
            await house.until_seen("before")
            await sqlite_bus.stop()
            await sqlite_bus.start()
            await sqlite_bus.publish([good("after")])
            await house.until_seen("before", "after")


async def test_it_says_that_it_has_not_begun(sqlite_bus: SqliteBus, database: Database) -> None:
    assert House(sqlite_bus, database).consumer.trouble == "not started"
