"""The bus: the contract that both implementations keep and `tests/contract/bus_contract.py` checks.

**Publishing.** `publish` returns when every message is durable (Kafka: acknowledged by all in-sync replicas; SQLite:
fsynced) and raises `BusUnavailable` otherwise, within `publish_timeout` seconds, always. After a failure any part of the
messages may or may not have been written, even later (a *ghost*): readers recognise repeats by the envelope's id. Messages
of one key stay in the order of the calls and of the sequence. While the bus is known to be away `publish` fails at once;
the implementation probes in the background until it is back. Many concurrent calls share one write.

**Order.** All messages of a key go to one partition (`partition_of`), whose offsets only grow. They may have gaps.

**Reading.** A subscription belongs to a group; each partition is read by one member of a group at a time, and moves when
members come and go. On every assignment the subscription asks `positions` where to begin: the reader's own database is the
authority on what has been handled; a partition that is missing there begins at the oldest record kept. `fetch` returns
records of any assigned partitions, per partition in order and without holes, and never the same record twice until
`rewind` or a new assignment. A batch is *in flight* from `fetch` until `settle` or `rewind`; a partition is not given to
another member before that (bounded in time, since the compare-and-set of offsets is what really keeps a batch from
counting twice). `settle` also tells lag tools how far the group is; nothing else ever reads that. `rewind` goes back to
what `positions` says now.

**Trouble.** Bytes in, bytes out: a record is never refused here; bytes of its key that are no UTF-8 are written out.
`fetch` raises `BusUnavailable` while the bus is away and works again by itself when it is back: clients are recreated as
needed. `stop` and `close` return within seconds even when the bus is dead.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from zlib import crc32

from schemas.topics import Topic


class TopicPartition(NamedTuple):
    """One ordered log."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Message:
    """What is published."""

    topic: str
    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """What is read."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes
    timestamp: datetime

    @property
    def place(self) -> TopicPartition:
        return TopicPartition(self.topic, self.partition)


def text_of(key: bytes) -> str:
    """A key as text that can be written anywhere: what is no UTF-8 is written out, like `\\xff`."""
    return key.decode("utf-8", "backslashreplace")


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key. Every writer of every release must agree on this."""
    return crc32(key.encode("utf-8", "surrogatepass")) % partitions


Positions = Callable[[Sequence[TopicPartition]], Awaitable[Mapping[TopicPartition, int]]]
"""Tells for each asked partition the offset to read next; partitions never read are left out."""


class Subscription(ABC):
    """A member of a reading group. Not for concurrent use: one task fetches, handles, settles."""

    @abstractmethod
    async def fetch(self, limit: int, timeout: float) -> list[Record]:
        """At most `limit` records; waits up to `timeout` seconds for the first and never for more. Empty when none came."""

    @abstractmethod
    async def settle(self, records: Sequence[Record]) -> None:
        """The batch is handled; its offsets are in the reader's database."""

    @abstractmethod
    async def rewind(self) -> None:
        """The batch is not handled: read again from what `positions` says."""

    @abstractmethod
    def pause(self, places: Sequence[TopicPartition]) -> None:
        """Fetch nothing from these partitions until `resume`."""

    @abstractmethod
    def resume(self, places: Sequence[TopicPartition]) -> None:
        """Fetch from these partitions again."""

    @abstractmethod
    def assigned(self) -> frozenset[TopicPartition]:
        """The partitions this member reads now."""

    @abstractmethod
    def joined(self) -> bool:
        """Whether the group has answered at least once; the answer may be that others read everything."""

    @abstractmethod
    async def lag(self) -> Mapping[TopicPartition, int]:
        """Records not yet fetched, per assigned partition; cheap enough to be asked every few seconds."""

    @abstractmethod
    async def close(self) -> None:
        """Leave the group."""


class Bus(ABC):
    """See the module's docstring."""

    @abstractmethod
    async def start(self) -> None:
        """Connect and make the topics that are missing; raises `BusUnavailable` when that fails."""

    @abstractmethod
    async def stop(self) -> None:
        """Give everything back, within seconds."""

    @abstractmethod
    async def publish(self, messages: Sequence[Message]) -> None:
        """Make the messages durable or raise `BusUnavailable`."""

    @abstractmethod
    def subscribe(self, group: str, topics: Sequence[str], positions: Positions) -> Subscription:
        """Join a group; the connection is made by the first `fetch`."""

    @abstractmethod
    def available(self) -> str | None:
        """None when publishing is expected to work now, else the reason in words."""

    @abstractmethod
    async def describe(self) -> list[tuple[Topic, int, int]]:
        """For each of our topics as it exists: the topic, its partitions, its replication; for `doctor`."""

    @abstractmethod
    async def read(self, topic: str, after: int, limit: int) -> list[Record]:
        """Records of a one-partition topic with offset > `after`, outside any group; for looking at dead letters."""
