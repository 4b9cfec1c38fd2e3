"""Office hours: when a layer of a rotation is there at all, by the clock on the wall."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from services.windows import moment_of

DAY = 24 * 60
"""Minutes, as the clock on the wall counts them."""
_WEEK = 7 * DAY

Opening = tuple[datetime, datetime]


@dataclass(frozen=True)
class Hours:
    """On these weekdays (0 is Monday), from `opens` to `closes` in minutes of the day; what is beyond it is the next day."""

    days: frozenset[int]
    opens: int
    closes: int


@dataclass(frozen=True)
class OfficeHours:
    """Several of them together; what overlaps or touches is one opening."""

    hours: tuple[Hours, ...]
    zone: ZoneInfo

    @cached_property
    def always(self) -> bool:
        """Whether they leave nothing out."""
        return not any(self._pauses)

    def between(self, start: datetime, end: datetime) -> list[Opening]:
        """The openings that have time in common with this one, whole, in order."""
        first, last = (moment.astimezone(self.zone).date() for moment in (start, end))
        margin = timedelta(days=2 if self._separate else 9)
        return [opening for opening in self._of_days(first - margin, last + margin) if opening[1] > start and opening[0] < end]

    def _of_days(self, first: date, last: date) -> list[Opening]:
        found: list[Opening] = []
        for opens, closes in sorted(self._openings(first, last)):
            if found and opens <= found[-1][1]:
                found[-1] = found[-1][0], max(found[-1][1], closes)
            else:
                found.append((opens, closes))
        return found

    def _openings(self, first: date, last: date) -> Iterator[Opening]:
        """Day by day. What the clocks jump over is not there."""
        for number in range((last - first).days + 1):
            midnight = datetime.combine(first + timedelta(days=number), time())
            for hours in self.hours:
                if midnight.weekday() in hours.days:
                    opens = moment_of(midnight + timedelta(minutes=hours.opens), self.zone)
                    closes = moment_of(midnight + timedelta(minutes=hours.closes), self.zone)
                    if opens < closes:
                        yield opens, closes

    @cached_property
    def _pauses(self) -> Sequence[bool]:
        """Whether a pause comes before each opening of a week, as clocks show it that nobody puts forward or back."""
        week = sorted((day * DAY + each.opens, day * DAY + each.closes) for each in self.hours for day in each.days)
        pauses, latest = [], max(closes for _, closes in week) - _WEEK
        for opens, closes in week:
            pauses.append(opens > latest)
            latest = max(latest, closes)
        return pauses

    @cached_property
    def _separate(self) -> bool:
        """Whether no opening touches the next: then none is longer than a day."""
        return all(self._pauses)
