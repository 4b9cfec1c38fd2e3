"""Who is on call: shift after shift, at a moment, and when nobody is."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from operator import attrgetter

from services.orchestrator.domain.duty.rotation import Kind, Override, Rotation, Shift
from services.orchestrator.domain.duty.spans import FAR, Span, around

_REACHES = (timedelta(days=9), FAR, timedelta(days=400))
"""How far ahead the next hand-over is looked for: nearby first."""


def shifts(rotation: Rotation, overrides: Iterable[Override], start: datetime, end: datetime) -> list[Shift]:
    """Every moment from `start` up to `end` in one shift, in order; where nobody is on call the person is None."""
    timeline = [Shift(None, start, end, rotation.name)] if start < end else []
    for kind, source in reversed(rotation.sources(overrides)):
        above = [_shift(rotation, span, kind, start, end) for span in source.spans(start, end)]
        timeline = list(_over(timeline, above, start, end))
    return timeline


def _shift(rotation: Rotation, span: Span, kind: Kind, start: datetime, end: datetime) -> Shift:
    return Shift(span.person, max(span.start, start), min(span.end, end), rotation.name, span.by, kind)


def _over(below: Sequence[Shift], above: Iterable[Shift], start: datetime, end: datetime) -> Iterator[Shift]:
    """What is above, and what is below where nothing is above."""
    for shift in above:
        yield from _part(below, start, shift.start)
        yield shift
        start = shift.end
    yield from _part(below, start, end)


def _part(timeline: Sequence[Shift], start: datetime, end: datetime) -> Iterator[Shift]:
    if start < end:
        for shift in timeline[bisect_right(timeline, start, key=attrgetter("end")) :]:
            if shift.start >= end:
                return
            yield replace(shift, start=max(shift.start, start), end=min(shift.end, end))


def on_call(rotation: Rotation, overrides: Iterable[Override], at: datetime) -> Shift:
    """The whole shift at a moment. When nobody is on call it is looked only some weeks back and ahead for who is."""
    lows: list[datetime] = []
    highs: list[datetime] = []
    for kind, source in rotation.sources(overrides):
        found = around(source, at)
        if found.span is not None:
            start, end = max([found.span.start, *lows]), min([found.span.end, *highs])
            return _shift(rotation, found.span, kind, start, end)
        lows += [found.before] if found.before else []
        highs += [found.after] if found.after else []
    return Shift(None, max([at - FAR, *lows]), min([at + FAR, *highs]), rotation.name)


def next_handover(rotation: Rotation, overrides: Sequence[Override], at: datetime) -> Shift | None:
    """The next shift of somebody else, or of nobody; None when there is none within a year."""
    person = on_call(rotation, overrides, at).person
    for reach in _REACHES:
        for shift in shifts(rotation, overrides, at, at + reach):
            if shift.person != person:
                return on_call(rotation, overrides, shift.start)
    return None


def gaps(rotation: Rotation, overrides: Iterable[Override], start: datetime, end: datetime) -> list[Shift]:
    """When nobody is on call."""
    return [shift for shift in shifts(rotation, overrides, start, end) if shift.person is None]
