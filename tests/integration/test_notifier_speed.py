"""Between an event and the call that tells people of it there is little; what may wait makes room for what may not."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import MetaData, event, select, update

from schemas.incidents import AlertsAttached
from services.notifier.channels.slack import SlackChannel
from services.notifier.store.tables import DELIVERIES, THREADS
from services.runtime.clock import Clock, ManualClock
from services.runtime.db import Database
from services.runtime.metrics import RuntimeMetrics
from services.runtime.work import Claimed, Item, Work, Worker, work_table
from tests.integration.notifier_house import House, open_house, until
from tests.support.postgres import PostgresServer
from tests.support.slack import SlackServer
from tests.unit.notifier.events import an_event, an_update

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/a.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.create_database()


@pytest.fixture
async def house(tmp_path: Path, url: str) -> AsyncIterator[House]:
    async with SlackServer() as slack, open_house(tmp_path, slack, url=url) as house:
        yield house


@contextmanager
def watched(database: Database, log: list[str]) -> Iterator[None]:
    """Writes down the statements and commits of the database's writer."""
    engine = database._writer.sync_engine

    def statement(_c: Any, _cursor: Any, text: str, *_: Any) -> None:
        log.append(text.split(maxsplit=1)[0])

    def commit(_: Any) -> None:
        log.append("COMMIT")

    event.listen(engine, "before_cursor_execute", statement)
    event.listen(engine, "commit", commit)
    yield
    event.remove(engine, "before_cursor_execute", statement)
    event.remove(engine, "commit", commit)


async def test_two_transactions_lie_between_an_event_and_its_first_post(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.tell(an_event(id="INC-1"))
    await house.ended("slack", "sent")
    await asyncio.sleep(0.2)
    real, log = SlackChannel.post, list[str]()

    async def post(*arguments: Any, **named: Any) -> Any:
        log.append("POST")
        return await real(*arguments, **named)

    monkeypatch.setattr(SlackChannel, "post", post)
    with watched(house.database, log):
        await house.tell(an_event(id="INC-2"))
        await house.slack.wait_for(lambda slack: len(slack.calls) == 2)
    before = log[: log.index("POST")]
    assert before.count("COMMIT") == 2
    assert sum(word in {"INSERT", "UPDATE", "DELETE"} for word in before) == 7
    assert before.count("SELECT") <= 2, "what is to be sent; PostgreSQL may see the worker's look at its queue too"


async def test_a_storm_of_changes_becomes_one_edit(house: House) -> None:
    await house.tell(an_event())
    await house.ended("slack", "sent")
    for version in range(2, 8):
        await house.tell(an_event(AlertsAttached(count=version, gating=0), version=version, title=f"state {version}"))
        await house.counted("slack", sent=1, pending=version - 1)
        house.advance(0.02)
    house.advance(0.08)
    await house.ended("slack", "sent", *["superseded"] * 5, "sent")
    assert [call.method for call in house.slack.calls].count("chat.update") == 1
    assert "state 7" in str(house.slack.messages()[0])


async def test_a_reply_never_waits_for_an_edit_that_may(house: House) -> None:
    await house.tell(an_event())
    await house.ended("slack", "sent")
    await house.tell(an_event(AlertsAttached(count=2, gating=0), version=2))
    await house.counted("slack", sent=1, pending=1)
    await house.tell(an_update("we roll back", 3))
    await house.ended("slack", "sent", "superseded", "sent", "sent")


@pytest.fixture
async def queue(url: str) -> AsyncIterator[tuple[Database, Work]]:
    metadata = MetaData()
    work, database = Work(work_table(metadata)), Database(url, "public")
    async with database.transaction() as connection:
        await connection.run_sync(metadata.create_all)
    yield database, work
    await database.stop()


def item(seconds: float) -> Item:
    return Item("q", "a", NOW + timedelta(seconds=seconds))


async def test_putting_again_may_keep_the_earlier_moment_of_what_still_waits(queue: tuple[Database, Work]) -> None:
    database, work = queue
    async with database.transaction() as connection:
        await work.put(connection, [item(1)])
        await work.put(connection, [item(5)], never_later=True)
        assert (await work.outlook(connection, "q"))[1] == NOW + timedelta(seconds=1)
        await work.put(connection, [item(-1)], never_later=True)
        assert (await work.outlook(connection, "q"))[1] == NOW - timedelta(seconds=1)
        await work.put(connection, [item(3)])
        assert (await work.outlook(connection, "q"))[1] == NOW + timedelta(seconds=3)


async def test_what_is_being_done_has_had_its_moment(queue: tuple[Database, Work]) -> None:
    database, work = queue
    async with database.transaction() as connection:
        await work.put(connection, [item(0)])
        [piece] = await work.claim(connection, "q", 1, NOW)
        await work.put(connection, [item(5)], never_later=True)
        await work.done(connection, piece)
        assert (await work.outlook(connection, "q"))[1] == NOW + timedelta(seconds=5)


async def test_a_worker_claims_only_when_something_is_due(queue: tuple[Database, Work]) -> None:
    database, work = queue
    did, clock, log = list[str](), ManualClock(NOW), list[str]()

    async def do(piece: Claimed) -> None:
        did.append(piece.key)
        async with database.transaction() as connection:
            await work.done(connection, piece)

    metrics = RuntimeMetrics(CollectorRegistry())
    worker = Worker(service="t", queue="q", work=work, database=database, do=do, clock=clock, metrics=metrics)
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(0.2)
    with watched(database, log):
        async with database.transaction() as connection:
            await work.put(connection, [item(0)])
        worker.wake()
        await until(lambda: _is(did == ["a"]))
        await asyncio.sleep(0.3)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert log.count("COMMIT") == 3, "put, claim, done"


async def _is(holds: bool) -> bool:
    return holds


async def test_time_is_real_without_a_clock_that_is_moved_by_hand(tmp_path: Path) -> None:
    async with SlackServer() as slack, open_house(tmp_path, slack, clock=Clock()) as house:
        await house.tell(an_event())
        await house.ended("slack", "sent")
        await house.tell(an_event(AlertsAttached(count=2, gating=0), version=2, title="changed"))
        await house.ended("slack", "sent", "sent")


@pytest.mark.parametrize("url", ["postgres"], indirect=True)  # SQLite has one writer, so nobody else changes anything
async def test_what_somebody_else_changes_is_left_for_a_moment_and_nobody_waits(house: House) -> None:
    """Else a batch that holds the thread and waits for the work, and a claim the other way round, would wait for each other."""
    house.slack.faults.append("429(60)")
    await house.tell(an_event())
    await house.ended("slack", "waiting")
    async with house.database.transaction() as held:
        await held.execute(select(THREADS).with_for_update())
        house.advance(61)
        await asyncio.sleep(0.2)
        [delivery] = await house.deliveries(state="pending")
        assert (delivery["channel"], delivery["attempts"]) == ("slack", 1)
    await house.ended("slack", "sent")


async def test_a_delivery_that_cannot_be_read_does_not_keep_the_others(house: House) -> None:
    house.slack.faults.append("429(60)")
    await house.tell(an_event())
    await house.ended("slack", "waiting")
    async with house.database.transaction() as connection:
        broken = update(DELIVERIES).where(DELIVERIES.c.channel == "slack")
        await connection.execute(broken.values(content='{"not": "ours"}'))
    house.advance(61)
    await house.tell(an_event(id="INC-43"))
    await until(lambda: _posted(house))
    assert house.metric("tocsin_work_failures_total", service="notifier", queue="deliveries") >= 1


async def _posted(house: House) -> bool:
    return len(house.slack.messages()) == 1 and "INC-43" in str(house.slack.messages()[0])
