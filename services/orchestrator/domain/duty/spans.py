"""Somebody's time: spans, one after the other, and what becomes of several at once."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import pairwise
from operator import attrgetter
from typing import Protocol


@dataclass(frozen=True)
class Span:
    """From `start` up to `end` it is `person`; None is nobody. `by` is what says so."""

    start: datetime
    end: datetime
    person: str | None
    by: str | None = None


class Source(Protocol):
    """Where spans come from. They do not overlap, and there are holes between them."""

    def spans(self, start: datetime, end: datetime) -> Sequence[Span]:
        """Those that have time in common with this one, whole, in order."""
        ...


@dataclass(frozen=True)
class Around:
    """The span at a moment; without one, when the last one before it ended and the next one begins, as far as is looked."""

    span: Span | None
    before: datetime | None = None
    after: datetime | None = None


FAR = timedelta(days=62)
"""So far around a moment is looked for what comes before and after."""

_STEPS = (timedelta(days=3), timedelta(days=10), FAR)


def around(source: Source, at: datetime) -> Around:
    """Looks near first: who has office hours is seldom away for more than a weekend."""
    found = Around(None)
    for step in _STEPS:
        spans = source.spans(at - step, at + step)
        for span in spans:
            if span.start <= at < span.end:
                return Around(span)
        before = max((span.end for span in spans if span.end <= at), default=None)
        found = Around(None, before, min((span.start for span in spans if span.start > at), default=None))
        if found.before and found.after:
            break
    return found


@dataclass(frozen=True)
class Fixed:
    """Spans that are known one by one, as `flattened` makes them."""

    known: tuple[Span, ...] = ()

    def spans(self, start: datetime, end: datetime) -> Sequence[Span]:
        first = bisect_right(self.known, start, key=attrgetter("end"))
        return self.known[first : bisect_left(self.known, end, lo=first, key=attrgetter("start"))]


def flattened(spans: Sequence[Span]) -> list[Span]:
    """One at a time: of several at once the one that comes last in the sequence. Where that one is nobody, there is a hole."""
    result: list[tuple[int, Span]] = []
    for low, high, number in _winners(spans):
        last = result[-1] if result else None
        if last and last[0] == number and last[1].end == low:
            result[-1] = number, replace(last[1], end=high)
        else:
            result.append((number, replace(spans[number], start=low, end=high)))
    return [span for _, span in result if span.person is not None]


def _winners(spans: Sequence[Span]) -> Iterator[tuple[datetime, datetime, int]]:
    """Piece by piece, which of them has it."""
    waiting = sorted(range(len(spans)), key=lambda number: spans[number].start, reverse=True)
    alive: list[int] = []
    for low, high in pairwise(sorted({moment for span in spans for moment in (span.start, span.end)})):
        while waiting and spans[waiting[-1]].start <= low:
            heappush(alive, -waiting.pop())
        while alive and spans[-alive[0]].end <= low:
            heappop(alive)
        if alive:
            yield low, high, -alive[0]
