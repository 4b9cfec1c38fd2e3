"""The embedded log's file: one table, one writing thread, read-only readers.

A record's row id is `place << 40 | offset`, so a partition is a range of ids: appending, reading and trimming need no
other index. Several processes may read; exactly one may write (the storage folder's lock sees to that), since SQLite's
write-ahead log was not safe with several checkpointing connections before 3.51.3.
"""

import queue
import sqlite3
import threading
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TypeVarTuple

import structlog

from services.runtime.bus.port import Record, TopicPartition, text_of

log = structlog.get_logger()

Told = TypeVarTuple("Told")

SHIFT = 40
GROUP = 5_000
"""Most messages in one commit."""
TRIM = 1_000
"""Most records deleted in one commit, so that publishing never waits long behind retention."""
READ_BYTES = 8 << 20
"""A read stops after so many bytes of values."""
PROBE_EVERY = 0.5
"""Seconds between two tries to write while the storage refuses."""

# Many rows per statement: the sqlite3 module gives the interpreter lock away at every step and may wait 5 ms to get it back
# from a busy event loop. Powers of two, so that a few prepared statements serve every group.
_INSERT = [f"INSERT INTO records (id, at, key, value) VALUES {', '.join(['(?, ?, ?, ?)'] * (1 << n))}" for n in range(9)]  # noqa: S608  # only marks
# For the same reason a read is one row of text.
_READ = """
SELECT group_concat(id || ',' || at || ',' || hex(key) || ',' || hex(value), ';') FROM (
    SELECT id, at, key, value, sum(length(value)) OVER (ORDER BY id) - length(value) AS before FROM (
        SELECT id, at, key, value FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?
    )
) WHERE before < ?
"""
_BOUNDS = """
SELECT (SELECT min(id) FROM records WHERE id >= ?1 AND id < ?2), (SELECT max(id) FROM records WHERE id >= ?1 AND id < ?2)
"""
_OLD = """
SELECT min(CASE WHEN at >= ? THEN id END), max(id), count(*) FROM (
    SELECT id, at FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?
)
"""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS places (
    number INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL,
    trimmed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (topic, partition)
) STRICT;
CREATE TABLE IF NOT EXISTS records (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS probe (id INTEGER PRIMARY KEY, ballast BLOB NOT NULL) STRICT;
"""


@dataclass(slots=True)
class Place:
    """One partition in the file: records `first` to `end` - 1 are there."""

    number: int
    first: int
    end: int


Places = dict[TopicPartition, Place]


@dataclass(slots=True)
class Append:
    """The messages of one call; `at` in microseconds since 1970; `done` is resolved on the loop."""

    messages: list[tuple[TopicPartition, str, bytes]]
    at: int
    done: "Future[None]"


@dataclass(slots=True)
class Trim:
    """Forget what is older than these times (microseconds since 1970), by topic."""

    before: dict[str, int]
    done: "Future[None]"


@dataclass(frozen=True)
class Listener:
    """What the writer tells, on the loop; one call per commit."""

    landed: Callable[[list[Append], list[Record]], None]
    refused: Callable[[list[Append | Trim], str], None]
    opened: Callable[[Places], None]
    trimmed: Callable[[Trim, Places], None]


def load_places(connection: sqlite3.Connection) -> Places:
    """Every partition of the file with its bounds."""
    places = {}
    rows = connection.execute("SELECT number, topic, partition, trimmed FROM places").fetchall()
    for number, topic, partition, trimmed in rows:
        low = number << SHIFT
        first, last = connection.execute(_BOUNDS, (low, low + (1 << SHIFT))).fetchone()
        place = Place(number, trimmed, trimmed) if last is None else Place(number, first - low, last - low + 1)
        places[TopicPartition(topic, partition)] = place
    return places


class Reader:
    """A read-only connection; to be used by one thread at a time. Raises `sqlite3.Error`."""

    def __init__(self, path: Path) -> None:
        address = f"{path.absolute().as_uri()}?mode=ro"
        self._connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA query_only = ON")
        self._connection.execute("PRAGMA busy_timeout = 4000")
        self._places = load_places(self._connection)

    def read(self, place: TopicPartition, start: int, limit: int) -> list[Record]:
        """At most `limit` records from offset `start` on, and not many more bytes than `READ_BYTES`."""
        if place not in self._places:
            return []
        low = self._places[place].number << SHIFT
        (text,) = self._connection.execute(_READ, (low + start, low + (1 << SHIFT), limit, READ_BYTES)).fetchone()
        rows = [line.split(",") for line in text.split(";")] if text else []
        return [_record(place, int(id_) - low, int(at), bytes.fromhex(key), bytes.fromhex(value)) for id_, at, key, value in rows]

    def close(self) -> None:
        self._connection.close()


def _record(place: TopicPartition, offset: int, at: int, key: bytes, value: bytes) -> Record:
    return Record(place.topic, place.partition, offset, text_of(key), value, datetime.fromtimestamp(at / 1e6, UTC))


@dataclass
class Writer:
    """The thread that owns the only writing connection. Whatever waits when it is free goes into one transaction."""

    path: Path
    topics: dict[str, int]
    loop: AbstractEventLoop
    listener: Listener
    commits: int = 0
    _jobs: "queue.SimpleQueue[Append | Trim | None]" = field(default_factory=queue.SimpleQueue)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _places: Places = field(default_factory=dict)

    def start(self) -> None:
        # A daemon: a process that ends without `stop` loses nothing that was acknowledged, and must not hang.
        self._thread = threading.Thread(target=self._run, name="bus-writer", daemon=True)
        self._thread.start()

    def put(self, job: Append | Trim) -> None:
        self._jobs.put(job)

    def stop(self, patience: float) -> bool:
        """Write what waits and end; False when the storage did not let it within `patience` seconds. Blocks."""
        self._stopping.set()
        self._jobs.put(None)
        if self._thread is not None:
            self._thread.join(patience)
        return self._thread is None or not self._thread.is_alive()

    def _run(self) -> None:
        connection = self._open_patiently()
        while connection is not None and not (self._stopping.is_set() and self._jobs.empty()):
            appends, trims = self._take()
            undone: list[Append | Trim] = [*appends, *trims]
            try:
                if appends:
                    self._append(connection, appends)
                    undone = [*trims]
                for trim in trims:
                    self._trim(connection, trim)
            except Exception as error:  # the edge of the thread: callers must hear of it, and the thread must live
                log.exception("bus.write_failed", path=str(self.path))
                _close(connection)
                self._refuse(undone, error)
                connection = self._open_patiently()
        if connection is not None:
            _close(connection)

    def _open_patiently(self) -> sqlite3.Connection | None:
        """A connection that can write; None when stopped before there was one."""
        while True:
            try:
                return self._open()
            except sqlite3.Error as error:
                appends, trims = self._take(block=False)
                self._refuse([*appends, *trims], error)
            if self._stopping.wait(PROBE_EVERY):
                return None

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=4.0)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            connection.executescript(_SCHEMA)
            connection.execute("BEGIN IMMEDIATE")
            self._make_places(connection)
            # Proves that there is room for more than a page.
            connection.execute("REPLACE INTO probe (id, ballast) VALUES (1, randomblob(65536))")
            connection.execute("COMMIT")
            self._places = load_places(connection)
        except BaseException:
            _close(connection)
            raise
        self._tell(self.listener.opened, _copy(self._places))
        return connection

    def _make_places(self, connection: sqlite3.Connection) -> None:
        # A topic keeps the partitions it was made with: with others, a key would change its partition and lose its order.
        known = {topic for (topic,) in connection.execute("SELECT DISTINCT topic FROM places").fetchall()}
        rows = [(topic, n) for topic, count in self.topics.items() if topic not in known for n in range(count)]
        connection.executemany("INSERT INTO places (topic, partition) VALUES (?, ?)", rows)

    def _take(self, block: bool = True) -> tuple[list[Append], list[Trim]]:
        """Everything that waits, up to a group."""
        appends: list[Append] = []
        trims: list[Trim] = []
        size = 0
        with suppress(queue.Empty):
            while size < GROUP:
                job = self._jobs.get(block=block)
                block = False
                if isinstance(job, Append):
                    appends.append(job)
                    size += len(job.messages)
                elif job is not None:
                    trims.append(job)
        return appends, trims

    def _append(self, connection: sqlite3.Connection, jobs: list[Append]) -> None:
        ends: dict[TopicPartition, int] = {}
        rows: list[tuple[int, int, bytes, bytes]] = []
        records: list[Record] = []
        for job in jobs:
            when = datetime.fromtimestamp(job.at / 1e6, UTC)
            for place, key, value in job.messages:
                offset = ends.get(place, self._places[place].end)
                ends[place] = offset + 1
                raw = key.encode("utf-8", "surrogatepass")
                rows.append((self._places[place].number << SHIFT | offset, job.at, raw, value))
                records.append(Record(place.topic, place.partition, offset, text_of(raw), value, when))
        connection.execute("BEGIN IMMEDIATE")
        _insert(connection, rows)
        connection.execute("COMMIT")
        for place, end in ends.items():
            self._places[place].end = end
        self.commits += 1
        self._tell(self.listener.landed, jobs, records)

    def _trim(self, connection: sqlite3.Connection, job: Trim) -> None:
        """One step; the job goes to the end of the queue until nothing is left to do."""
        full = [_trim_place(connection, place, job.before[tp.topic]) for tp, place in self._places.items()]
        if any(full) and not self._stopping.is_set():
            self._jobs.put(job)
        else:
            self._tell(self.listener.trimmed, job, _copy(self._places))

    def _refuse(self, jobs: list[Append | Trim], error: Exception) -> None:
        self._tell(self.listener.refused, jobs, f"the storage does not take writes: {error}")

    def _tell(self, what: Callable[[*Told], None], *arguments: *Told) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self.loop.call_soon_threadsafe(what, *arguments)


def _insert(connection: sqlite3.Connection, rows: list[tuple[int, int, bytes, bytes]]) -> None:
    done = 0
    while done < len(rows):
        power = min(len(_INSERT), (len(rows) - done).bit_length()) - 1
        connection.execute(_INSERT[power], [*chain.from_iterable(rows[done : done + (1 << power)])])
        done += 1 << power


def _trim_place(connection: sqlite3.Connection, place: Place, before: int) -> bool:
    """Forget the oldest records up to the first that is young enough; True when there may be more to forget."""
    low = place.number << SHIFT
    high = low + (1 << SHIFT)
    young, last, seen = connection.execute(_OLD, (before, low, high, TRIM)).fetchone()
    if seen == 0 or young == low + place.first:
        return False
    first = (last + 1 if young is None else young) - low
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM records WHERE id >= ? AND id < ?", (low, low + first))
    connection.execute("UPDATE places SET trimmed = ? WHERE number = ?", (first, place.number))
    connection.execute("COMMIT")
    place.first = first
    return young is None and bool(seen == TRIM)


def _copy(places: Places) -> Places:
    return {place: replace(state) for place, state in places.items()}


def _close(connection: sqlite3.Connection) -> None:
    # Closing rolls back; on a full disk even that may complain, and there is nothing more to do about it.
    with suppress(sqlite3.Error):
        connection.close()
