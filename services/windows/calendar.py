"""A window's occurrences as moments, found block by block and kept."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from services.windows.grammar import refuse
from services.windows.rule import Rule
from services.windows.zones import moment_of

YEARS = 50
HORIZON = timedelta(days=366 * YEARS)
"""What does not come within this time does not come: the longest wait of a rule that ever comes, for 29 February on a given
weekday, is 40 years."""

AHEAD = timedelta(days=366)
"""Occurrences that follow each other without a gap are followed so far."""

_DAY = timedelta(days=1)

Span = tuple[datetime, datetime]


class Calendar:
    """Looks only around the moment it is asked about, and at no block twice."""

    def __init__(self, zone: ZoneInfo, rule: Rule, duration: timedelta) -> None:
        """Raises `WindowError` for a rule that never comes, or not as often as it says."""
        self._zone, self._rule, self._duration = zone, rule, duration
        self._kept: dict[int, tuple[Sequence[datetime], Sequence[Span]]] = {}
        self._first = moment_of(rule.starts, zone)
        self._last = rule.until if rule.count is None else _counted(rule, rule.count)
        if self.next(self._first - _DAY) is None:
            raise refuse(f"it never comes in the {YEARS} years after {rule.starts}; expected a rule that does")

    @property
    def over_at(self) -> datetime | None:
        if self._last is None:
            return None
        last = self._last if self._last.tzinfo else moment_of(self._last, self._zone)
        return last + self._duration

    def until(self, at: datetime) -> datetime | None:
        """Ends grow with beginnings, for all last equally long: the first beginning after what is covered is the end of it."""
        end: datetime | None = None
        block, furthest = self._block_of(at - self._duration - _DAY), self._block_of(at + AHEAD)
        while block <= min(self._block_of(end or at), furthest):
            for begins, ends in self._block(block)[1]:
                if begins > (end or at):
                    return end
                if ends > at:
                    end = ends
            block += 1
        return end

    def next(self, at: datetime) -> datetime | None:
        since = max(at, self._first - _DAY)
        for block in range(self._block_of(since), self._block_of(since + HORIZON) + 1):
            begins = self._block(block)[0]
            found = bisect_right(begins, at)
            if found < len(begins):
                return begins[found]
            if self.over_at and block > self._block_of(self.over_at):
                break
        return None

    def _block_of(self, moment: datetime) -> int:
        return self._rule.block_of(moment.astimezone(self._zone))

    def _block(self, number: int) -> tuple[Sequence[datetime], Sequence[Span]]:
        """When the occurrences of a block begin, and what they cover."""
        known = self._kept.get(number)
        if known is None:
            moments = ((wall, moment_of(wall, self._zone)) for wall in self._rule.walls(number))
            begins = [moment for wall, moment in moments if not self._beyond(wall, moment)]
            known = self._kept[number] = (begins, _joined(begins, self._duration))
        return known

    def _beyond(self, wall: datetime, moment: datetime) -> bool:
        return self._last is not None and (moment if self._last.tzinfo else wall) > self._last


def _joined(begins: Sequence[datetime], duration: timedelta) -> list[Span]:
    spans: list[Span] = []
    for moment in begins:
        first = spans.pop()[0] if spans and moment <= spans[-1][1] else moment
        spans.append((first, moment + duration))
    return spans


def _counted(rule: Rule, count: int) -> datetime:
    """When the last of so many occurrences begins."""
    left, first = count, rule.block_of(rule.starts)
    for block in range(first, rule.block_of(rule.starts + HORIZON) + 1):
        walls = rule.walls(block)
        if left <= len(walls):
            return walls[left - 1]
        left -= len(walls)
    raise refuse(f"COUNT={count} takes more than {YEARS} years; expected a smaller one, or UNTIL")
