"""A window: from when, for how long, in which zone, and how it comes again."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from services.windows.calendar import Calendar
from services.windows.errors import WindowError, shown
from services.windows.grammar import FIRST_YEAR
from services.windows.rule import parse_rule
from services.windows.zones import moment_of, zone_of

LONGEST = timedelta(days=31)
LAST_YEAR = 2199

_ONCE = "FREQ=DAILY;COUNT=1"


@dataclass(frozen=True)
class Window:
    """One that exists can be asked: making it raises `WindowError`. `starts` is what the zone's clocks show."""

    starts: datetime
    duration: timedelta
    zone: str
    rrule: str | None = None
    _calendar: Calendar = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_calendar", _calendar(self))

    @classmethod
    def parse(
        cls,
        *,
        starts: str | datetime,
        duration: timedelta | None = None,
        ends: str | datetime | None = None,
        zone: str = "UTC",
        rrule: str | None = None,
    ) -> "Window":
        """A window that lasts for `duration`, or until `ends`. A moment with an offset is taken to the zone's clocks."""
        place = zone_of(zone)
        first = _read("starts", starts)
        wall = first.astimezone(place).replace(tzinfo=None) if first.tzinfo else first
        begins = first if first.tzinfo else moment_of(first, place)
        length = _length(begins, duration, ends, place)
        if rrule is None and moment_of(wall, place) != begins:  # in the hour that clocks show twice, for the second time
            return cls(begins.astimezone(UTC).replace(tzinfo=None), length, "UTC")
        return cls(wall.replace(fold=0), length, zone, rrule)

    def until(self, at: datetime) -> datetime | None:
        """When what holds at this moment ends, in UTC; None when nothing does.

        Occurrences that overlap or touch count as one. Where they do so without end, the answer is a moment at least a year away.
        """
        return self._calendar.until(at)

    def next(self, at: datetime) -> datetime | None:
        """When the next occurrence after this moment begins, in UTC; None when there is none within fifty years."""
        return self._calendar.next(at)

    @property
    def over_at(self) -> datetime | None:
        """A moment from which on nothing holds any more, in UTC; None when there is no end."""
        return self._calendar.over_at


def _read(place: Literal["starts", "ends"], value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value.strip()) if isinstance(value, str) else value
    except ValueError:
        moment = None
    if not isinstance(moment, datetime):
        raise WindowError(place, f"{shown(value)} is no date and time; expected one like 2026-12-01T22:00")
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise _too_far(place, moment)
    return moment.replace(microsecond=0)


def _too_far(place: Literal["starts", "ends"], moment: datetime) -> WindowError:
    return WindowError(place, f"{moment} is too far away; expected a year from {FIRST_YEAR} to {LAST_YEAR}")


def _length(begins: datetime, duration: timedelta | None, ends: object, place: ZoneInfo) -> timedelta:
    if ends is None:
        if duration is None:
            raise WindowError("duration", "nothing says how long it lasts; expected a duration or an end")
        return duration
    if duration is not None:
        raise WindowError("ends", "both a duration and an end are given; expected one of them")
    end = _read("ends", ends)
    length = (end if end.tzinfo else moment_of(end, place)) - begins
    if not timedelta(0) < length <= LONGEST:
        raise WindowError("ends", f"{shown(str(ends))} does not lie after the start, by at most {LONGEST.days} days, as expected")
    return length


def _calendar(window: Window) -> Calendar:
    """Raises `WindowError` for a window that cannot be."""
    zone, starts = zone_of(window.zone), window.starts
    if not FIRST_YEAR <= starts.year <= LAST_YEAR:
        raise _too_far("starts", starts)
    if starts.tzinfo or starts.microsecond:
        raise WindowError("starts", f"{starts} is not what a clock shows; expected whole seconds and no offset")
    if not timedelta(0) < window.duration <= LONGEST:
        raise WindowError("duration", f"it would last {window.duration}; expected more than 0 and at most {LONGEST.days} days")
    rule = parse_rule(_ONCE if window.rrule is None else window.rrule, starts)
    return Calendar(zone, rule, window.duration)
