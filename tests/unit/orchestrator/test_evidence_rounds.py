"""Rounds of questions: what is known stays known for a while, trouble is said once, changes are told until they are heard."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from services.matching import Selector
from services.orchestrator.domain.evidence.evidence import Cause, Level, NoAnswer, Sample, Saturation, Slo, SloState, Threshold
from services.orchestrator.handlers import evidence as rounds
from services.orchestrator.handlers.evidence import Evidence, Watch
from services.orchestrator.metrics import OrchestratorMetrics
from services.runtime.clock import ManualClock
from services.runtime.errors import DatabaseUnavailable
from tests.builders import NOW

WEB = Slo("web", Selector(), "web_errors", Threshold(above=0.01), Threshold(above=0.1), place="tocsin.yaml:12:5")
DISK = Saturation("disk", "disk_used", Threshold(above=0.9), place="tocsin.yaml:20:5")
REFRESH = timedelta(seconds=30)
AWAY = NoAnswer(Cause.UNREACHABLE, "Prometheus is away")


@dataclass
class Numbers:
    """A source that answers a query with the same number over all the time, or with what it is told to."""

    says: dict[str, float | NoAnswer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def window(self, query: str, start: datetime, end: datetime, step: timedelta) -> Sequence[Sample] | NoAnswer:
        said = await self._say(query)
        steps = int((end - start) / step)
        return said if isinstance(said, NoAnswer) else [(start + step * index, said) for index in range(steps + 1)]

    async def latest(self, query: str, at: datetime) -> Sample | NoAnswer:
        said = await self._say(query)
        return said if isinstance(said, NoAnswer) else (at, said)

    async def _say(self, query: str) -> float | NoAnswer:
        self.asked.append(query)
        if self.gate is not None:
            await self.gate.wait()
        return self.says.get(query, AWAY)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Numbers"]:
        yield self


@dataclass
class Place:
    """The rounds with everything around them; `told` is what `changed` heard, and `deaf` makes it fail."""

    numbers: Numbers = field(default_factory=Numbers)
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    told: list[list[tuple[str, Level]]] = field(default_factory=list)
    deaf: bool = False

    def __post_init__(self) -> None:
        self.watch = Watch([WEB], [DISK], REFRESH, self.numbers.opened)
        self.evidence = Evidence(lambda: self.watch, self.clock, OrchestratorMetrics(self.registry), self.changed)

    async def changed(self, states: Sequence[SloState]) -> None:
        if self.deaf:
            raise DatabaseUnavailable
        self.told.append([(state.name, state.level) for state in states])

    async def round(self, **says: float | NoAnswer) -> SloState:
        """One more round after the time between two of them; the state of the service level."""
        self.clock.advance(REFRESH)
        self.numbers.says |= says
        await self.evidence.round()
        return self.evidence.states()["web"]

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[MutableMapping[str, Any]]]:
    """What the rounds log. A logger that has been used keeps its old settings, so they get a new one."""
    settings = structlog.get_config()
    structlog.reset_defaults()
    monkeypatch.setattr(rounds, "log", structlog.get_logger())
    with capture_logs() as lines:
        yield lines
    structlog.configure(**settings)


async def test_before_the_first_round_everything_is_unknown(place: Place) -> None:
    state = place.evidence.states()["web"]
    assert (state.level, state.since, state.sentence) == (Level.UNKNOWN, None, "web: not asked yet (unknown)")
    assert place.evidence.saturation()["disk"].level is Level.UNKNOWN


async def test_a_round_asks_everything_and_keeps_the_states(place: Place) -> None:
    state = await place.round(web_errors=0.05, disk_used=0.95)
    assert (state.level, state.at) == (Level.DEGRADED, place.clock.now())
    assert place.evidence.saturation()["disk"].level is Level.DEGRADED
    assert sorted(place.numbers.asked) == ["disk_used", "web_errors"]
    assert (await place.round()).since == state.since


async def test_all_questions_of_a_round_are_asked_at_the_same_time(place: Place) -> None:
    place.numbers.gate = asyncio.Event()
    asking = asyncio.create_task(place.round(web_errors=0.0, disk_used=0.0))
    while len(place.numbers.asked) < 2:
        await asyncio.sleep(0)
    assert place.evidence.states()["web"].level is Level.UNKNOWN
    place.numbers.gate.set()
    assert (await asking).level is Level.OK


async def test_what_was_not_refreshed_for_three_rounds_is_unknown(place: Place) -> None:
    known = await place.round(web_errors=0.5, disk_used=0.95)
    place.clock.advance(3 * REFRESH)
    assert place.evidence.states()["web"] == known
    place.clock.advance(timedelta(seconds=1))
    state = place.evidence.states()["web"]
    assert (state.level, state.since) == (Level.UNKNOWN, known.at)
    assert place.evidence.saturation()["disk"].level is Level.UNKNOWN


async def test_a_query_that_fails_makes_unknown_and_says_why(place: Place) -> None:
    await place.round(web_errors=0.5)
    state = await place.round(web_errors=AWAY)
    assert (state.level, state.sentence) == (Level.UNKNOWN, "web: Prometheus is away (unknown)")
    assert state.since == place.clock.now()


async def test_trouble_is_logged_when_it_begins_or_becomes_another_and_when_it_ends(
    place: Place, lines: list[MutableMapping[str, Any]]
) -> None:
    place.numbers.says["disk_used"] = 0.1
    for said in (AWAY, AWAY, NoAnswer(Cause.TIMEOUT, "too slow"), 0.5, 0.5):
        await place.round(web_errors=said)
    events = [(line["event"], line["log_level"], line["place"], line.get("cause")) for line in lines]
    assert events == [
        ("prometheus_query_fails", "warning", "tocsin.yaml:12:5", "unreachable"),
        ("prometheus_query_fails", "warning", "tocsin.yaml:12:5", "timeout"),
        ("prometheus_query_works", "info", "tocsin.yaml:12:5", None),
    ]


async def test_metrics_show_levels_and_outcomes(place: Place) -> None:
    assert place.metric("tocsin_slo_level", slo="web") == -1
    for said, shown in ((0.0, 0), (0.05, 1), (0.5, 2), (AWAY, -1)):
        await place.round(web_errors=said, disk_used=0.1)
        assert place.metric("tocsin_slo_level", slo="web") == shown
    queries = "tocsin_prometheus_queries_total"
    assert (place.metric(queries, outcome="ok"), place.metric(queries, outcome="unreachable")) == (7, 1)
    assert {place.metric(queries, outcome=cause) for cause in Cause if cause is not Cause.UNREACHABLE} == {0}


async def test_changes_are_told_once(place: Place) -> None:
    for said in (0.0, 0.0, 0.5, 0.5, AWAY):
        await place.round(web_errors=said)
    assert place.told == [[("web", Level.OK)], [("web", Level.OUTAGE)], [("web", Level.UNKNOWN)]]


async def test_a_change_that_nobody_could_hear_is_told_again(place: Place) -> None:
    place.deaf = True
    await place.round(web_errors=0.5)
    place.deaf = False
    await place.round()
    assert place.told == [[("web", Level.OUTAGE)]]


async def test_a_new_configuration_is_taken_at_the_next_round(place: Place) -> None:
    await place.round(web_errors=0.5)
    other = replace(WEB, name="api", query="api_errors")
    place.watch = replace(place.watch, slos=[other], saturation=[])
    assert [state.sentence for state in place.evidence.states().values()] == ["api: not asked yet (unknown)"]
    place.numbers.asked.clear()
    place.clock.advance(REFRESH)
    place.numbers.says["api_errors"] = 0.0
    await place.evidence.round()
    assert (place.numbers.asked, place.evidence.states()["api"].level) == (["api_errors"], Level.OK)
    assert place.metric("tocsin_slo_level", slo="web") is None
    assert place.metric("tocsin_slo_level", slo="api") == 0


async def test_another_query_under_the_same_name_begins_anew(place: Place) -> None:
    await place.round(web_errors=0.5)
    place.watch = replace(place.watch, slos=[replace(WEB, query="better")])
    assert place.evidence.states()["web"].level is Level.UNKNOWN


async def test_other_lines_for_the_same_query_hold_at_the_next_round(place: Place) -> None:
    await place.round(web_errors=0.05)
    place.watch = replace(place.watch, slos=[replace(WEB, degraded=Threshold(above=0.06))])
    assert (await place.round()).level is Level.OK


async def test_without_a_prometheus_nothing_is_asked_and_nothing_is_fine(place: Place) -> None:
    await place.round(web_errors=0.0)
    place.watch = replace(place.watch, connect=None)
    state = await place.round()
    assert (state.level, state.sentence) == (Level.UNKNOWN, "web: no Prometheus is configured (unknown)")
    assert not place.evidence.configured


async def test_the_loop_goes_round_by_the_clock(place: Place) -> None:
    place.numbers.says = {"web_errors": 0.0, "disk_used": 0.0}
    loop = asyncio.create_task(place.evidence.run())
    await _until(lambda: bool(place.told))
    place.clock.advance(REFRESH)
    await _until(lambda: len(place.numbers.asked) == 4)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    assert place.evidence.states()["web"].at == NOW + REFRESH


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0)
