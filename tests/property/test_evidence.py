"""Service levels under random samples: never worse than all of them, never fine where something is missing."""

import math
import random
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.matching import Selector
from services.orchestrator.domain.evidence.evidence import Level, Sample, Slo, Threshold, judge_slo
from tests.builders import NOW

numbers = st.floats(allow_nan=True, allow_infinity=True)
bounds = st.floats(-1e6, 1e6)
spans = st.sampled_from([timedelta(minutes=1), timedelta(minutes=5), timedelta(hours=2)])


@st.composite
def slos(draw: st.DrawFn) -> Slo:
    low, high = sorted(draw(st.tuples(bounds, bounds)))
    worse, better = (Threshold(above=high), Threshold(above=low)) if draw(st.booleans()) else (
        Threshold(below=low), Threshold(below=high))  # fmt: skip
    return Slo("x", Selector(), "q", better, worse, draw(spans))


@st.composite
def judged(draw: st.DrawFn) -> tuple[Slo, list[Sample]]:
    """Samples at any moment around the time that is looked at, or on the grid that is asked for with some missing."""
    slo = draw(slos())
    steps = int(slo.sustained / slo.step)
    grid = [NOW - slo.step * step for step in range(steps + 1) if draw(st.integers(0, 20))]
    anywhere = st.lists(st.integers(-1, 2 * int(slo.sustained.total_seconds())).map(lambda s: NOW - timedelta(seconds=s)))
    moments: list[datetime] = draw(st.one_of(st.just(grid), anywhere))
    pool = draw(st.sampled_from([numbers, st.floats(1e6, 1e7), st.floats(-1e7, -1e6), bounds]))
    return slo, [(moment, draw(pool)) for moment in moments]


@given(judged())
def test_a_level_is_what_every_sample_says(given: tuple[Slo, list[Sample]]) -> None:
    slo, samples = given
    state = judge_slo(slo, samples, NOW)
    inside = [value for at, value in samples if NOW - slo.sustained <= at <= NOW]
    lines = dict(slo.lines())
    if state.level.bad:
        assert all(lines[state.level].crossed(value) for value in inside)
        assert state.since is not None
        assert state.since <= NOW - slo.sustained + slo.step * 5 / 4 + timedelta(seconds=1)
    if state.level is Level.OK:
        assert any(not slo.degraded.crossed(value) for _, value in samples)
    if state.level is not Level.UNKNOWN:
        assert all(map(math.isfinite, inside))
        assert len(inside) >= 3


@given(judged(), st.randoms())
def test_the_order_of_samples_means_nothing(given: tuple[Slo, list[Sample]], dice: random.Random) -> None:
    slo, samples = given
    unique = list(dict(samples).items())
    shuffled = unique.copy()
    dice.shuffle(shuffled)
    one, other = judge_slo(slo, unique, NOW), judge_slo(slo, shuffled, NOW)
    assert (one.level, one.since, one.sentence) == (other.level, other.since, other.sentence)


@given(slos(), st.data())
def test_one_value_missing_within_makes_it_unknown(slo: Slo, data: st.DataObject) -> None:
    steps = int(slo.sustained / slo.step)
    samples = [(NOW - slo.step * step, data.draw(bounds)) for step in range(steps + 1)]
    assert judge_slo(slo, samples, NOW).level is not Level.UNKNOWN
    gone = data.draw(st.integers(1, steps - 1))
    assert judge_slo(slo, samples[:gone] + samples[gone + 1 :], NOW).level is Level.UNKNOWN
