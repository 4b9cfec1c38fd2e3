"""A recurrence rule as a value: which days fit, and at which times of the day, by the clock on the wall.

python-dateutil says which days of a month or a year fit, one at a time. Followed from its beginning instead, a rule would take
longer each year, and one that never fits would be followed to the year 9999.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, date, datetime, time
from itertools import product
from typing import Any, Literal

from dateutil import rrule as dateutil

from services.windows.grammar import Freq, read, refuse

MOST_TIMES = 24
"""Occurrences on one day."""

_NO_FURTHER = 12 * MAXYEAR
"""So many years or months lead beyond the last there is: only the first period is looked at."""

_ANY_DAY = tuple(range(1, 32))
_NUMBERED_DAYS = {Freq.YEARLY: 53, Freq.MONTHLY: 5}
_ONLY_WITH = {
    "BYYEARDAY": (Freq.YEARLY,),
    "BYMONTHDAY": (Freq.YEARLY, Freq.MONTHLY, Freq.DAILY, Freq.HOURLY),
    "BYSETPOS": (Freq.YEARLY, Freq.MONTHLY),
}


@dataclass(frozen=True)
class Rule:
    """`filters` are the days that fit, in dateutil's words. `until` is a moment if it has a zone, else by the wall.

    A block is a month, or the year of a yearly rule: what is looked at together.
    """

    starts: datetime
    freq: Freq
    interval: int
    week_starts: int
    filters: Mapping[str, Any]
    times: tuple[time, ...]
    count: int | None
    until: datetime | None

    def block_of(self, day: date) -> int:
        return day.year if self.freq is Freq.YEARLY else day.year * 12 + day.month - 1

    def walls(self, block: int) -> list[datetime]:
        """When occurrences begin in this block, in order. Nothing bounds them at the end."""
        if block < self.block_of(self.starts):
            return []
        moments = (datetime.combine(day, clock) for day in self._days(block) for clock in self.times)
        return [wall for wall in moments if wall >= self.starts and self._its_hour(wall)]

    def _days(self, block: int) -> Iterator[date]:
        year, month = (block, 0) if self.freq is Freq.YEARLY else divmod(block, 12)
        if year > MAXYEAR or (self.freq <= Freq.MONTHLY and (block - self.block_of(self.starts)) % self.interval):
            return
        period: Literal[0, 1] = dateutil.YEARLY if self.freq is Freq.YEARLY else dateutil.MONTHLY
        first = datetime(year, month + 1, 1)  # noqa: DTZ001  wall clock
        for found in dateutil.rrule(period, dtstart=first, interval=_NO_FURTHER, **self.filters):
            if self._its_turn(found.toordinal()):
                yield found.date()

    def _its_turn(self, day: int) -> bool:
        """Every so many days or weeks, counted from the first."""
        first = self.starts.toordinal()
        if self.freq is Freq.DAILY:
            return (day - first) % self.interval == 0
        if self.freq is Freq.WEEKLY:
            return (self._week(day) - self._week(first)) % self.interval == 0
        return True

    def _week(self, day: int) -> int:
        return (day - 1 - self.week_starts) // 7

    def _its_hour(self, wall: datetime) -> bool:
        """Every so many hours, counted by the clock on the wall."""
        if self.freq is not Freq.HOURLY:
            return True
        days, hours = wall.toordinal() - self.starts.toordinal(), wall.hour - self.starts.hour
        return (days * 24 + hours) % self.interval == 0


def parse_rule(text: object, starts: datetime) -> Rule:
    """The rule of an RRULE whose first occurrence may be at `starts`, which also gives what the text leaves open.

    Raises `WindowError`.
    """
    parts = read(text)
    freq: Freq = parts["FREQ"]
    _check_company(freq, parts)
    times = _times(freq, parts, starts)
    if len(times) > MOST_TIMES:
        raise refuse(f"it comes {len(times)} times a day; expected at most {MOST_TIMES}")
    if len(times) > 1 and "BYSETPOS" in parts:
        raise refuse("BYSETPOS chooses among days; expected one time of the day with it")
    return Rule(
        starts=starts,
        freq=freq,
        interval=parts.get("INTERVAL", 1),
        week_starts=parts.get("WKST", 0),
        filters=_filters(freq, parts, starts),
        times=times,
        count=parts.get("COUNT"),
        until=parts.get("UNTIL"),
    )


def _check_company(freq: Freq, parts: Mapping[str, Any]) -> None:
    """Parts that mean nothing beside each other are refused: whoever wrote them meant something."""
    for name, allowed in _ONLY_WITH.items():
        if name in parts and freq not in allowed:
            names = " or ".join(known.name for known in allowed)
            raise refuse(f"{name} does not go with FREQ={freq.name}; expected FREQ={names}")
    if "BYSETPOS" in parts and not parts.keys() & {"BYDAY", "BYMONTHDAY", "BYYEARDAY", "BYMONTH"}:
        raise refuse("BYSETPOS has nothing to choose from; expected BYDAY, BYMONTHDAY, BYYEARDAY or BYMONTH with it")
    most = _NUMBERED_DAYS[Freq.MONTHLY] if "BYMONTH" in parts else _NUMBERED_DAYS.get(freq, 0)
    for _, number in parts.get("BYDAY", ()):
        if number is not None and freq not in _NUMBERED_DAYS:
            raise refuse(f"BYDAY with a number does not go with FREQ={freq.name}; expected MONTHLY or YEARLY")
        if abs(number or 0) > most:
            raise refuse(f"BYDAY has a weekday number {number}; expected at most {most} here")


def _times(freq: Freq, parts: Mapping[str, Any], starts: datetime) -> tuple[time, ...]:
    hours = parts.get("BYHOUR") or (tuple(range(24)) if freq is Freq.HOURLY else (starts.hour,))
    minutes, seconds = parts.get("BYMINUTE") or (starts.minute,), parts.get("BYSECOND") or (starts.second,)
    return tuple(time(*parts) for parts in product(hours, minutes, seconds))


def _filters(freq: Freq, parts: Mapping[str, Any], starts: datetime) -> dict[str, Any]:
    """The days that fit. What the rule leaves open is as at its start."""
    filters: dict[str, Any] = {
        "bymonth": parts.get("BYMONTH"),
        "bymonthday": parts.get("BYMONTHDAY"),
        "byyearday": parts.get("BYYEARDAY"),
        "bysetpos": parts.get("BYSETPOS"),
        "byweekday": [dateutil.weekday(day, number) for day, number in parts["BYDAY"]] if "BYDAY" in parts else None,
    }
    if parts.keys() & {"BYMONTHDAY", "BYYEARDAY", "BYDAY"}:
        return filters
    if freq is Freq.YEARLY:
        return filters | {"bymonth": parts.get("BYMONTH") or starts.month, "bymonthday": starts.day}
    if freq is Freq.MONTHLY:
        return filters | {"bymonthday": starts.day}
    if freq is Freq.WEEKLY:
        return filters | {"byweekday": starts.weekday()}
    return filters | {"bymonthday": _ANY_DAY}
