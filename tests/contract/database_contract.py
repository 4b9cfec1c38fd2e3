"""What the plumbing and the orchestrator's store do, whichever database they stand on.

A subclass gives the fixtures `database` (empty) and `neighbour`: the same database as another worker sees it, which is another
process's connection on PostgreSQL and the same object where only one process may write (SQLite).
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from prometheus_client import CollectorRegistry
from sqlalchemy import JSON, Column, Connection, Integer, MetaData, Table, Text, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.deliveries import DeliveryOutcome
from schemas.incidents import Incident
from schemas.vocabulary import Action, IncidentState, Severity
from services.notifier.store.tables import METADATA as NOTIFIER
from services.orchestrator.domain.alerts.maintenance import Maintenance
from services.orchestrator.domain.deciding.ledger import Outcome
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.happen import record
from services.orchestrator.domain.incident.incident import Context, Refusal, decide
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.groups import Group, Sighting
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.policy.rules import EVERYTHING, Breadth, DecisionRule, Rate, SeverityRule
from services.orchestrator.handlers.decider import Decider, Surroundings
from services.orchestrator.handlers.journal import Journal
from services.orchestrator.store import answers, firings, incidents, keys, notices, policies, turns
from services.orchestrator.store import tables as orchestrator
from services.runtime.bus.port import Message, Record, TopicPartition
from services.runtime.clock import ManualClock
from services.runtime.db import Database, UtcDateTime, among
from services.runtime.errors import BusUnavailable, DatabaseUnavailable, StaleBatch
from services.runtime.metrics import RuntimeMetrics
from services.runtime.migrate import migrate
from services.runtime.offsets import Offsets, offsets_table
from services.runtime.outbox import Outbox, outbox_table
from services.runtime.work import LEASE, Claimed, Item, Work, Worker, work_table
from tests.builders import ANN, NOW, POLICY, an_alert, minutes, resolved
from tests.support.memory_bus import MemoryBus

PATIENCE = 20.0
"""Seconds after which a test gives up waiting for something that must come."""
A_WHILE = 0.2
"""Seconds in which something that must not happen would have happened."""

HOSTILE = "\u202e😀 ﷽ ñ\u0301 \u2028\x01\x7f '\";-- $1 :x %s \\u0000 \ufdd0\U0010ffff"

metadata = MetaData()
offsets_rows, outbox_rows, work_rows = offsets_table(metadata), outbox_table(metadata), work_table(metadata)
notes = Table(
    "notes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("number", Integer),
    Column("at", UtcDateTime),
    Column("body", JSON),
)
offsets, work = Offsets(offsets_rows), Work(work_rows)


async def create_tables(database: Database) -> None:
    """The tables of this file."""
    async with database.transaction() as connection:
        if not database.sqlite:
            await connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{database.schema}"'))
        await connection.run_sync(metadata.create_all)


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    """Look again until it holds."""
    async with asyncio.timeout(PATIENCE):
        while not await holds():
            await asyncio.sleep(0.01)


async def answered(value: object) -> object:
    """For what is known without asking."""
    return value


async def write(database: Database, name: str, **values: Any) -> None:
    async with database.transaction() as connection:
        await connection.execute(insert(notes).values(name=name, **values))


async def names(database: Database) -> list[str]:
    async with database.read() as connection:
        return list((await connection.execute(select(notes.c.name).order_by(notes.c.name))).scalars())


class TransactionContract:
    """`transaction`, `read`, `exclusive`, and what goes in comes out."""

    async def test_commits_at_the_end(self, database: Database) -> None:
        async with database.transaction() as connection:
            await connection.execute(insert(notes).values(name="a"))
            assert await names(database) == []
        assert await names(database) == ["a"]

    async def test_rolls_back_on_an_error(self, database: Database) -> None:
        with pytest.raises(LookupError):
            async with database.transaction() as connection:
                await connection.execute(insert(notes).values(name="a"))
                raise LookupError
        await write(database, "b")
        assert await names(database) == ["b"]

    async def test_rolls_back_when_cancelled(self, database: Database) -> None:
        written = asyncio.Event()

        async def linger() -> None:
            async with database.transaction() as connection:
                await connection.execute(insert(notes).values(name="a"))
                written.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(linger())
        await written.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await write(database, "b")
        assert await names(database) == ["b"]

    async def test_a_broken_rule_is_told_as_what_it_is(self, database: Database) -> None:
        await write(database, "a")
        with pytest.raises(IntegrityError):
            await write(database, "a")
        await write(database, "b")

    async def test_serial_keeps_others_out(self, database: Database, neighbour: Database) -> None:
        inside, leave = asyncio.Event(), asyncio.Event()

        async def first() -> None:
            async with database.transaction(serial=True) as connection:
                await connection.execute(insert(notes).values(name="first"))
                inside.set()
                await leave.wait()

        async def second() -> list[str]:
            async with neighbour.transaction(serial=True) as connection:
                return list((await connection.execute(select(notes.c.name))).scalars())

        holding = asyncio.create_task(first())
        await inside.wait()
        waiting = asyncio.create_task(second())
        await asyncio.wait({waiting}, timeout=A_WHILE)
        assert not waiting.done()
        leave.set()
        await holding
        assert await waiting == ["first"]

    async def test_serial_counts_without_a_gap(self, database: Database, neighbour: Database) -> None:
        async def count(on: Database) -> None:
            async with on.transaction(serial=True) as connection:
                known = (await connection.execute(select(func.coalesce(func.max(notes.c.number), 0)))).scalar_one()
                await asyncio.sleep(0)
                await connection.execute(insert(notes).values(name=f"n{known + 1:03}", number=known + 1))

        await asyncio.gather(*(count(on) for _ in range(20) for on in (database, neighbour)))
        assert await names(database) == [f"n{number + 1:03}" for number in range(40)]

    async def test_exclusive_is_for_one_at_a_time_and_by_name(self, database: Database, neighbour: Database) -> None:
        busy: list[str] = []

        async def enter(on: Database, name: str) -> None:
            async with on.exclusive(name):
                assert name not in busy
                busy.append(name)
                await asyncio.sleep(0.005)
                busy.remove(name)

        await asyncio.gather(*(enter(on, name) for _ in range(5) for on in (database, neighbour) for name in ("x", "y")))
        async with database.exclusive("x"), neighbour.exclusive("y"):
            await write(database, "meanwhile")

    @pytest.mark.parametrize("count", [0, 1, 5_000])
    async def test_among_any_number(self, database: Database, count: int) -> None:
        for name in ("n0", "n4999", HOSTILE):
            await write(database, name)
        wanted = [f"n{number}" for number in range(count)] + [HOSTILE] * bool(count)
        async with database.read() as connection:
            found = set((await connection.execute(select(notes.c.name).where(among(connection, notes.c.name, wanted)))).scalars())
        assert found == {"n0", "n4999", HOSTILE} & set(wanted)

    @pytest.mark.parametrize(
        "moment",
        [
            NOW,
            datetime(2026, 3, 29, 2, 30, 0, 1, tzinfo=timezone(timedelta(hours=5, minutes=45))),
            datetime(1970, 1, 1, tzinfo=UTC),
            datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            None,
        ],
    )
    async def test_a_moment_comes_back_as_it_was(self, database: Database, moment: datetime | None) -> None:
        await write(database, "a", at=moment)
        async with database.read() as connection:
            found = (
                await connection.execute(
                    select(notes.c.at).where(notes.c.at.is_(None) if moment is None else notes.c.at == moment)
                )
            ).scalar_one()
        assert found == moment
        assert found is None or found.tzinfo is UTC

    async def test_moments_of_different_zones_are_in_order(self, database: Database) -> None:
        east = timezone(timedelta(hours=9))
        for name, at in (("c", NOW + minutes(1)), ("a", (NOW - minutes(1)).astimezone(east)), ("b", NOW)):
            await write(database, name, at=at)
        async with database.read() as connection:
            assert list((await connection.execute(select(notes.c.name).order_by(notes.c.at))).scalars()) == ["a", "b", "c"]

    async def test_hostile_text_comes_back_as_it_was(self, database: Database) -> None:
        body = {HOSTILE: [HOSTILE, None, 1.5, True, {"": HOSTILE * 100}]}
        await write(database, HOSTILE, body=body)
        async with database.read() as connection:
            row = (await connection.execute(select(notes))).one()
        assert (row.name, row.body) == (HOSTILE, body)

    async def test_many_at_once_all_come_through(self, database: Database) -> None:
        await asyncio.gather(*(write(database, f"n{number:02}") for number in range(50)), *(names(database) for _ in range(50)))
        assert len(await names(database)) == 50


def records(first: int, last: int, partition: int = 0) -> list[Record]:
    """A batch from one offset to another, both in it."""
    return [Record("t", partition, offset, "k", b"", NOW) for offset in range(first, last + 1)]


async def advance(database: Database, batch: Sequence[Record], note: str | None = None) -> None:
    async with database.transaction() as connection:
        if note:
            await connection.execute(insert(notes).values(name=note))
        await offsets.advance(connection, batch)


class OffsetsContract:
    """Which batches count."""

    async def known(self, database: Database) -> dict[int, int]:
        places = [TopicPartition("t", number) for number in range(3)]
        return {place.partition: offset for place, offset in (await offsets.positions(database)(places)).items()}

    async def test_a_batch_counts_once(self, database: Database) -> None:
        await advance(database, records(0, 4), "first")
        with pytest.raises(StaleBatch):
            await advance(database, records(0, 4), "second")
        assert (await self.known(database), await names(database)) == ({0: 5}, ["first"])

    async def test_a_batch_that_overlaps_does_not_count(self, database: Database) -> None:
        await advance(database, records(0, 4))
        with pytest.raises(StaleBatch):
            await advance(database, records(4, 9))
        assert await self.known(database) == {0: 5}

    async def test_offsets_may_have_gaps_and_begin_anywhere(self, database: Database) -> None:
        await advance(database, records(7, 9))
        await advance(database, records(20, 21))
        assert await self.known(database) == {0: 22}

    async def test_each_partition_counts_for_itself_and_all_or_none(self, database: Database) -> None:
        await advance(database, [*records(0, 1, 0), *records(5, 6, 1)])
        with pytest.raises(StaleBatch):
            await advance(database, [*records(7, 8, 1), *records(1, 2, 0), *records(0, 1, 2)])
        assert await self.known(database) == {0: 2, 1: 7}

    @pytest.mark.parametrize("before", [False, True])
    async def test_of_two_at_once_one_counts(self, database: Database, neighbour: Database, before: bool) -> None:
        if before:
            await advance(database, records(0, 0))
        tries = [advance(on, records(1, 4), f"{number}") for number, on in enumerate([database, neighbour] * 3)]
        told = await asyncio.gather(*tries, return_exceptions=True)
        assert {type(answer) for answer in told if answer} == {StaleBatch}
        assert (told.count(None), len(await names(database))) == (1, 1)


def an_outbox(database: Database, bus: MemoryBus) -> Outbox:
    metrics = RuntimeMetrics(CollectorRegistry())
    metrics.declare("test", (), ())
    return Outbox("test", outbox_rows, database, bus, metrics)


async def put(outbox: Outbox, *messages: tuple[str, str]) -> None:
    async with outbox.database.transaction() as connection:
        await outbox.put(connection, [Message("t", key, value.encode()) for key, value in messages])


class OutboxContract:
    """What was committed is published."""

    @pytest.fixture
    def bus(self) -> MemoryBus:
        return MemoryBus()

    @pytest.fixture
    def outbox(self, database: Database, bus: MemoryBus) -> Outbox:
        return an_outbox(database, bus)

    def told(self, bus: MemoryBus) -> list[str]:
        return [message.value.decode() for message in bus.messages]

    async def test_one_message_of_each_key_at_a_time(self, outbox: Outbox, bus: MemoryBus) -> None:
        await put(outbox, ("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3"))
        rounds = [(await outbox.publish_round(), self.told(bus)) for _ in range(4)]
        assert rounds == [
            (True, ["a1", "b1"]),
            (True, ["a1", "b1", "a2"]),
            (False, ["a1", "b1", "a2", "a3"]),
            (False, ["a1", "b1", "a2", "a3"]),
        ]

    async def test_what_was_rolled_back_is_never_told(self, outbox: Outbox, bus: MemoryBus) -> None:
        with suppress(LookupError):
            async with outbox.database.transaction() as connection:
                await outbox.put(connection, [Message("t", "a", b"never")])
                raise LookupError
        await put(outbox, ("a", "a1"))
        while await outbox.publish_round():
            pass
        assert self.told(bus) == ["a1"]

    async def test_a_bus_that_fails_loses_nothing(self, outbox: Outbox, bus: MemoryBus) -> None:
        await put(outbox, ("a", "a1"), ("a", "a2"))
        bus.failing = True
        for _ in range(3):
            with pytest.raises(BusUnavailable):
                await outbox.publish_round()
        bus.failing = False
        while await outbox.publish_round():
            pass
        assert self.told(bus) == ["a1", "a2"]

    async def test_the_relay_goes_on_after_the_bus_was_away(self, outbox: Outbox, bus: MemoryBus) -> None:
        bus.failing = True
        relay = asyncio.create_task(outbox.run())
        await put(outbox, ("a", "a1"))
        outbox.wake()
        failures = outbox.metrics.outbox_failures.labels("test")
        await until(lambda: answered(failures._value.get() >= 1))
        bus.failing = False
        outbox.wake()
        await until(lambda: answered(self.told(bus) == ["a1"]))
        relay.cancel()
        await asyncio.gather(relay, return_exceptions=True)

    async def test_two_relays_send_everything_once_and_in_order(
        self, outbox: Outbox, bus: MemoryBus, neighbour: Database
    ) -> None:
        relays = [asyncio.create_task(relay.run()) for relay in (outbox, an_outbox(neighbour, bus))]
        dice = random.Random(7)
        sent: dict[str, list[str]] = {f"k{number}": [] for number in range(5)}
        for number in range(60):
            key = dice.choice(list(sent))
            sent[key].append(f"{number}")
            await put(outbox, (key, f"{number}"))
            outbox.wake()
        await until(lambda: answered(len(bus.messages) >= 60))
        for relay in relays:
            relay.cancel()
        await asyncio.gather(*relays, return_exceptions=True)
        assert {key: [m.value.decode() for m in bus.messages if m.key == key] for key in sent} == sent

    async def test_more_than_a_round(self, outbox: Outbox, bus: MemoryBus) -> None:
        await put(outbox, *((f"k{number}", f"{number}") for number in range(1_201)))
        rounds = 1
        while await outbox.publish_round():
            rounds += 1
        assert (rounds, len(bus.messages)) == (3, 1_201)


async def put_work(database: Database, *items: Item) -> None:
    async with database.transaction() as connection:
        await work.put(connection, items)


async def claim(database: Database, limit: int = 10, now: datetime = NOW) -> list[Claimed]:
    async with database.transaction() as connection:
        return await work.claim(connection, "q", limit, now)


async def claimed_keys(database: Database, now: datetime = NOW) -> list[str]:
    return [piece.key for piece in await claim(database, now=now)]


async def done(database: Database, piece: Claimed) -> None:
    async with database.transaction() as connection:
        await work.done(connection, piece)


async def outlook(database: Database) -> tuple[int, datetime | None]:
    async with database.read() as connection:
        return await work.outlook(connection, "q")


def item(key: str, due: float = 0, lane: str | None = None, **payload: Any) -> Item:
    return Item("q", key, NOW + minutes(due), lane, payload)


class WorkContract:
    """Work that is to be done at a moment."""

    async def test_what_is_due_is_claimed_once_earliest_first(self, database: Database) -> None:
        await put_work(database, item("later", 0.1), item("b", -1), item("a", -2), Item("other", "x", NOW))
        assert await claimed_keys(database) == ["a", "b"]
        assert await claimed_keys(database) == []
        assert await claimed_keys(database, NOW + minutes(0.1) - timedelta(microseconds=1)) == []
        assert await claimed_keys(database, NOW + minutes(0.1)) == ["later"]

    async def test_no_more_than_asked_for(self, database: Database) -> None:
        await put_work(database, *(item(f"{number:03}") for number in range(100)))
        assert [len(await claim(database, 7)) for _ in range(3)] == [7, 7, 7]

    async def test_two_workers_never_claim_the_same(self, database: Database, neighbour: Database) -> None:
        await put_work(database, *(item(f"{number:03}") for number in range(60)))

        async def take(on: Database) -> list[str]:
            taken: list[str] = []
            while pieces := await claim(on, 4):
                taken += [piece.key for piece in pieces]
            return taken

        lots = await asyncio.gather(*(take(on) for on in (database, neighbour, database, neighbour)))
        assert sorted(key for lot in lots for key in lot) == [f"{number:03}" for number in range(60)]

    async def test_a_lease_that_ran_out_is_taken_over(self, database: Database, neighbour: Database) -> None:
        await put_work(database, item("a", x=HOSTILE))
        (first,) = await claim(database)
        assert await claim(neighbour, now=NOW + LEASE - timedelta(microseconds=1)) == []
        (second,) = await claim(neighbour, now=NOW + LEASE)
        assert (first.attempt, second.attempt, second.payload, second.due_at) == (1, 2, {"x": HOSTILE}, NOW)

    async def test_a_lane_goes_one_at_a_time_in_the_order_of_putting(self, database: Database) -> None:
        await put_work(database, item("a1", 0, "A"), item("a2", -5, "A"), item("b1", 0, "B"))
        first = await claim(database)
        assert [piece.key for piece in first] == ["a1", "b1"]
        assert await claim(database) == []
        await done(database, first[0])
        assert await claimed_keys(database) == ["a2"]

    async def test_a_lane_waits_for_what_is_not_yet_due(self, database: Database) -> None:
        await put_work(database, item("a1", 5, "A"), item("a2", 0, "A"))
        assert await claim(database) == []
        assert await outlook(database) == (2, NOW + minutes(5))

    async def test_putting_again_replaces_and_keeps_the_place(self, database: Database) -> None:
        await put_work(database, item("a1", 0, "A", text="old"), item("a2", 0, "A"))
        await put_work(database, item("a1", -1, "A", text="new"))
        (first,) = await claim(database)
        assert (first.key, first.payload, first.revision) == ("a1", {"text": "new"}, 2)

    async def test_what_is_put_while_it_is_done_is_done_after(self, database: Database) -> None:
        await put_work(database, item("a", text="old"))
        (old,) = await claim(database)
        await put_work(database, item("a", text="new"))
        assert await claim(database) == []
        await done(database, old)
        (new,) = await claim(database)
        assert (new.payload, new.revision, new.attempt) == ({"text": "new"}, 2, 1)
        await done(database, new)
        assert await outlook(database) == (0, None)

    async def test_trying_again_keeps_the_attempts_and_not_the_lease(self, database: Database) -> None:
        await put_work(database, item("a"))
        (first,) = await claim(database)
        async with database.transaction() as connection:
            await work.again(connection, first, NOW + minutes(0.5), HOSTILE)
        assert await claim(database) == []
        (second,) = await claim(database, now=NOW + minutes(0.5))
        assert second.attempt == 2

    async def test_trying_again_yields_to_what_was_put_meanwhile(self, database: Database) -> None:
        await put_work(database, item("a", text="old"))
        (old,) = await claim(database)
        await put_work(database, item("a", text="new"))
        async with database.transaction() as connection:
            await work.again(connection, old, NOW + minutes(60), "later")
        (new,) = await claim(database)
        assert (new.payload, new.attempt) == ({"text": "new"}, 1)

    async def test_what_is_cancelled_is_forgotten_even_while_it_is_done(self, database: Database) -> None:
        await put_work(database, item("a"), item("b"), item("c"))
        pieces = await claim(database, 1)
        async with database.transaction() as connection:
            await work.cancel(connection, "q", ["a", "b", "unknown"])
        await done(database, pieces[0])
        assert await claimed_keys(database) == ["c"]

    async def test_the_outlook_counts_and_tells_the_next_moment(self, database: Database) -> None:
        assert await outlook(database) == (0, None)
        await put_work(database, item("a", -1), item("b", 5), Item("other", "x", NOW - minutes(9)))
        assert await outlook(database) == (2, NOW - minutes(1))
        await claim(database)
        assert await outlook(database) == (2, NOW + LEASE)

    async def test_nothing_is_fine(self, database: Database) -> None:
        async with database.transaction() as connection:
            await work.put(connection, [])
            await work.cancel(connection, "q", [])

    @asynccontextmanager
    async def working(
        self, database: Database, do: Callable[[Claimed], Awaitable[None]], **more: Any
    ) -> AsyncIterator[tuple[Worker, RuntimeMetrics]]:
        metrics = RuntimeMetrics(CollectorRegistry())
        metrics.declare("test", (), ("q",))
        clock = more.pop("clock", ManualClock(NOW))
        worker = Worker(service="test", queue="q", work=work, database=database, do=do, clock=clock, metrics=metrics, **more)
        running = asyncio.create_task(worker.run())
        yield worker, metrics
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    async def test_a_worker_does_what_becomes_due(self, database: Database) -> None:
        clock, did = ManualClock(NOW), list[str]()

        async def do(piece: Claimed) -> None:
            did.append(piece.key)
            await done(database, piece)

        await put_work(database, item("now"), item("soon", 10))
        async with self.working(database, do, clock=clock):
            await until(lambda: self._left(database, 1))
            clock.advance(minutes(10))
            await until(lambda: self._left(database, 0))
        assert did == ["now", "soon"]

    async def test_a_worker_is_woken_by_what_is_put(self, database: Database) -> None:
        did = list[str]()

        async def do(piece: Claimed) -> None:
            did.append(piece.key)
            await done(database, piece)

        async with self.working(database, do) as (worker, _):
            await put_work(database, item("a"))
            worker.wake()
            await until(lambda: answered(did == ["a"]))

    async def test_a_worker_tries_again_after_a_fault_and_counts_it(self, database: Database) -> None:
        clock, tries = ManualClock(NOW), list[int]()

        async def do(piece: Claimed) -> None:
            tries.append(piece.attempt)
            if piece.attempt == 1:
                raise LookupError
            if piece.attempt == 2:
                raise DatabaseUnavailable
            await done(database, piece)

        async def postponed() -> object:
            due = (await outlook(database))[1]
            return due and NOW < due < clock.now() + LEASE and due != NOW + LEASE

        await put_work(database, item("a"))
        async with self.working(database, do, clock=clock) as (_, metrics):
            for attempt in (1, 2):
                await until(lambda attempt=attempt: answered(len(tries) == attempt))  # type: ignore[misc]
                await until(postponed)
                clock.advance(timedelta(seconds=30))
            await until(lambda: answered(tries == [1, 2, 3]))
            assert metrics.work_failures.labels("test", "q")._value.get() == 1

    async def test_a_worker_does_only_so_many_at_a_time(self, database: Database) -> None:
        busy, most, go = set[str](), 0, asyncio.Event()

        async def do(piece: Claimed) -> None:
            nonlocal most
            busy.add(piece.key)
            most = max(most, len(busy))
            await go.wait()
            busy.discard(piece.key)
            await done(database, piece)

        await put_work(database, *(item(f"{number}") for number in range(10)))
        async with self.working(database, do, width=3):
            await until(lambda: answered(len(busy) == 3))
            go.set()
            await until(lambda: self._left(database, 0))
        assert most == 3

    async def _left(self, database: Database, count: int) -> bool:
        return (await outlook(database))[0] == count


HISTORIES = {"services.orchestrator.store.migrations": orchestrator.metadata, "services.notifier.store.migrations": NOTIFIER}


async def differences(database: Database, wanted: MetaData) -> list[Any]:
    """What the database has and the tables have not, or the other way round."""

    def compare(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, wanted))

    async with database.transaction() as connection:
        return await connection.run_sync(compare)


class MigrationContract:
    """The schema comes about by migrations alone."""

    @pytest.mark.parametrize("history", HISTORIES)
    async def test_the_newest_revision_is_what_the_tables_say(self, empty: Database, history: str) -> None:
        for _ in range(2):
            await migrate(empty, history)
            assert await differences(empty, HISTORIES[history]) == []

    @pytest.mark.parametrize("history", HISTORIES)
    async def test_may_be_run_by_all_at_once(self, empty: Database, empty_neighbour: Database, history: str) -> None:
        await asyncio.gather(*(migrate(on, history) for on in (empty, empty_neighbour) * 3))
        assert await differences(empty, HISTORIES[history]) == []


class Desk:
    """Decides and stores as the orchestrator does."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def take(self, *alerts: Any, now: datetime = NOW) -> Outcome:
        return await self.take_by(POLICY, *alerts, now=now)

    async def take_by(self, policy: Policy, *alerts: Any, now: datetime = NOW) -> Outcome:
        async def windows(_: AsyncConnection) -> Sequence[Maintenance]:
            return ()

        metrics = RuntimeMetrics(CollectorRegistry())
        journal = Journal(
            Outbox("orchestrator", orchestrator.outbox, self.database, MemoryBus(), metrics), Work(orchestrator.work)
        )
        decider = Decider(journal, Surroundings(lambda: policy, windows, dict), ManualClock(now))
        async with self.database.transaction(serial=True) as connection:
            return await decider.decide(connection, alerts)

    async def order(self, name: str, command: ask.Command, now: datetime = NOW) -> Incident:
        async with self.database.transaction(serial=True) as connection:
            incident = await incidents.get(connection, name)
            return await self.carry_out(connection, name, incident, command, now)

    async def carry_out(
        self, connection: AsyncConnection, name: str, incident: Incident | None, command: ask.Command, now: datetime = NOW
    ) -> Incident:
        changes = decide(incident, command, Context(now, POLICY.periods))
        assert not isinstance(changes, Refusal), changes
        after, events = record(name, incident, changes, actor=ANN, reason="because", now=now)
        await incidents.append(connection, events, 1)
        assert after
        return after


def declared(number: int, severity: Severity = Severity.S2, key: str | None = None) -> ask.Open:
    return ask.Open(f"INC-{number}", f"uuid{number}", HOSTILE[:100], severity, correlation_key=key)


class StoreContract:
    """The orchestrator's store."""

    @pytest.fixture
    async def desk(self, empty: Database) -> Desk:
        await migrate(empty, "services.orchestrator.store.migrations")
        return Desk(empty)

    async def test_a_firing_comes_back_as_it_was_decided(self, desk: Desk) -> None:
        alert = an_alert(severity="s2", annotations={"title": HOSTILE}, odd=HOSTILE)
        outcome = await desk.take(alert)
        async with desk.database.read() as connection:
            latest = await firings.latest(connection, [alert.fingerprint, "unknown"])
            assert await firings.history(connection, "unknown") == []
        assert latest == {alert.fingerprint: outcome.began[0]}
        assert latest[alert.fingerprint].decision == outcome.began[0].decision

    async def test_history_is_newest_first_and_one_is_the_latest(self, desk: Desk) -> None:
        first = an_alert()
        again = an_alert(starts_at=NOW + minutes(3))
        await desk.take(first, resolved(first, NOW + minutes(1)), again, now=NOW + minutes(3))
        await desk.take(resolved(again, NOW + minutes(4)), now=NOW + minutes(4))
        await desk.take(an_alert(starts_at=NOW + minutes(5)), now=NOW + minutes(5))
        async with desk.database.read() as connection:
            history = await firings.history(connection, first.fingerprint)
            latest = await firings.latest(connection, [first.fingerprint])
        assert [(f.decision.seq, f.ends_at is None) for f in history if f.decision] == [(3, True), (2, False), (1, False)]
        assert latest[first.fingerprint] == history[0]

    async def test_pages_of_firings(self, desk: Desk) -> None:
        await desk.take(*(an_alert(f"A{number}") for number in range(5)), an_alert("other", env="staging", severity="s4"))
        async with desk.database.read() as connection:

            async def page(**given: Any) -> list[int]:
                asked = {"incident": None, "state": None, "before": None, "limit": 3} | given
                return [f.decision.seq for f in await firings.page(connection, **asked) if f.decision]

            assert await page() == [6, 5, 4]
            assert await page(before=4) == [3, 2, 1]
            assert await page(incident="INC-1") == [5, 4, 3]
            assert await page(state="resolved") == []

    async def test_five_thousand_at_once(self, desk: Desk) -> None:
        await desk.take(*(an_alert(instance=f"web-{number}") for number in range(5_000)))
        outcome = await desk.take(*(an_alert(instance=f"web-{number}", received_at=NOW + minutes(1)) for number in range(5_000)))
        assert (len(outcome.began), len(outcome.changed), outcome.events) == (0, 5_000, [])
        async with desk.database.read() as connection:
            assert (await incidents.next_numbers(connection))[0] == 5_001

    async def test_an_incident_is_what_its_events_say(self, desk: Desk) -> None:
        await desk.take(an_alert(severity="s2"))
        await desk.take(an_alert("Worse"))
        await desk.order("INC-1", ask.PostUpdate(HOSTILE, minutes(5)))
        after = await desk.order("INC-1", ask.Move(Step.RESOLVE))
        async with desk.database.read() as connection:
            assert await incidents.get(connection, "INC-1") == after
            events = await incidents.stored_events(connection, "INC-1")
            lines = await incidents.timeline(connection, "INC-1", 0, 100)
        assert [event.version for event in events] == list(range(1, after.version + 1))
        assert [(line["seq"], line["type"]) for line in lines] == [(event.version, event.type) for event in events]
        assert lines[-2]["text"] == HOSTILE
        assert lines[0]["recorded_at"] == NOW

    async def test_a_timeline_is_read_from_any_line_on(self, desk: Desk) -> None:
        async with desk.database.transaction() as connection:
            incident = await desk.carry_out(connection, "INC-1", None, declared(1))
            for number in range(4):
                incident = await desk.carry_out(connection, "INC-1", incident, ask.AddNote(f"{number}"))
        async with desk.database.read() as connection:
            assert [line["seq"] for line in await incidents.timeline(connection, "INC-1", 2, 2)] == [3, 4]

    async def test_a_version_is_decided_once(self, desk: Desk, empty_neighbour: Database) -> None:
        async with desk.database.transaction() as connection:
            incident = await desk.carry_out(connection, "INC-1", None, declared(1))

        async def note(on: Database, words: str) -> None:
            async with on.transaction() as connection:
                await desk.carry_out(connection, "INC-1", incident, ask.AddNote(words))

        told = await asyncio.gather(note(desk.database, "a"), note(empty_neighbour, "b"), return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in told) == ["IntegrityError", "NoneType"]
        async with desk.database.read() as connection:
            assert len(await incidents.stored_events(connection, "INC-1")) == 2

    async def test_one_open_incident_per_key(self, desk: Desk) -> None:
        async with desk.database.transaction() as connection:
            first = await desk.carry_out(connection, "INC-1", None, declared(1, key=HOSTILE))
        with pytest.raises(IntegrityError):
            async with desk.database.transaction() as connection:
                await desk.carry_out(connection, "INC-2", None, declared(2, key=HOSTILE))
        async with desk.database.transaction() as connection:
            await keys.hold(connection, {HOSTILE: "INC-1"})
            assert await keys.open_holder(connection, HOSTILE) == "INC-1"
            await desk.carry_out(connection, "INC-1", first, ask.Move(Step.RESOLVE))
            assert await keys.open_holder(connection, HOSTILE) is None
            assert await keys.open_holder(connection, None) is None
            assert (await incidents.next_numbers(connection))[1] == 2
            await desk.carry_out(connection, "INC-2", None, declared(2, key=HOSTILE))
            await desk.carry_out(connection, "INC-3", None, declared(3))
            await desk.carry_out(connection, "INC-4", None, declared(4))

    async def test_incidents_by_name_the_open_ones_and_those_that_ended_lately(self, desk: Desk) -> None:
        async with desk.database.transaction() as connection:
            for number, key in enumerate(["open", "recent", "old", "linked", "none of it"], start=1):
                incident = await desk.carry_out(connection, f"INC-{number}", None, declared(number, key=key))
                at = NOW if key == "recent" else NOW - minutes(60)
                if key != "open":
                    await desk.carry_out(connection, incident.id, incident, ask.Move(Step.RESOLVE), at)
            assert sorted(found.id for found in await incidents.named(connection, ["INC-4", "INC-1", "x"])) == ["INC-1", "INC-4"]
            assert await incidents.named(connection, []) == []
            assert [found.id for found in await incidents.open_ones(connection)] == ["INC-1"]
            assert [found.id for found in await incidents.ended_since(connection, NOW - minutes(30))] == ["INC-2"]

    async def test_a_key_has_a_holder_and_evidence_which_change_apart(self, desk: Desk) -> None:
        breadth = Breadth("service", 2, minutes(5))
        group = Group(lesser=(NOW,), openings=(NOW, NOW + minutes(1))).with_value("rule", breadth, HOSTILE, Sighting(NOW, "f"))
        async with desk.database.transaction() as connection:
            assert await keys.load(connection, ["k", HOSTILE]) == ({}, {})
            await keys.keep(connection, {"k": group, HOSTILE: Group(lesser=(NOW,))})
            await keys.hold(connection, {"k": "INC-1", "other": "INC-1"})
            await keys.keep(connection, {HOSTILE: group})
            assert await keys.load(connection, ["k", HOSTILE, "x"]) == ({"k": "INC-1"}, {"k": group, HOSTILE: group})
            await keys.hand_over(connection, "INC-1", "INC-2")
            assert (await keys.load(connection, ["k", "other"]))[0] == {"k": "INC-2", "other": "INC-2"}

    async def test_what_waits_joins_the_incident_of_its_key_and_its_decision_stands(self, desk: Desk) -> None:
        lesser = [an_alert(f"Slow{number}", severity="s3") for number in range(3)]
        await desk.take(*lesser)
        await desk.take(resolved(lesser[2], NOW + minutes(1)), an_alert(env="other", severity="s3"), now=NOW + minutes(1))
        outcome = await desk.take(an_alert(), now=NOW + minutes(2))
        assert [(turn.seq, turn.event, turn.incident) for turn in outcome.turns] == [
            (1, "joined", "INC-1"),
            (2, "joined", "INC-1"),
        ]
        async with desk.database.read() as connection:
            (first,) = await firings.history(connection, lesser[0].fingerprint)
            assert await turns.of(connection, [1, 2, 3]) == {1: [outcome.turns[0]], 2: [outcome.turns[1]]}
            incident = await incidents.get(connection, "INC-1")
        assert first.incident == "INC-1"
        assert first.decision
        assert (first.decision.action, first.decision.incident) == ("record", None)
        assert incident
        assert (incident.alerts.firing, incident.alerts.gating) == (3, 1)

    async def test_a_firing_is_looked_at_again_when_time_may_have_changed_it(self, desk: Desk) -> None:
        slow = SeverityRule("slow-for-long", EVERYTHING, Severity.S2, persists=minutes(30))
        policy = replace(POLICY, severity_rules=(slow,))
        alert = an_alert(severity="s3")
        await desk.take_by(policy, alert)
        async with desk.database.read() as connection:
            assert await firings.next_due(connection) == NOW + minutes(30)
            assert await firings.due(connection, NOW + minutes(29)) == []
        outcome = await desk.take_by(policy, now=NOW + minutes(30))
        assert [(turn.seq, turn.event, turn.incident) for turn in outcome.turns] == [(1, "opened", "INC-1")]
        assert "firing for 30m, rule slow-for-long" in outcome.turns[0].reason
        async with desk.database.read() as connection:
            assert await firings.next_due(connection) is None
            (firing,) = await firings.history(connection, alert.fingerprint)
        assert (firing.incident, firing.severity) == ("INC-1", Severity.S2)
        assert firing.decision
        assert firing.decision.severity is Severity.S3

    async def test_what_is_done_late_is_done_as_of_its_moment_and_recorded_when_it_is_done(self, desk: Desk) -> None:
        slow = SeverityRule("slow-for-long", EVERYTHING, Severity.S2, persists=minutes(30))
        policy = replace(POLICY, severity_rules=(slow,), guard=Rate(1, minutes(10)))
        await desk.take_by(policy, an_alert(severity="s3"))
        outcome = await desk.take_by(policy, an_alert(env="other"), now=NOW + minutes(45))
        assert [(turn.at, turn.incident) for turn in outcome.turns] == [(NOW + minutes(30), "INC-1")]
        assert [(event.occurred_at, event.recorded_at) for event in outcome.events] == [
            (NOW + minutes(30), NOW + minutes(45)),
            (NOW + minutes(45), NOW + minutes(45)),
        ]
        (second,) = outcome.began
        assert second.decision
        assert second.decision.rule == "open-s1-s2", "the guard knows that the other one was opened long before"

    async def test_a_key_changes_hands_within_one_batch(self, desk: Desk) -> None:
        policy = replace(POLICY, rules=(DecisionRule("look-first", EVERYTHING, Action.TRIAGE),))
        first, again = an_alert(severity="s3"), an_alert(severity="s3", starts_at=NOW + minutes(60))
        await desk.take_by(policy, first)
        await desk.take_by(policy, resolved(first, NOW + minutes(1)), now=NOW + minutes(1))
        await desk.take_by(policy, again, now=NOW + minutes(60))
        async with desk.database.read() as connection:
            found = await incidents.named(connection, ["INC-1", "INC-2"])
        assert {incident.id: incident.state for incident in found} == {
            "INC-1": IncidentState.DISMISSED,
            "INC-2": IncidentState.TRIAGE,
        }

    async def test_what_turns_out_to_be_wide_is_looked_at_again_wherever_it_is(self, desk: Desk) -> None:
        wide = SeverityRule("multi-service", EVERYTHING, Severity.S2, breadth=Breadth("service", 3, minutes(10)))
        policy = replace(POLICY, severity_rules=(wide,))
        for number, service in enumerate(["web", "api", "db"]):
            at = NOW + minutes(number)
            outcome = await desk.take_by(policy, an_alert(severity="s3", service=service, starts_at=at), now=at)
        assert [event.incident.id for event in outcome.events] == ["INC-1"]
        async with desk.database.read() as connection:
            assert await firings.next_due(connection) == NOW + minutes(2)
        later = await desk.take_by(policy, now=NOW + minutes(2))
        assert [(turn.seq, turn.event, turn.incident) for turn in later.turns] == [(1, "opened", "INC-2"), (2, "opened", "INC-3")]

    async def test_a_policy_is_kept_under_its_hash_as_it_first_decided(self, desk: Desk) -> None:
        async with desk.database.transaction() as connection:
            assert await policies.kept(connection, ["sha256:a"]) == {}
            assert await policies.keep(connection, "sha256:a", {"rules": [HOSTILE]}, NOW) is False
            assert await policies.keep(connection, "sha256:a", {"rules": []}, NOW + minutes(1)) is True
            kept = await policies.kept(connection, ["sha256:a", "sha256:b"])
        assert kept == {"sha256:a": {"hash": "sha256:a", "first_used_at": NOW, "document": {"rules": [HOSTILE]}}}

    async def test_pages_and_counts_of_incidents(self, desk: Desk) -> None:
        async with desk.database.transaction() as connection:
            for number, severity in enumerate([Severity.S1, Severity.S2, Severity.S2], start=1):
                await desk.carry_out(connection, f"INC-{number}", None, declared(number, severity))
        await desk.order("INC-2", ask.Move(Step.RESOLVE))
        async with desk.database.read() as connection:

            async def page(**given: Any) -> list[str]:
                asked = {"only_open": False, "state": None, "severity": None, "before": None, "limit": 10} | given
                return [incident.id for incident in await incidents.page(connection, **asked)]

            assert await page() == ["INC-3", "INC-2", "INC-1"]
            assert await page(before=3, limit=1) == ["INC-2"]
            assert await page(only_open=True) == ["INC-3", "INC-1"]
            assert await page(state=IncidentState.RESOLVED, severity=Severity.S2) == ["INC-2"]
            assert await incidents.open_by_severity(connection) == {"S1": 1, "S2": 1}

    async def test_an_outcome_told_twice_stands_once(self, desk: Desk) -> None:
        sent = DeliveryOutcome(
            delivery="d", incident="INC-1", channel="slack", destination=HOSTILE, kind="summary", state="sent", at=NOW
        )
        failed = sent.model_copy(update={"state": "failed", "reason": HOSTILE, "at": NOW + minutes(1)})
        for _ in range(2):
            async with desk.database.transaction() as connection:
                await notices.add(connection, [("m1", sent), ("m2", failed), ("m1", sent)])
                await notices.add(connection, [])
        async with desk.database.read() as connection:
            lines = await notices.of(connection, "INC-1")
        assert [(line["seq"], line["recorded_at"], line["reason"]) for line in lines] == [
            (None, NOW, ""),
            (None, NOW + minutes(1), HOSTILE),
        ]

    async def test_answers_are_kept_for_a_day(self, desk: Desk) -> None:
        async with desk.database.transaction() as connection:
            await answers.keep(connection, actor="ann", key=HOSTILE, request="r", status=201, incident="INC-1", now=NOW)
            found = await answers.find(connection, "ann", HOSTILE)
            assert found
            assert (found.request, found.status, found.incident, found.at) == ("r", 201, "INC-1", NOW)
            assert await answers.find(connection, "bob", HOSTILE) is None
            later = NOW + answers.KEPT + timedelta(seconds=1)
            await answers.keep(connection, actor="bob", key="k", request="r", status=200, incident="INC-1", now=later)
            assert await answers.find(connection, "ann", HOSTILE) is None


class DatabaseContract(TransactionContract, OffsetsContract, OutboxContract, WorkContract, MigrationContract, StoreContract):
    """All of it."""


async def broken(database: Database) -> None:
    """Both doors say that the database is away."""
    with pytest.raises(DatabaseUnavailable):
        async with database.read() as connection:
            await connection.execute(select(notes))
    with pytest.raises(DatabaseUnavailable):
        async with database.transaction() as connection:
            await connection.execute(update(notes).values(number=1))
