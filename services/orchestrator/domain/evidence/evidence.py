"""Evidence from outside: what Prometheus says of service levels and of saturation, judged.

What is not known is never taken for fine, and never for an outage: a gap, a NaN or a query that fails makes it unknown.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from schemas.vocabulary import Severity
from services.matching import Selector
from services.orchestrator.domain import spoken

Sample = tuple[datetime, float]

STEPS = 5
"""Into how many steps the time that a level must be sustained is divided, if they do not get longer than `LONGEST_STEP`."""
LONGEST_STEP = timedelta(minutes=5)
SLACK = timedelta(seconds=1)
"""Timestamps are rounded on their way."""


class Level(StrEnum):
    """How a service level is. A resource that is saturated counts as degraded."""

    OK = "ok"
    DEGRADED = "degraded"
    OUTAGE = "outage"
    UNKNOWN = "unknown"

    @property
    def bad(self) -> bool:
        """Whether it is known to be beyond a line."""
        return self in {Level.DEGRADED, Level.OUTAGE}


class Cause(StrEnum):
    """Why a query has no usable answer."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    BAD_QUERY = "bad_query"
    NO_DATA = "no_data"
    NOT_A_NUMBER = "not_a_number"
    MATRIX = "matrix"
    MANY_SERIES = "many_series"
    UNAUTHORIZED = "unauthorized"
    GARBAGE = "garbage"


@dataclass(frozen=True)
class NoAnswer:
    """A query that told nothing: why, and in words what was expected."""

    cause: Cause
    sentence: str


@dataclass(frozen=True)
class Threshold:
    """The line between good and bad values: bad is `above` it, or `below` it. Exactly one of them is given."""

    above: float | None = None
    below: float | None = None

    def __post_init__(self) -> None:
        if (self.above is None) == (self.below is None):
            raise ValueError("expected either above or below")

    @property
    def line(self) -> float:
        return self.above if self.above is not None else self.below or 0.0

    def crossed(self, value: float) -> bool:
        """Whether the value lies on the bad side; on the line it does not."""
        return value > self.line if self.above is not None else value < self.line

    def __str__(self) -> str:
        return f"{'above' if self.above is not None else 'below'} {self.line:g}"


@dataclass(frozen=True)
class Slo:
    """A service level that a query measures, for the alerts that `selector` matches.

    It is degraded, or an outage, once its value has been beyond the line for all of `sustained`; `severity` is what an
    incident then is at least. `place` is where the query stands in the configuration.
    """

    name: str
    selector: Selector
    query: str
    degraded: Threshold
    outage: Threshold
    sustained: timedelta = timedelta(minutes=5)
    severity: Mapping[Level, Severity] = field(default_factory=lambda: {Level.DEGRADED: Severity.S2, Level.OUTAGE: Severity.S1})
    dashboard: str | None = None
    place: str = ""

    @property
    def step(self) -> timedelta:
        """How far apart the values are that are looked at."""
        return max(min(self.sustained / STEPS, LONGEST_STEP), SLACK)

    def lines(self) -> Iterator[tuple[Level, Threshold]]:
        """The worst first."""
        yield Level.OUTAGE, self.outage
        yield Level.DEGRADED, self.degraded


@dataclass(frozen=True)
class Saturation:
    """A resource that a query measures. It is saturated while its latest value is beyond the line."""

    name: str
    query: str
    line: Threshold
    dashboard: str | None = None
    place: str = ""


Subject = Slo | Saturation


@dataclass(frozen=True)
class SloState:
    """How a service level, or a resource, was `at` a moment, and since when; None when it was never known.

    `leaning` is what the latest value alone would mean.
    """

    name: str
    level: Level
    value: float | None
    since: datetime | None
    sentence: str
    at: datetime
    leaning: Level = Level.UNKNOWN

    @property
    def suspect(self) -> Level:
        """The level that it has if that is bad, else the one it leans to."""
        return self.level if self.level.bad else self.leaning


def judge_slo(slo: Slo, samples: Sequence[Sample], now: datetime, before: SloState | None = None) -> SloState:
    """The level that the samples of the last `sustained` show. While it stays that of `before`, `since` stays too."""
    window = sorted(sample for sample in samples if now - slo.sustained - SLACK <= sample[0] <= now + SLACK)
    gap = _gap(slo, [at for at, _ in window], now)
    if gap is not None:
        return unknown(slo.name, gap, now, before)
    values, latest = [value for _, value in window], window[-1][1]
    if not all(map(math.isfinite, values)):
        return unknown(slo.name, "a value is not a number", now, before)
    level = next((level for level, line in slo.lines() if all(map(line.crossed, values))), Level.OK)
    leaning = next((level for level, line in slo.lines() if line.crossed(latest)), Level.OK)
    since = _since(before, level) or (window[0][0] if level.bad else now)
    said = _said(slo, level, leaning, latest, now - since)
    return SloState(slo.name, level, latest, since, f"{slo.name}: {said} ({level})", now, leaning)


def judge_saturation(saturation: Saturation, sample: Sample, now: datetime, before: SloState | None = None) -> SloState:
    """Degraded when the value is beyond the line."""
    value, line = sample[1], saturation.line
    if not math.isfinite(value):
        return unknown(saturation.name, "the value is not a number", now, before)
    level = Level.DEGRADED if line.crossed(value) else Level.OK
    said = f"{_beside(value, line)} (saturated)" if level.bad else f"{_within(value, line)} (ok)"
    return SloState(saturation.name, level, value, _since(before, level) or now, f"{saturation.name}: {said}", now, level)


def unknown(name: str, why: str, now: datetime, before: SloState | None = None) -> SloState:
    """What nothing is known of, and why."""
    return SloState(name, Level.UNKNOWN, None, _since(before, Level.UNKNOWN) or now, f"{name}: {why} (unknown)", now)


def never_asked(name: str, why: str, now: datetime) -> SloState:
    """What nothing was ever known of, and why."""
    return replace(unknown(name, why, now), since=None)


def stale(state: SloState, now: datetime) -> SloState:
    """What was known too long ago to be known still; it has been unknown since then."""
    if state.level is Level.UNKNOWN:
        return state
    sentence = f"{state.name}: last heard of {spoken.span(now - state.at)} ago (unknown)"
    return SloState(state.name, Level.UNKNOWN, None, state.at, sentence, state.at)


def _gap(slo: Slo, moments: Sequence[datetime], now: datetime) -> str | None:
    """In words the time without a value, if it is longer than that between two of them should be."""
    if not moments:
        return f"no value in the last {spoken.span(slo.sustained)}"
    gap = max(later - earlier for earlier, later in pairwise([now - slo.sustained, *moments, now]))
    if gap <= slo.step * 5 / 4 + SLACK:
        return None
    return f"no value for {spoken.span(gap)} within the last {spoken.span(slo.sustained)}"


def _since(before: SloState | None, level: Level) -> datetime | None:
    return before.since if before is not None and before.level is level else None


def _said(slo: Slo, level: Level, leaning: Level, latest: float, lasting: timedelta) -> str:
    lines = dict(slo.lines())
    if level.bad:
        return f"{_beside(latest, lines[level])} for {spoken.span(max(lasting, slo.sustained))}"
    if leaning.bad:
        return f"{_beside(latest, lines[leaning])}, but not for all of the last {spoken.span(slo.sustained)}"
    return _within(latest, slo.degraded)


def _beside(value: float, line: Threshold) -> str:
    return f"{spoken.number(value, line.line)} {line}"


def _within(value: float, line: Threshold) -> str:
    return f"{spoken.number(value, line.line)}, not {line}"
