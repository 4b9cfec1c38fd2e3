"""What samples say of a service level: beyond a line for long enough, within it, or nothing."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from services.matching import selector
from services.orchestrator.domain.evidence.evidence import (
    Level,
    Sample,
    Saturation,
    Slo,
    Threshold,
    judge_saturation,
    judge_slo,
    never_asked,
    stale,
    unknown,
)
from tests.builders import NOW, minutes

SLO = Slo(
    name="web-errors",
    selector=selector(['service="web"']),
    query="errors / requests",
    degraded=Threshold(above=0.01),
    outage=Threshold(above=0.1),
)
APDEX = replace(SLO, name="web-apdex", degraded=Threshold(below=0.9), outage=Threshold(below=0.5))


def each_minute(*values: float) -> list[Sample]:
    """The last value is now's."""
    return [(NOW - minutes(age), value) for age, value in zip(range(len(values) - 1, -1, -1), values, strict=True)]


@pytest.mark.parametrize(
    ("slo", "values", "level", "sentence"),
    [
        (SLO, [0.02] * 5 + [0.034], Level.DEGRADED, "web-errors: 0.034 above 0.01 for 5 minutes (degraded)"),
        (SLO, [0.2] * 6, Level.OUTAGE, "web-errors: 0.2 above 0.1 for 5 minutes (outage)"),
        (SLO, [0.2] * 5 + [0.05], Level.DEGRADED, "web-errors: 0.05 above 0.01 for 5 minutes (degraded)"),
        (SLO, [0.001] * 6, Level.OK, "web-errors: 0.001, not above 0.01 (ok)"),
        (SLO, [0.01] * 6, Level.OK, "web-errors: 0.01, not above 0.01 (ok)"),
        (
            SLO,
            [0.5, 0.5, 0.005, 0.5, 0.5, 0.5],
            Level.OK,
            "web-errors: 0.5 above 0.1, but not for all of the last 5 minutes (ok)",
        ),
        (SLO, [0.0100001] * 6, Level.DEGRADED, "web-errors: 0.0100001 above 0.01 for 5 minutes (degraded)"),
        (APDEX, [0.8] * 6, Level.DEGRADED, "web-apdex: 0.8 below 0.9 for 5 minutes (degraded)"),
        (APDEX, [0.4] * 6, Level.OUTAGE, "web-apdex: 0.4 below 0.5 for 5 minutes (outage)"),
        (APDEX, [0.95] * 6, Level.OK, "web-apdex: 0.95, not below 0.9 (ok)"),
    ],
)
def test_a_level_needs_every_value_of_the_time_beyond_the_line(
    slo: Slo, values: Sequence[float], level: Level, sentence: str
) -> None:
    state = judge_slo(slo, each_minute(*values), NOW)
    assert (state.level, state.value, state.sentence, state.at) == (level, values[-1], sentence, NOW)


@pytest.mark.parametrize(
    ("samples", "why"),
    [
        ([], "no value in the last 5 minutes"),
        (each_minute(0.5, 0.5, 0.5), "no value for 3 minutes within the last 5 minutes"),
        (each_minute(*[0.5] * 6)[:3], "no value for 3 minutes within the last 5 minutes"),
        (each_minute(*[0.5] * 6)[:2] + each_minute(*[0.5] * 6)[3:], "no value for 2 minutes within the last 5 minutes"),
        (each_minute(0.5, 0.5, math.nan, 0.5, 0.5, 0.5), "a value is not a number"),
        (each_minute(0.0, 0.0, 0.0, 0.0, 0.0, math.inf), "a value is not a number"),
        (each_minute(*[0.5] * 20)[:10], "no value in the last 5 minutes"),
    ],
)
def test_gaps_and_what_is_no_number_are_unknown(samples: list[Sample], why: str) -> None:
    state = judge_slo(SLO, samples, NOW)
    assert (state.level, state.value, state.sentence) == (Level.UNKNOWN, None, f"web-errors: {why} (unknown)")


def test_a_longer_time_is_looked_at_more_often() -> None:
    assert replace(SLO, sustained=timedelta(minutes=5)).step == timedelta(minutes=1)
    assert replace(SLO, sustained=timedelta(hours=6)).step == timedelta(minutes=5)


def test_what_lies_outside_of_the_time_does_not_count() -> None:
    samples = each_minute(*[0.0] * 10, *[0.5] * 6)
    assert judge_slo(SLO, [*samples, (NOW + minutes(2), 0.0)], NOW).level is Level.OUTAGE


def test_since_goes_on_while_the_level_stays() -> None:
    first = judge_slo(SLO, each_minute(*[0.5] * 6), NOW)
    assert first.since == NOW - minutes(5)
    later = NOW + minutes(85)
    second = judge_slo(SLO, [(at + minutes(85), value) for at, value in each_minute(*[0.5] * 6)], later, first)
    assert second.since == first.since
    assert second.sentence == "web-errors: 0.5 above 0.1 for 90 minutes (outage)"
    assert judge_slo(SLO, each_minute(*[0.05] * 6), NOW, first).since == NOW - minutes(5)
    assert judge_slo(SLO, each_minute(*[0.0] * 6), NOW, first).since == NOW


def test_unknown_has_a_since_too_unless_nothing_was_ever_known() -> None:
    began = unknown("x", "away", NOW)
    assert unknown("x", "still away", NOW + minutes(9), began).since == NOW
    assert never_asked("x", "not asked yet", NOW).since is None
    assert unknown("x", "away", NOW, never_asked("x", "not asked yet", NOW)).since == NOW


def test_what_was_known_long_ago_is_unknown_since_then() -> None:
    state = stale(judge_slo(SLO, each_minute(*[0.5] * 6), NOW), NOW + minutes(3))
    assert (state.level, state.value, state.since) == (Level.UNKNOWN, None, NOW)
    assert state.sentence == "web-errors: last heard of 3 minutes ago (unknown)"
    assert stale(state, NOW + minutes(9)) == state


def test_a_value_beyond_a_line_leans_there_before_it_counts() -> None:
    state = judge_slo(SLO, each_minute(0.0, 0.0, 0.0, 0.0, 0.0, 0.05), NOW)
    assert (state.level, state.leaning, state.suspect) == (Level.OK, Level.DEGRADED, Level.DEGRADED)
    over = judge_slo(SLO, each_minute(*[0.05] * 5, 0.5), NOW)
    assert (over.level, over.leaning, over.suspect) == (Level.DEGRADED, Level.OUTAGE, Level.DEGRADED)


@pytest.mark.parametrize(
    ("value", "level", "sentence"),
    [
        (0.95, Level.DEGRADED, "disk: 0.95 above 0.9 (saturated)"),
        (0.9, Level.OK, "disk: 0.9, not above 0.9 (ok)"),
        (math.nan, Level.UNKNOWN, "disk: the value is not a number (unknown)"),
    ],
)
def test_a_resource_is_saturated_by_its_latest_value(value: float, level: Level, sentence: str) -> None:
    state = judge_saturation(Saturation("disk", "used", Threshold(above=0.9)), (NOW, value), NOW)
    assert (state.level, state.sentence, state.since) == (level, sentence, NOW)


def test_a_threshold_has_one_side() -> None:
    for above, below in ((None, None), (1.0, 1.0)):
        with pytest.raises(ValueError, match="either above or below"):
            Threshold(above, below)
    assert Threshold(below=0.0).crossed(-0.1)
    assert not Threshold(below=0.0).crossed(0.0)
