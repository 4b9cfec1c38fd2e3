"""A layer of a rotation: people who take turns, and when they change, by the clock on the wall."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from services.orchestrator.domain.duty.hours import Hours, OfficeHours, Opening
from services.orchestrator.domain.duty.members import Member, Order
from services.orchestrator.domain.duty.spans import Span
from services.windows import moment_of


@dataclass(frozen=True)
class Layer:
    """`starts` is the first hand-over; the others follow `every` so much, all as the clocks of the zone show it.

    A time that they jump over is the moment of the jump, one that they show twice is the first. With `hours` it is there only
    then; without any always.
    """

    name: str
    zone: ZoneInfo
    starts: datetime
    every: timedelta
    members: tuple[Member, ...]
    until: datetime | None = None
    hours: tuple[Hours, ...] = ()
    _order: Order = field(init=False, repr=False, compare=False)
    _office: OfficeHours | None = field(init=False, repr=False, compare=False)
    _begins: datetime = field(init=False, repr=False, compare=False)
    _ends: datetime | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        office = OfficeHours(self.hours, self.zone) if self.hours else None
        object.__setattr__(self, "_order", Order(self.members, self.starts, self.every))
        object.__setattr__(self, "_office", None if office is None or office.always else office)
        object.__setattr__(self, "_begins", moment_of(self.starts, self.zone))
        object.__setattr__(self, "_ends", None if self.until is None else moment_of(self.until, self.zone))

    def spans(self, start: datetime, end: datetime) -> Sequence[Span]:
        """Everybody's turns, as far as the layer is there, that have time in common with this one, whole, in order."""
        start, end = max(start, self._begins), min(end, self._ends or end)
        if start >= end:
            return []
        if self._office is None:
            return list(self._turns(start, end))
        openings = self._office.between(start, end)
        if not openings:
            return []
        turns = list(self._turns(max(openings[0][0], self._begins), openings[-1][1]))
        return [span for span in _cut(turns, openings) if span.start < end and span.end > start]

    def _turns(self, start: datetime, end: datetime) -> Iterator[Span]:
        turn = self._turn(start)
        begins = self._hand_over(turn)
        while begins < min(end, self._ends or end):
            turn += 1
            person, ends = self._order.person(turn - 1), self._hand_over(turn)
            if person is not None and begins < ends:
                yield Span(begins, min(ends, self._ends or ends), person, self.name)
            begins = ends

    def _hand_over(self, turn: int) -> datetime:
        """When the turn of this number begins."""
        return moment_of(self.starts + turn * self.every, self.zone)

    def _turn(self, at: datetime) -> int:
        """The number of the turn at a moment. What the wall shows is near it."""
        turn = (at.astimezone(self.zone).replace(tzinfo=None) - self.starts) // self.every
        while self._hand_over(turn) > at:
            turn -= 1
        while self._hand_over(turn + 1) <= at:
            turn += 1
        return turn


def _cut(spans: Sequence[Span], openings: Sequence[Opening]) -> Iterator[Span]:
    """The parts of the spans that lie in openings."""
    index = 0
    for span in spans:
        while index < len(openings) and openings[index][1] <= span.start:
            index += 1
        for opens, closes in openings[index:]:
            if opens >= span.end:
                break
            yield Span(max(span.start, opens), min(span.end, closes), span.person, span.by)
