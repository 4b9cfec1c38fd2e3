"""Whether somebody will be on call and how old calendars are, shown to those who watch Tocsin; and who takes over, in the log."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from services.orchestrator.domain.duty.oncall import on_call, shifts
from services.orchestrator.domain.duty.roster import Roster
from services.orchestrator.domain.duty.rotation import Shift
from services.orchestrator.handlers.oncall import OnCall
from services.orchestrator.metrics import OrchestratorMetrics
from services.runtime.clock import Clock
from services.runtime.errors import Unavailable
from services.runtime.finish import finish

log = structlog.get_logger(__name__)

INTERVAL = 30.0
"""Seconds."""
AHEAD = timedelta(days=7)
"""How far gaps are looked for."""


@dataclass
class DutyGauges:
    """Looks again and again. While the database is away, what was last known is shown; the consumer says why."""

    oncall: OnCall
    clock: Clock
    metrics: OrchestratorMetrics
    _known: dict[str, str | None] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """What is configured is there from the first scrape on."""
        for rotation in self.oncall.plan().rotations:
            self.metrics.gap_seconds.labels(rotation.name)
        for name in self.oncall.plan().feeds:
            self.metrics.feed_age.labels(name).set(float("inf"))

    async def run(self) -> None:
        while True:
            with suppress(Unavailable):
                await finish(self.look())
            await self.clock.sleep(INTERVAL)

    async def look(self) -> None:
        """Once."""
        now = self.clock.now()
        async with self.oncall.database.read() as connection:
            roster = await self.oncall.roster(connection, now, now + AHEAD)
            copies = await self.oncall.copies(connection)
        self.metrics.feed_age.clear()
        for name in self.oncall.plan().feeds:
            copy = copies.get(name)
            age = (now - copy.fetched_at).total_seconds() if copy and copy.fetched_at else float("inf")
            self.metrics.feed_age.labels(name).set(age)
        self.metrics.gap_seconds.clear()
        timelines = {each.name: shifts(each, roster.of(each), now, now + AHEAD) for each in roster.rotations}
        for rotation in roster.rotations:
            seconds = sum((gap.end - gap.start).total_seconds() for gap in roster.missing(rotation, timelines))
            self.metrics.gap_seconds.labels(rotation.name).set(seconds)
        self._tell(roster, self.oncall.plan().feeds.keys() - copies.keys(), now)

    def _tell(self, roster: Roster, unasked: Collection[str], now: datetime) -> None:
        """Say who takes over, be it by the time, an override, a calendar or a new configuration.

        Nothing is said of a rotation whose calendar was not asked for yet.
        """
        present = {each.name: on_call(each, roster.of(each), now) for each in roster.rotations if each.name not in unasked}
        for name, shift in present.items():
            if self._known.get(name, "") != shift.person:
                if shift.person is not None:
                    log.info("oncall_now", rotation=name, person=shift.person, source=str(shift.source), by=shift.layer)
                elif not self._covered(roster, name, present):
                    log.warning("oncall_nobody", rotation=name)
        self._known = {name: shift.person for name, shift in present.items()}

    def _covered(self, roster: Roster, name: str, present: Mapping[str, Shift]) -> bool:
        """Whether the rotation that it falls to has somebody."""
        rotation = next(each for each in roster.rotations if each.name == name)
        general = roster.falls_to(rotation)
        return general is not None and general.name in present and present[general.name].person is not None
