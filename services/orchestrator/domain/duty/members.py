"""The people of a layer, and whose turn it is."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter


@dataclass(frozen=True)
class Member:
    """Somebody who takes turns: those that begin at `since` or later and before `until`, by the clock on the wall."""

    person: str
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class _Stretch:
    """Turns from number `first` on, for as long as nobody comes or goes: the people in the order in which they have them."""

    first: int
    people: tuple[str, ...]


class Order:
    """Who has which turn, counted from 0.

    Whoever joins takes the place that they have in the list, and whoever leaves is left out; what was before that stays as it
    was, and the one after the last before it is next.
    """

    def __init__(self, members: Sequence[Member], starts: datetime, every: timedelta) -> None:
        self._stretches = tuple(_stretches([_turns(member, starts, every) for member in members], members))

    def person(self, turn: int) -> str | None:
        """None when nobody is there at that time."""
        stretch = self._stretches[bisect_right(self._stretches, turn, key=attrgetter("first")) - 1]
        return stretch.people[(turn - stretch.first) % len(stretch.people)] if stretch.people else None


def _turns(member: Member, starts: datetime, every: timedelta) -> tuple[int, int | None]:
    """The number of the member's first turn, and of the first that is not theirs any more."""
    first = 0 if member.since is None else max(0, _number(member.since, starts, every))
    return first, None if member.until is None else max(first, _number(member.until, starts, every))


def _number(moment: datetime, starts: datetime, every: timedelta) -> int:
    """Of the first turn that does not begin before the moment."""
    return -((starts - moment) // every)


def _stretches(turns: Sequence[tuple[int, int | None]], members: Sequence[Member]) -> Iterator[_Stretch]:
    last = -1
    changes = sorted({0} | {number for pair in turns for number in pair if number is not None})
    for index, first in enumerate(changes):
        there = [place for place, (begins, ends) in enumerate(turns) if begins <= first and (ends is None or first < ends)]
        order = [place for place in there if place > last] + [place for place in there if place <= last]
        yield _Stretch(first, tuple(members[place].person for place in order))
        if order and index + 1 < len(changes):
            last = order[(changes[index + 1] - first - 1) % len(order)]
