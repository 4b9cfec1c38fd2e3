"""How fast a destination may be written to."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from services.notifier.domain.delivery import Place

Call = Literal["post", "edit"]


@dataclass(frozen=True)
class Limits:
    """So many calls at once and so many a second after that; posts and edits are counted apart."""

    post_burst: int = 10
    edit_burst: int = 20
    per_second: float = 1.0


KEPT = timedelta(minutes=1)
"""A promised slot that nobody comes for so long after it was taken elsewhere: another replica has made that call."""


@dataclass
class Bucket:
    """A token bucket that can be overdrawn: each call gets the moment at which it may be made, in the order of asking."""

    burst: int
    interval: timedelta
    _full_at: datetime | None = None

    def reserve(self, now: datetime) -> datetime:
        full_at = now if self._full_at is None else max(self._full_at, now)
        slot = max(now, full_at - (self.burst - 1) * self.interval)
        self._full_at = full_at + self.interval
        return slot

    def empty(self, until: datetime) -> None:
        """One call at `until`, the next an interval later: what was saved up is lost."""
        self._full_at = until + (self.burst - 1) * self.interval


@dataclass
class Line:
    """The calls that wait to be made at one destination. A promised slot is kept for its key until it is used."""

    posts: Bucket
    edits: Bucket
    closed_until: datetime | None = None
    promised: dict[str, datetime] = field(default_factory=dict)
    tidy_at: datetime | None = None

    @classmethod
    def of(cls, limits: Limits) -> "Line":
        interval = timedelta(seconds=1 / limits.per_second)
        return cls(Bucket(limits.post_burst, interval), Bucket(limits.edit_burst, interval))

    def slot(self, key: str, call: Call, now: datetime) -> datetime:
        """When the call may be made; not after `now` means now, and uses the slot up."""
        slot = self.promised.pop(key, None)
        if slot is None or (self.closed_until is not None and slot < self.closed_until):
            slot = (self.posts if call == "post" else self.edits).reserve(now)
        if slot > now:
            self._tidy(now)
            self.promised[key] = slot
        return slot

    def _tidy(self, now: datetime) -> None:
        if self.tidy_at is not None and now < self.tidy_at:
            return
        self.tidy_at = now + KEPT
        self.promised = {key: slot for key, slot in self.promised.items() if slot + KEPT > now}

    def close(self, until: datetime) -> None:
        """Nothing may be sent before `until`: the destination has said so."""
        if self.closed_until is not None and until <= self.closed_until:
            return
        self.closed_until = until
        self.promised.clear()
        self.posts.empty(until)
        self.edits.empty(until)


class Pace:
    """The lines of all destinations; one without limits has none."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], Line] = {}

    def slot(self, place: Place, limits: Limits | None, key: str, call: Call, now: datetime) -> datetime:
        """When the piece of work `key` may make its call."""
        return self._line(place, limits).slot(key, call, now) if limits else now

    def close(self, place: Place, limits: Limits | None, until: datetime) -> None:
        if limits:
            self._line(place, limits).close(until)

    def _line(self, place: Place, limits: Limits) -> Line:
        return self._lines.setdefault((place.channel, place.destination), Line.of(limits))
