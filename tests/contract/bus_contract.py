"""What every bus does, whatever it stands on; `services/runtime/bus/port.py` says it in words.

A subclass gives the fixtures `bus` (started, for this test) and `patient` (a bus that can be hurt and healed).
"""

import asyncio
import time
import uuid
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from schemas.topics import ALERTS, COMMANDS, DEADLETTERS, TOPICS
from services.runtime.bus.port import Bus, Message, Record, TopicPartition
from services.runtime.errors import BusUnavailable

PATIENCE = 30.0
"""Seconds after which a test gives up waiting for something that must come."""

Store = dict[TopicPartition, int]


class Patient(ABC):
    """A bus that can be hurt. `bound` is the most seconds that its first failing publish takes."""

    bus: Bus
    bound: float

    @abstractmethod
    async def hurt(self) -> None:
        """From now on nothing can be written."""

    @abstractmethod
    async def heal(self) -> None:
        """It can be written again."""


class Reader:
    """Reads as our services do: what it has handled and how far it is are stored in one step, and settled after that."""

    def __init__(self, bus: Bus, group: str, store: Store, topics: Sequence[str] = (ALERTS,)) -> None:
        self.store = store
        self.seen: list[Record] = []
        self.subscription = bus.subscribe(group, topics, self._positions)

    async def _positions(self, places: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {place: self.store[place] for place in places if place in self.store}

    def handle(self, records: Sequence[Record]) -> None:
        for record in records:
            assert record.offset >= self.store.get(record.place, 0), "handed out again although it was handled"
            self.store[record.place] = record.offset + 1
        self.seen += records

    async def step(self, limit: int = 500, timeout: float = 0.2) -> list[Record]:
        """Fetch, handle, settle."""
        records = await self.subscription.fetch(limit, timeout)
        self.handle(records)
        await self.subscription.settle(records)
        return records

    async def until(self, enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not enough():
                try:
                    await self.step()
                except BusUnavailable:
                    await asyncio.sleep(0.05)

    async def skip_to_end(self) -> None:
        """Pass over what other tests have left."""
        async with asyncio.timeout(PATIENCE):
            while not self.subscription.assigned() or await self.step():
                await self.step(timeout=0.05)
            while any((await self.subscription.lag()).values()):
                await self.step()
        self.seen.clear()

    def values(self) -> list[bytes]:
        return [record.value for record in self.seen]


def name() -> str:
    return uuid.uuid4().hex[:12]


def alerts(count: int, key: str | None = None, size: int = 0) -> list[Message]:
    """Messages 0 to `count` - 1; with their own keys when none is given."""
    return [Message(ALERTS, key or name(), b"%d" % n + b"." * size) for n in range(count)]


async def timed(what: Awaitable[object]) -> float:
    started = time.monotonic()
    await what
    return time.monotonic() - started


async def refused(bus: Bus) -> float:
    """Publish something that must be refused; the seconds it took."""
    started = time.monotonic()
    with pytest.raises(BusUnavailable):
        await bus.publish(alerts(1))
    return time.monotonic() - started


async def until_available(bus: Bus) -> None:
    async with asyncio.timeout(PATIENCE):
        while bus.available() is not None:
            await asyncio.sleep(0.05)


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class BusContract:
    """Inherited by the tests of each bus."""

    @pytest.fixture
    async def reader(self, bus: Bus) -> AsyncIterator[Reader]:
        """The only member of a new group, who has passed over what other tests left."""
        reader = Reader(bus, name(), {})
        await reader.skip_to_end()
        yield reader
        await reader.subscription.close()

    async def test_keeps_the_order_of_each_key_under_concurrent_calls(self, bus: Bus, reader: Reader) -> None:
        keys = [name() for _ in range(20)]

        async def writer(key: str) -> None:
            for n in range(30):
                await bus.publish([Message(ALERTS, key, b"%d" % n)])

        await asyncio.gather(*map(writer, keys))
        await reader.until(lambda: len(reader.seen) >= 600)
        found = defaultdict(list)
        for record in reader.seen:
            found[record.key].append((record.partition, int(record.value)))
        assert {key: [(found[key][0][0], n) for n in range(30)] for key in keys} == found

    async def test_keeps_the_order_of_calls_that_do_not_wait_for_each_other(self, bus: Bus, reader: Reader) -> None:
        key = name()
        calls = [asyncio.create_task(bus.publish([Message(ALERTS, key, b"%d" % n)])) for n in range(500)]
        await asyncio.gather(*calls)
        await reader.until(lambda: len(reader.seen) >= 500)
        assert list(range(500)) == [int(value) for value in reader.values()]

    async def test_keeps_the_order_of_the_messages_of_one_call(self, bus: Bus, reader: Reader) -> None:
        await bus.publish(alerts(2_000, key=name(), size=900))
        await reader.until(lambda: len(reader.seen) >= 2_000)
        assert list(range(2_000)) == [int(value.rstrip(b".")) for value in reader.values()]
        assert len({record.place for record in reader.seen}) == 1

    async def test_publishing_nothing_is_fine(self, bus: Bus) -> None:
        await bus.publish([])

    async def test_hands_out_again_after_rewind(self, bus: Bus, reader: Reader) -> None:
        await bus.publish(alerts(5, key=name()))
        first = await reader.subscription.fetch(3, PATIENCE)
        await reader.subscription.rewind()
        second = await reader.subscription.fetch(3, PATIENCE)
        assert first[0] == second[0]

    async def test_does_not_hand_out_twice_without_rewind(self, bus: Bus, reader: Reader) -> None:
        await bus.publish(alerts(6, key=name()))
        found: list[Record] = []
        async with asyncio.timeout(PATIENCE):
            while len(found) < 6:
                found += await reader.subscription.fetch(2, 0.2)
        assert [b"%d" % n for n in range(6)] == [record.value for record in found]

    async def test_a_restarted_reader_begins_where_its_database_says(self, bus: Bus) -> None:
        group, store = name(), Store()
        reader = Reader(bus, group, store)
        await reader.skip_to_end()
        before = dict(store)
        await bus.publish(alerts(5, key=name()))
        await reader.until(lambda: len(reader.seen) >= 5)
        await reader.subscription.close()
        store.clear()
        store.update(before)  # the database was set back, whatever was settled
        again = Reader(bus, group, store)
        await again.until(lambda: len(again.seen) >= 5)
        assert reader.values() == again.values()
        await again.subscription.close()

    async def test_an_unknown_partition_begins_at_the_oldest_record(self, bus: Bus) -> None:
        await bus.publish([Message(DEADLETTERS, "k", b"oldest?")])
        reader = Reader(bus, name(), {}, [DEADLETTERS])
        oldest = (await bus.read(DEADLETTERS, -1, 1))[0]
        await reader.until(lambda: bool(reader.seen))
        assert oldest == reader.seen[0]
        await reader.subscription.close()

    async def test_says_so_when_more_was_handled_than_the_log_holds(self, bus: Bus, reader: Reader) -> None:
        place = next(iter(reader.subscription.assigned()))
        reader.store[place] = 10**9
        await reader.subscription.rewind()
        with pytest.raises(BusUnavailable, match="lost or replaced"):
            await reader.subscription.fetch(1, 1.0)

    async def test_what_was_handled_but_not_settled_is_not_handed_out_again(self, bus: Bus) -> None:
        group, store = name(), Store()
        reader = Reader(bus, group, store)
        await reader.skip_to_end()
        await bus.publish(alerts(3, key=name()))
        reader.handle(await reader.subscription.fetch(2, PATIENCE))
        await reader.subscription.close()  # crash between handling and settling
        again = Reader(bus, group, store)
        await again.until(lambda: len(again.seen) + len(reader.seen) >= 3)
        assert reader.values() + again.values() == [b"0", b"1", b"2"]
        await again.subscription.close()

    async def test_what_was_fetched_but_not_handled_is_handed_out_again(self, bus: Bus) -> None:
        group, store = name(), Store()
        reader = Reader(bus, group, store)
        await reader.skip_to_end()
        await bus.publish(alerts(3, key=name()))
        assert await reader.subscription.fetch(2, PATIENCE)
        await reader.subscription.close()
        again = Reader(bus, group, store)
        await again.until(lambda: len(again.seen) >= 3)
        assert again.values() == [b"0", b"1", b"2"]
        await again.subscription.close()

    async def test_members_share_the_partitions_and_lose_nothing(self, bus: Bus) -> None:
        group, store = name(), Store()
        members = [Reader(bus, group, store), Reader(bus, group, store)]
        await members[0].skip_to_end()
        total, sent = 400, 0

        def complete() -> bool:
            return sum(len(member.seen) for member in members) >= total

        async def write() -> None:
            nonlocal sent
            for _ in range(40):
                await bus.publish(alerts(10))
                sent += 10
                await asyncio.sleep(0.02)

        await asyncio.gather(write(), *(member.until(complete) for member in members))
        await asyncio.gather(*(member.until(lambda: self._balanced(members)) for member in members))
        every = [record for member in members for record in member.seen]
        assert sent == len(every) == len({(record.place, record.offset) for record in every})
        for member in members:
            await member.subscription.close()

    @staticmethod
    def _balanced(members: Sequence[Reader]) -> bool:
        mine, other = (member.subscription.assigned() for member in members)
        return bool(mine) and bool(other) and not mine & other

    async def test_a_partition_with_a_batch_in_flight_stays(self, bus: Bus) -> None:
        group, store = name(), Store()
        old, new = Reader(bus, group, store), Reader(bus, group, store)
        await old.skip_to_end()
        await bus.publish(alerts(60))
        batch = await old.subscription.fetch(60, PATIENCE)
        held = {record.place for record in batch}
        for _ in range(5):
            assert not held & {record.place for record in await new.step(timeout=0.1)}
        old.handle(batch)
        await old.subscription.settle(batch)
        readers = (old, new)
        await asyncio.gather(*(one.until(lambda: sum(len(r.seen) for r in readers) >= 60) for one in readers))
        await asyncio.gather(*(one.until(lambda: self._balanced(readers)) for one in readers))
        for one in readers:
            await one.subscription.close()

    async def test_partitions_of_a_member_that_leaves_are_taken_over(self, bus: Bus) -> None:
        group, store = name(), Store()
        members = [Reader(bus, group, store), Reader(bus, group, store)]
        await members[0].skip_to_end()
        await asyncio.gather(*(member.until(lambda: self._balanced(members)) for member in members))
        await members[0].subscription.close()
        await bus.publish(alerts(50))
        await members[1].until(lambda: len(members[1].seen) >= 50)
        await members[1].subscription.close()

    async def test_a_member_for_whom_nothing_is_left_has_joined_all_the_same(self, bus: Bus) -> None:
        group, store = name(), Store()
        members = [Reader(bus, group, store, [DEADLETTERS]) for _ in range(2)]
        assert not any(member.subscription.joined() for member in members)

        def complete() -> bool:
            everything = sum(len(member.subscription.assigned()) for member in members)
            return everything == 1 and all(member.subscription.joined() for member in members)

        await asyncio.gather(*(member.until(complete) for member in members))
        for member in members:
            await member.subscription.close()

    async def test_each_group_gets_everything(self, bus: Bus) -> None:
        readers = [Reader(bus, name(), {}), Reader(bus, name(), {})]
        for reader in readers:
            await reader.skip_to_end()
        await bus.publish(alerts(20))
        for reader in readers:
            await reader.until(lambda reader=reader: len(reader.seen) >= 20)  # type: ignore[misc]
            await reader.subscription.close()

    async def test_one_subscription_reads_several_topics(self, bus: Bus) -> None:
        reader = Reader(bus, name(), {}, [ALERTS, COMMANDS])
        await reader.skip_to_end()
        await bus.publish([Message(ALERTS, "a", b"1"), Message(COMMANDS, "c", b"2")])
        await reader.until(lambda: len(reader.seen) >= 2)
        assert {(ALERTS, b"1"), (COMMANDS, b"2")} == {(record.topic, record.value) for record in reader.seen}
        await reader.subscription.close()

    async def test_poison_passes_through_untouched(self, bus: Bus, reader: Reader) -> None:
        bodies = [b"", b"\x00", b"\xff\xfe{", b'{"a": NaN}', bytes(range(256)) * 1_024, b"after"]
        keys = ["", "\x00", "\ud800", "ключ;,", "k" * 500, "after"]
        read = ["", "\x00", r"\xed\xa0\x80", "ключ;,", "k" * 500, "after"]
        for key, body in zip(keys, bodies, strict=True):
            await bus.publish([Message(ALERTS, key, body)])
        await reader.until(lambda: len(reader.seen) >= len(bodies))
        assert dict(zip(read, bodies, strict=True)) == {record.key: record.value for record in reader.seen}

    async def test_a_paused_partition_gives_nothing_until_it_is_resumed(self, bus: Bus, reader: Reader) -> None:
        key, other = name(), name()
        await bus.publish([Message(ALERTS, key, b"1")])
        await reader.until(lambda: len(reader.seen) == 1)
        place = reader.seen[0].place
        reader.subscription.pause([place])
        await bus.publish([Message(ALERTS, key, b"2")])
        assert await reader.step(timeout=0.5) == []
        await bus.publish(alerts(40, other))
        reader.subscription.resume([place])
        await reader.until(lambda: len(reader.seen) >= 42)
        assert b"2" in reader.values()

    async def test_an_empty_fetch_returns_at_its_timeout(self, reader: Reader) -> None:
        taken = await timed(reader.subscription.fetch(10, 0.3))
        assert 0.25 < taken < 0.8

    async def test_fetch_wakes_for_the_first_record_and_waits_for_no_more(self, bus: Bus, reader: Reader) -> None:
        waiting = asyncio.create_task(reader.subscription.fetch(1_000, PATIENCE))
        await asyncio.sleep(0)
        await bus.publish(alerts(1))
        assert await timed(waiting) < 2.0

    async def test_lag_counts_what_was_not_fetched(self, bus: Bus, reader: Reader) -> None:
        await bus.publish(alerts(10, key=name()))
        assert sum((await reader.subscription.lag()).values()) == 10
        got = len(await reader.subscription.fetch(4, PATIENCE))
        assert 10 - got == sum((await reader.subscription.lag()).values())

    async def test_a_slow_reader_costs_no_memory(self, bus: Bus, reader: Reader) -> None:
        before = resident()
        for _ in range(120):
            await bus.publish(alerts(30, size=32_000))
        got = 0
        while got < 200:
            got += len(await reader.step(limit=10))
        assert resident() - before < 100 << 20, "115 MB were published, and nearly all of it is unread"

    async def test_reads_dead_letters_after_an_offset(self, bus: Bus) -> None:
        await bus.publish([Message(DEADLETTERS, name(), b"%d" % n) for n in range(10)])
        last = max(record.offset for record in await bus.read(DEADLETTERS, -1, 10_000))
        assert [record.value for record in await bus.read(DEADLETTERS, last - 3, 100)] == [b"7", b"8", b"9"]
        assert [record.value for record in await bus.read(DEADLETTERS, last - 3, 1)] == [b"7"]
        assert await bus.read(DEADLETTERS, last, 100) == []

    async def test_describes_every_topic(self, bus: Bus) -> None:
        described = await bus.describe()
        assert list(TOPICS) == [topic for topic, _, _ in described]
        assert all(partitions >= 1 and copies >= 1 for _, partitions, copies in described)

    async def test_a_stopped_bus_refuses_at_once(self, bus: Bus) -> None:
        await bus.stop()
        assert bus.available() is not None
        assert await refused(bus) < 0.1

    async def test_fails_in_time_then_at_once_and_comes_back_by_itself(self, patient: Patient) -> None:
        bus = patient.bus
        reader = Reader(bus, name(), {})
        await reader.skip_to_end()
        await patient.hurt()
        assert await refused(bus) < patient.bound + 0.5
        assert bus.available() is not None
        assert min([await refused(bus) for _ in range(5)]) < 0.01
        await patient.heal()
        await until_available(bus)
        await bus.publish([Message(ALERTS, "k", b"after")])
        # What was refused may have been written all the same.
        await reader.until(lambda: b"after" in reader.values())
        await reader.subscription.close()

    async def test_what_was_acknowledged_survives_trouble_and_ghosts_are_only_repeats(self, patient: Patient) -> None:
        bus, key = patient.bus, name()
        reader = Reader(bus, name(), {})
        await reader.skip_to_end()
        acknowledged: list[int] = []

        async def write() -> None:
            for n in range(60):
                while n not in acknowledged:
                    with suppress(BusUnavailable):
                        await bus.publish([Message(ALERTS, key, b"%d" % n)])
                        acknowledged.append(n)
                    await asyncio.sleep(0.02)

        async def disturb() -> None:
            await asyncio.sleep(0.3)
            await patient.hurt()
            await refused(bus)
            await patient.heal()

        async with asyncio.timeout(2 * PATIENCE):
            await asyncio.gather(write(), disturb())
        await reader.until(lambda: b"59" in reader.values())
        first_seen = list(dict.fromkeys(int(value) for value in reader.values() if value.isdigit()))
        assert acknowledged == [n for n in first_seen if n in acknowledged]
        await reader.subscription.close()

    async def test_ends_within_seconds_while_it_is_hurt(self, patient: Patient) -> None:
        reader = Reader(patient.bus, name(), {})
        await reader.skip_to_end()
        await patient.hurt()
        publishing = asyncio.create_task(patient.bus.publish(alerts(1)))
        await asyncio.sleep(0)
        assert await timed(reader.subscription.close()) < 10.0
        assert await timed(patient.bus.stop()) < 10.0
        with pytest.raises(BusUnavailable):
            await publishing
        await patient.heal()
