"""The embedded bus keeps the contract; and what only it promises."""

import asyncio
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.topics import ALERTS, DEADLETTERS
from services.runtime.bus.port import Message, TopicPartition
from services.runtime.bus.sqlite import SqliteBus, open_readonly
from services.runtime.clock import Clock, ManualClock
from services.runtime.errors import BusUnavailable
from tests.contract.bus_contract import BusContract, Patient, Reader, alerts, name, refused, until_available

KEEPER = TopicPartition(DEADLETTERS, 0)


class Locked(Patient):
    """Somebody else holds the file's write lock."""

    bound = 1.0

    def __init__(self, path: Path) -> None:
        self.bus = SqliteBus(path, Clock(), partitions=4, publish_timeout=self.bound)
        self._path = path
        self._intruder: sqlite3.Connection | None = None

    async def hurt(self) -> None:
        self._intruder = sqlite3.connect(self._path, isolation_level=None)
        self._intruder.execute("BEGIN IMMEDIATE")

    async def heal(self) -> None:
        if self._intruder is not None:
            self._intruder.close()
            self._intruder = None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.db"


class TestSqliteBus(BusContract):
    """The embedded bus."""

    @pytest.fixture
    async def bus(self, path: Path) -> AsyncIterator[SqliteBus]:
        bus = SqliteBus(path, Clock(), partitions=4)
        await bus.start()
        yield bus
        await bus.stop()

    @pytest.fixture
    async def patient(self, path: Path) -> AsyncIterator[Locked]:
        patient = Locked(path)
        await patient.bus.start()
        yield patient
        await patient.heal()
        await patient.bus.stop()


@pytest.fixture
async def bus(path: Path) -> AsyncIterator[SqliteBus]:
    bus = SqliteBus(path, Clock())
    await bus.start()
    yield bus
    await bus.stop()


async def test_calls_that_wait_together_share_a_commit(bus: SqliteBus) -> None:
    await asyncio.gather(*(bus.publish(alerts(1)) for _ in range(1_000)))
    assert bus.commits < 50


async def test_what_was_published_is_there_after_a_restart(path: Path, bus: SqliteBus) -> None:
    await bus.publish(alerts(10, key="k"))
    await bus.stop()
    again = SqliteBus(path, Clock())
    await again.start()
    await again.publish([Message(ALERTS, "k", b"10")])
    reader = Reader(again, name(), {})
    await reader.until(lambda: len(reader.seen) >= 11)
    assert [(n, b"%d" % n) for n in range(11)] == [(record.offset, record.value) for record in reader.seen]
    await again.stop()


async def test_a_stopped_bus_gives_nothing_to_read_and_says_so(bus: SqliteBus) -> None:
    reader = Reader(bus, name(), {})
    await bus.publish(alerts(1))
    await reader.until(lambda: bool(reader.seen))
    waiting = asyncio.create_task(reader.subscription.fetch(1, 30.0))
    await asyncio.sleep(0.05)
    await bus.stop()
    with pytest.raises(BusUnavailable, match="stopped"):
        await asyncio.wait_for(waiting, 1.0)
    with pytest.raises(BusUnavailable, match="stopped"):
        await reader.subscription.fetch(1, 0.1)
    await bus.start()
    await bus.publish(alerts(1))
    await reader.until(lambda: len(reader.seen) == 2)


async def test_a_bus_that_is_not_started_says_so_to_readers(path: Path) -> None:
    reader = Reader(SqliteBus(path, Clock()), name(), {})
    with pytest.raises(BusUnavailable, match="not started"):
        await reader.subscription.fetch(1, 0.1)


async def test_a_reader_far_behind_reads_from_the_file(bus: SqliteBus) -> None:
    for start in range(0, 20_000, 5_000):
        await bus.publish([Message(ALERTS, "k", b"%d" % n) for n in range(start, start + 5_000)])
    reader = Reader(bus, name(), {})
    await reader.until(lambda: len(reader.seen) >= 20_000)
    assert list(range(20_000)) == [int(value) for value in reader.values()]


async def test_a_topic_keeps_the_partitions_it_was_made_with(path: Path, bus: SqliteBus) -> None:
    await bus.stop()
    wider = SqliteBus(path, Clock(), partitions=8)
    await wider.start()
    assert {1} == {partitions for _, partitions, _ in await wider.describe()}
    await wider.stop()


async def test_records_older_than_the_retention_are_forgotten(path: Path) -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    bus = SqliteBus(path, clock)
    await bus.start()
    await bus.publish(alerts(2_500, key="old"))
    clock.advance(timedelta(days=6))
    await bus.publish(alerts(3, key="young"))
    clock.advance(timedelta(days=2))
    await bus.trim()
    reader = Reader(bus, name(), {TopicPartition(ALERTS, 0): 7})
    await reader.until(lambda: len(reader.seen) >= 3)
    assert [record.offset for record in reader.seen] == [2_500, 2_501, 2_502]
    clock.advance(timedelta(days=30))
    await bus.trim()
    await bus.stop()
    again = SqliteBus(path, clock)
    await again.start()
    await again.publish(alerts(1, key="new"))
    assert [record.offset for record in await again.load(TopicPartition(ALERTS, 0), 0, 10)] == [2_503]
    await again.stop()


@pytest.fixture
def small_disk(path: Path) -> Iterator[None]:
    """Files of this process may not grow beyond 2 MiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_disk")
async def test_refuses_while_the_disk_takes_no_more_and_works_again_afterwards(path: Path, bus: SqliteBus) -> None:
    accepted = 0
    with pytest.raises(BusUnavailable):
        while accepted < 1_000:
            await bus.publish(alerts(1, key="k", size=20_000))
            accepted += 1
    assert bus.available() is not None
    assert await refused(bus) < 0.01
    reader = Reader(bus, name(), {})
    await reader.until(lambda: len(reader.seen) >= accepted)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    await until_available(bus)
    await bus.publish([Message(ALERTS, "k", b"after")])
    await reader.until(lambda: b"after" in reader.values())
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone()[0] == "ok"


async def test_a_folder_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    bus = SqliteBus(tmp_path / "missing" / "bus.db", Clock(), publish_timeout=1.0)
    with pytest.raises(BusUnavailable, match="unable to open"):
        await bus.start()


_WRITER = """
import asyncio, sys
from pathlib import Path
from schemas.topics import DEADLETTERS
from services.runtime.bus.port import Message
from services.runtime.bus.sqlite import SqliteBus
from services.runtime.clock import Clock

async def write(bus, writer):
    n = 0
    while True:
        await bus.publish([Message(DEADLETTERS, str(writer), f"{writer} {n}".encode())])
        print(writer, n, flush=True)
        n += 1

async def main():
    bus = SqliteBus(Path(sys.argv[1]), Clock())
    await bus.start()
    if sys.argv[2] == "once":
        await bus.publish([Message(DEADLETTERS, "k", b"0 0")])
        return
    await asyncio.gather(*(write(bus, writer) for writer in range(8)))

asyncio.run(main())
"""


def _child(path: Path, how: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", _WRITER, str(path), how], stdout=subprocess.PIPE)


def _stored(path: Path) -> set[bytes]:
    log = open_readonly(path)
    try:
        return {record.value for record in log.read(KEEPER, 0, 1_000_000)}
    finally:
        log.close()


def test_kill_9_loses_nothing_that_was_acknowledged(path: Path) -> None:
    for _ in range(3):
        child = _child(path, "forever")
        assert child.stdout is not None
        acknowledged = {child.stdout.readline().strip() for _ in range(300)}
        child.send_signal(signal.SIGKILL)
        acknowledged |= {line.strip() for line in child.stdout if line.endswith(b"\n")}
        child.stdout.close()
        child.wait(10)
        assert acknowledged <= _stored(path)


def test_a_process_that_forgets_to_stop_it_ends_all_the_same(path: Path) -> None:
    child = _child(path, "once")
    assert child.wait(20) == 0
    assert child.stdout is not None
    child.stdout.close()
    assert {b"0 0"} == _stored(path)


_LOOK = """
import sys
from pathlib import Path
from services.runtime.bus.port import TopicPartition
from services.runtime.bus.sqlite import open_readonly

log = open_readonly(Path(sys.argv[1]))
print(log.read(TopicPartition("tocsin.deadletters", 0), 3, 9)[0].value.decode())
"""


async def test_another_process_may_look_while_it_runs(path: Path, bus: SqliteBus) -> None:
    await bus.publish([Message(DEADLETTERS, "k", b"%d" % n) for n in range(5)])
    looked = await asyncio.create_subprocess_exec(sys.executable, "-c", _LOOK, str(path), stdout=asyncio.subprocess.PIPE)
    output, _ = await looked.communicate()
    assert output.strip() == b"3"
