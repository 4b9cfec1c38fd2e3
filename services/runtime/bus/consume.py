"""The reading loop: fetch, decode, handle in one transaction with the offsets, settle.

Poison (what the decoder refuses) goes to the dead letters and is passed. Everything else that fails is tried again in
place for ever: the bus away, the database away, or a fault of ours, which the metrics and `/-/ready` show. More than 100
refusals in the last 1,000 records of a partition look like a bad deployment, not like bad messages: it rests for 30 s.
"""

import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.base import Contract
from schemas.catalogue import Refused, decode
from schemas.envelope import Envelope
from schemas.ids import digest
from services.runtime.bus.port import Bus, Message, Record, Subscription, TopicPartition
from services.runtime.clock import Clock
from services.runtime.db import Database
from services.runtime.deadletters import Place, dead_letter
from services.runtime.errors import BusUnavailable, DatabaseUnavailable, StaleBatch
from services.runtime.finish import finish
from services.runtime.metrics import RuntimeMetrics
from services.runtime.offsets import Offsets
from services.runtime.retry import Backoff

log = structlog.get_logger(__name__)

BATCH = 500
QUICK_LOOK = 0.05
"""Seconds; after trouble a look with nothing to read is good news, and should not take long."""
LETTERS = 20
"""Dead letters in one call: each may be large, and a call has only so much time and room."""
POISON_LIMIT, POISON_WINDOW, POISON_REST = 100, 1000, 30.0


@dataclass(frozen=True, slots=True)
class Delivered:
    """A record that fits the contract."""

    record: Record
    envelope: Envelope
    data: Contract


Handler = Callable[[AsyncConnection, Sequence[Delivered]], Awaitable[Callable[[], None] | None]]
"""Handles a batch inside the transaction; what it returns is called after the commit (to wake somebody)."""


@dataclass
class PoisonWatch:
    """Remembers the last records of a partition and tells when too many of them were refused."""

    seen: deque[bool] = field(default_factory=lambda: deque(maxlen=POISON_WINDOW))

    def note(self, refused: bool) -> bool:
        """Note one record; True when the partition must rest."""
        self.seen.append(refused)
        return refused and sum(self.seen) > POISON_LIMIT


class Consumer:
    """One service's reader of some topics."""

    def __init__(
        self,
        *,
        service: str,
        bus: Bus,
        database: Database,
        offsets: Offsets,
        topics: Sequence[str],
        handler: Handler,
        serial: bool,
        clock: Clock,
        metrics: RuntimeMetrics,
    ) -> None:
        self._service, self._bus, self._database, self._offsets = service, bus, database, offsets
        self._handler, self._serial, self._clock, self._metrics = handler, serial, clock, metrics
        self._topics = tuple(topics)
        self._watch: dict[TopicPartition, PoisonWatch] = {}
        self._resting: dict[TopicPartition, float] = {}
        self._backoff, self._dice, self._lag_due = Backoff(first=0.1, most=10.0), Random(), 0.0
        self.trouble: str | None = "not started"

    async def run(self) -> None:
        """Read until cancelled. A batch whose transaction was not committed is read again by the next reader."""
        positions = self._offsets.positions(self._database)
        subscription = self._bus.subscribe(f"tocsin-{self._service}", self._topics, positions)
        failures = 0
        try:
            while True:
                cause = await self._attempt(subscription)
                failures = failures + 1 if cause else 0
                if cause:
                    self._metrics.batch_failures.labels(self._service, cause).inc()
                    await self._clock.sleep(0.0 if cause == "stale" else self._backoff.wait(failures, self._dice))
        finally:
            await subscription.close()

    async def _attempt(self, subscription: Subscription) -> str | None:
        """One batch. Returns the cause when it failed."""
        try:
            await self._look_around(subscription)
            records = await subscription.fetch(BATCH, timeout=QUICK_LOOK if self.trouble else 1.0)
            if records:
                await finish(self._handle(subscription, records))
            # Before its group has answered, nothing to read says nothing.
            self.trouble = None if subscription.joined() else "joining its group of readers"
            return None
        except StaleBatch:
            cause, self.trouble = "stale", None
        except BusUnavailable as error:
            cause, self.trouble = "bus", error.detail
        except DatabaseUnavailable as error:
            cause, self.trouble = "database", error.detail
        except Exception as error:  # the edge of the loop: counted, logged, tried again
            cause, self.trouble = "unexpected", f"{type(error).__name__} while handling a batch"
            log.exception("batch_failed", service=self._service)
        with contextlib.suppress(BusUnavailable, DatabaseUnavailable):
            await subscription.rewind()
        return cause

    async def _handle(self, subscription: Subscription, records: Sequence[Record]) -> None:
        started = self._clock.monotonic()
        good, refused = self._decode(records)
        letters = [self._dead_letter(record, refusal) for record, refusal in refused]
        for start in range(0, len(letters), LETTERS):
            await self._bus.publish(letters[start : start + LETTERS])
        async with self._database.transaction(serial=self._serial) as connection:
            await self._offsets.advance(connection, records)
            after_commit = await self._handler(connection, good) if good else None
        if after_commit:
            after_commit()
        await subscription.settle(records)
        self._metrics.batch_seconds.labels(self._service).observe(self._clock.monotonic() - started)
        for topic in {record.topic for record in records}:
            self._metrics.consumed.labels(self._service, topic).inc(sum(record.topic == topic for record in records))
        self._note(records, refused)
        self._rest_poisoned(subscription)

    def _decode(self, records: Sequence[Record]) -> tuple[list[Delivered], list[tuple[Record, Refused]]]:
        good: list[Delivered] = []
        refused: list[tuple[Record, Refused]] = []
        for record in records:
            try:
                good.append(Delivered(record, *decode(record.value)))
            except Refused as refusal:
                refused.append((record, refusal))
            except Exception as error:  # noqa: BLE001  whatever a stranger's bytes do to the decoder, the partition goes on
                refused.append((record, Refused("invalid", f"the decoder fails: {error!r}")))
        return good, refused

    def _note(self, records: Sequence[Record], refused: Sequence[tuple[Record, Refused]]) -> None:
        """Count refusals once their batch is committed: a batch that is tried again must not count twice."""
        for record, refusal in refused:
            self._metrics.refused.labels(self._service, record.topic, refusal.reason).inc()
        bad = {(record.place, record.offset) for record, _ in refused}
        for record in records:
            if self._watch.setdefault(record.place, PoisonWatch()).note((record.place, record.offset) in bad):
                self._resting[record.place] = self._clock.monotonic() + POISON_REST

    def _dead_letter(self, record: Record, refusal: Refused) -> Message:
        log.warning(
            "record_refused", service=self._service, topic=record.topic, partition=record.partition, offset=record.offset,
            reason=refusal.reason,
        )  # fmt: skip
        return dead_letter(
            Place(record.topic, record.partition, record.offset, record.key),
            record.value,
            id=digest("deadletter", self._service, record.topic, str(record.partition), str(record.offset)),
            reason="unsupported" if refusal.reason == "unsupported" else "invalid",
            detail=refusal.detail,
            refused_by=self._service,
            source=self._service,
            subject=record.key,
            at=self._clock.now(),
        )

    def _rest_poisoned(self, subscription: Subscription) -> None:
        now = self._clock.monotonic()
        for place in [place for place, until in self._resting.items() if until <= now]:
            del self._resting[place]
            self._watch.pop(place, None)
            subscription.resume([place])
        subscription.pause(list(self._resting))
        self._metrics.paused.labels(self._service).set(len(self._resting))

    async def _look_around(self, subscription: Subscription) -> None:
        if self._resting:
            self._rest_poisoned(subscription)
        if self._clock.monotonic() < self._lag_due:
            return
        self._lag_due = self._clock.monotonic() + 5.0
        lag = await subscription.lag()
        for topic in self._topics:
            behind = sum(count for place, count in lag.items() if place.topic == topic)
            self._metrics.lag.labels(self._service, topic).set(behind)

    @property
    def resting(self) -> int:
        """Partitions that rest since too many of their records were refused."""
        return len(self._resting)
