"""Where a member of a group stands. Both buses use it, so that settle, rewind and pause mean the same in both."""

from collections.abc import Iterable, Mapping, Sequence

import structlog

from services.runtime.bus.port import Positions, Record, TopicPartition
from services.runtime.errors import BusUnavailable

log = structlog.get_logger()

Bounds = Mapping[TopicPartition, tuple[int, int]]
"""For each partition the oldest offset kept and the offset that the next record will get."""


class Cursor:
    """`next` holds, for each partition whose beginning is known, the offset to fetch next."""

    def __init__(self, positions: Positions) -> None:
        self._positions = positions
        self._flight: dict[TopicPartition, int] = {}
        self.next: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()

    async def beginnings(self, bounds: Bounds) -> dict[TopicPartition, int]:
        """Where to begin each of these partitions; changes nothing, since the caller must see whether they are still its own.

        Raises `BusUnavailable` when more was handled than the log holds, and whatever `positions` raises.
        """
        wanted = await self._positions(list(bounds))
        return {place: _within(place, wanted.get(place), *bounds[place]) for place in bounds}

    def took(self, records: Iterable[Record]) -> None:
        """These records were handed out and are in flight."""
        for record in records:
            self.next[record.place] = record.offset + 1
            self._flight[record.place] = record.offset

    def settle(self, records: Iterable[Record]) -> None:
        """A partition is no longer in flight when its last record handed out is settled."""
        for record in records:
            if self._flight.get(record.place, record.offset + 1) <= record.offset:
                del self._flight[record.place]

    def rewind(self) -> None:
        """Nothing is in flight and every beginning must be asked again."""
        self.next.clear()
        self._flight.clear()

    def forget(self, places: Iterable[TopicPartition]) -> None:
        """These partitions are read by somebody else now, who does not know of our pauses."""
        for place in list(places):
            self.next.pop(place, None)
            self._flight.pop(place, None)
            self.paused.discard(place)

    def in_flight(self, places: Sequence[TopicPartition] | None = None) -> bool:
        """Whether any of the partitions (all when none are named) has records handed out and not settled."""
        return bool(self._flight) if places is None else any(place in self._flight for place in places)


def _within(place: TopicPartition, wanted: int | None, first: int, end: int) -> int:
    if wanted is None:
        return first
    if wanted > end:
        # Going back by ourselves would be in vain: the reader refuses offsets below its own as already handled.
        raise BusUnavailable(
            f"{place.topic}/{place.partition} ends at {end}, but {wanted} was handled: the log was lost or replaced by another"
        )
    if wanted < first:
        log.error("bus.records_lost", topic=place.topic, partition=place.partition, wanted=wanted, first=first)
    return max(wanted, first)
