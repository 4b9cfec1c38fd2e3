"""What is open now, shown to those who watch Tocsin."""

from contextlib import suppress
from dataclasses import dataclass

from schemas.vocabulary import Severity
from services.orchestrator.metrics import OPEN_STATES, OrchestratorMetrics
from services.orchestrator.store import incidents, open_firings
from services.runtime.clock import Clock
from services.runtime.db import Database
from services.runtime.errors import Unavailable
from services.runtime.finish import finish

INTERVAL = 5.0
"""Seconds."""


@dataclass(frozen=True)
class Gauges:
    """Looks again and again. While the database is away, what was last known is shown; the consumer says why."""

    database: Database
    clock: Clock
    metrics: OrchestratorMetrics

    async def run(self) -> None:
        while True:
            with suppress(Unavailable):
                await finish(self._look())
            await self.clock.sleep(INTERVAL)

    async def _look(self) -> None:
        async with self.database.read() as connection:
            known = await incidents.open_by_severity(connection)
            alerts = await open_firings.count(connection)
        for severity in Severity:
            self.metrics.open_incidents.labels(severity).set(known.get(severity, 0))
        for state in OPEN_STATES:
            self.metrics.open_alerts.labels(state).set(alerts.get(state, 0))
