"""Evidence, kept fresh: Prometheus is asked in rounds, beside the deciding, which takes what is known at once.

What cannot be asked, or was not answered for three rounds, is unknown. It holds nothing up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from services.orchestrator.domain.evidence.evidence import (
    Cause,
    Level,
    NoAnswer,
    Sample,
    Saturation,
    Slo,
    SloState,
    Subject,
    judge_saturation,
    judge_slo,
    never_asked,
    stale,
    unknown,
)
from services.orchestrator.metrics import OrchestratorMetrics
from services.runtime.clock import Clock
from services.runtime.errors import Unavailable

log = structlog.get_logger(__name__)

MISSED_ROUNDS = 3
"""After so many rounds without an answer what was known counts no more."""
_SHOWN = {Level.OK: 0, Level.DEGRADED: 1, Level.OUTAGE: 2, Level.UNKNOWN: -1}

Changed = Callable[[Sequence[SloState]], Awaitable[None]]


class Source(Protocol):
    """Somebody who answers queries with numbers, or in words why there is none; never raises."""

    async def window(self, query: str, start: datetime, end: datetime, step: timedelta) -> Sequence[Sample] | NoAnswer: ...

    async def latest(self, query: str, at: datetime) -> Sample | NoAnswer: ...


@dataclass(frozen=True)
class Watch:
    """What is looked at, of the configuration in force. `connect` opens the source for a round; None when there is none."""

    slos: Sequence[Slo] = ()
    saturation: Sequence[Saturation] = ()
    refresh: timedelta = timedelta(seconds=30)
    connect: Callable[[], AbstractAsyncContextManager[Source]] | None = None

    @property
    def subjects(self) -> Sequence[Subject]:
        return [*self.slos, *self.saturation]


Key = tuple[type[Subject], str]


def _key(subject: Subject) -> Key:
    return type(subject), subject.name


async def _nobody(_: Sequence[SloState]) -> None:
    return None


class Evidence:
    """`changed` is told of the service levels that are not as it was last told; they begin as unknown. What it raises as
    `Unavailable` makes it be told again after the next round."""

    def __init__(
        self, watch: Callable[[], Watch], clock: Clock, metrics: OrchestratorMetrics, changed: Changed = _nobody
    ) -> None:
        self._watch, self._clock, self._metrics, self._changed = watch, clock, metrics, changed
        self._known: dict[Key, tuple[Subject, SloState]] = {}
        self._failing: dict[Key, Cause] = {}
        self._told: dict[str, Level] = {}
        self._show()

    @property
    def configured(self) -> bool:
        """Whether there is somebody to ask."""
        return self._watch().connect is not None

    @property
    def slos(self) -> Sequence[Slo]:
        return self._watch().slos

    @property
    def resources(self) -> Sequence[Saturation]:
        return self._watch().saturation

    def states(self) -> Mapping[str, SloState]:
        """Every service level by its name, as far as it is known now."""
        watch, now = self._watch(), self._clock.now()
        return {slo.name: self._state(slo, watch, now) for slo in watch.slos}

    def saturation(self) -> Mapping[str, SloState]:
        """Every resource by its name, as far as it is known now."""
        watch, now = self._watch(), self._clock.now()
        return {resource.name: self._state(resource, watch, now) for resource in watch.saturation}

    async def run(self) -> None:
        """Round after round; each takes the configuration that is in force when it begins."""
        while True:
            await self.round()
            await self._clock.sleep(self._watch().refresh.total_seconds())

    async def round(self) -> None:
        """Ask everything once, all at the same time, and tell what has changed."""
        watch, now = self._watch(), self._clock.now()
        self._forget_all_but(watch.subjects)
        if watch.connect is not None and watch.subjects:
            async with watch.connect() as source, asyncio.TaskGroup() as group:
                for subject in watch.subjects:
                    group.create_task(self._look(source, subject, watch, now))
        self._show()
        await self._tell()

    async def _look(self, source: Source, subject: Subject, watch: Watch, now: datetime) -> None:
        state, cause = await ask(source, subject, now, self._state(subject, watch, now))
        self._known[_key(subject)] = subject, state
        self._metrics.prometheus_queries.labels(cause or "ok").inc()
        self._note(subject, cause, state.sentence)

    def _state(self, subject: Subject, watch: Watch, now: datetime) -> SloState:
        if watch.connect is None:
            return never_asked(subject.name, "no Prometheus is configured", now)
        asked, state = self._known.get(_key(subject), (None, None))
        if state is None or asked is None or asked.query != subject.query:
            return never_asked(subject.name, "not asked yet", now)
        return stale(state, now) if now - state.at > MISSED_ROUNDS * watch.refresh else state

    def _note(self, subject: Subject, cause: Cause | None, sentence: str) -> None:
        """Say when a query begins to fail, or fails otherwise, and when it works again."""
        before = self._failing.get(_key(subject))
        if cause is before:
            return
        if cause is None:
            del self._failing[_key(subject)]
            log.info("prometheus_query_works", name=subject.name, place=subject.place)
        else:
            self._failing[_key(subject)] = cause
            log.warning("prometheus_query_fails", name=subject.name, place=subject.place, cause=str(cause), reason=sentence)

    def _forget_all_but(self, subjects: Sequence[Subject]) -> None:
        kept = {_key(subject) for subject in subjects}
        for gone in self._known.keys() - kept:
            del self._known[gone]
            self._failing.pop(gone, None)

    def _show(self) -> None:
        self._metrics.slo_level.clear()
        for name, state in self.states().items():
            self._metrics.slo_level.labels(name).set(_SHOWN[state.level])

    async def _tell(self) -> None:
        states = self.states()
        news = [state for name, state in states.items() if state.level is not self._told.get(name, Level.UNKNOWN)]
        if news:
            try:
                await self._changed(news)
            except Unavailable as error:
                log.warning("slo_change_not_told", reason=error.detail)
                return
        self._told = {name: state.level for name, state in states.items()}


async def ask(source: Source, subject: Subject, now: datetime, before: SloState | None = None) -> tuple[SloState, Cause | None]:
    """The state as it is now, and why the query told nothing if it did."""
    if isinstance(subject, Slo):
        samples = await source.window(subject.query, now - subject.sustained, now, subject.step)
        if isinstance(samples, NoAnswer):
            return unknown(subject.name, samples.sentence, now, before), samples.cause
        state = judge_slo(subject, samples, now, before)
    else:
        sample = await source.latest(subject.query, now)
        if isinstance(sample, NoAnswer):
            return unknown(subject.name, sample.sentence, now, before), sample.cause
        state = judge_saturation(subject, sample, now, before)
    return state, Cause.NO_DATA if state.level is Level.UNKNOWN else None
