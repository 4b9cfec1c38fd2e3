"""Are we having one? Gathers the picture and answers with the verdict, in the API's shape."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.incidents import Incident
from schemas.vocabulary import Severity
from services.orchestrator.domain.alerts.maintenance import Maintenance
from services.orchestrator.domain.evidence.evidence import Saturation, Slo, SloState
from services.orchestrator.domain.evidence.picture import Picture, ServiceAlerts, under_way
from services.orchestrator.domain.evidence.triage import Assessment, assess
from services.orchestrator.handlers.evidence import Evidence
from services.orchestrator.store import triage
from services.runtime.clock import Clock
from services.runtime.db import Database

MOST = 50
"""So many services and incidents are listed, the worst first; the rest is counted."""


class Triage:
    """`maintenance` gives all windows there are."""

    def __init__(
        self,
        database: Database,
        evidence: Evidence,
        clock: Clock,
        maintenance: Callable[[AsyncConnection], Awaitable[Sequence[Maintenance]]],
    ) -> None:
        self._database, self._evidence, self._clock, self._maintenance = database, evidence, clock, maintenance

    async def look(self) -> dict[str, Any]:
        """What is known now, weighed."""
        now = self._clock.now()
        async with self._database.read() as connection:
            alerts = await triage.tallies(connection)
            open_now = await triage.open_incidents(connection)
            shown = await triage.worst_incidents(connection, MOST)
            windows = await self._maintenance(connection)
        levels, resources = self._evidence.states(), self._evidence.saturation()
        picture = Picture(
            now=now,
            alerts=alerts,
            incidents=open_now,
            slos=[(slo, levels[slo.name]) for slo in self._evidence.slos if slo.name in levels],
            saturation=[(each, resources[each.name]) for each in self._evidence.resources if each.name in resources],
            maintenance=under_way(windows, now),
            prometheus=self._evidence.configured,
        )
        return _answer(picture, assess(picture), shown)


def _answer(picture: Picture, assessment: Assessment, incidents: Sequence[Incident]) -> dict[str, Any]:
    start = assessment.start
    return {
        "at": picture.now,
        "verdict": assessment.verdict,
        "summary": assessment.summary,
        "reasons": assessment.reasons,
        "command": start.command if start else None,
        "start": {"title": start.title, "severity": start.severity, "services": start.services} if start else None,
        "services": [_service(alerts) for alerts in assessment.services[:MOST]],
        "more_services": max(0, len(assessment.services) - MOST),
        "slos": [_slo(slo, state, assessment.about[slo.name]) for slo, state in picture.slos],
        "saturation": [_resource(saturation, state) for saturation, state in picture.saturation],
        "prometheus": {"configured": picture.prometheus},
        "maintenance": [{"name": work.name, "until": work.until} for work in picture.maintenance],
        "incidents": [incident.model_dump(mode="json") for incident in incidents],
        "more_incidents": max(0, len(picture.incidents) - len(incidents)),
    }


def _service(alerts: ServiceAlerts) -> dict[str, Any]:
    return {
        "service": alerts.service,
        "firing": {severity or "unrated": alerts.firing.get(severity, 0) for severity in (*Severity, None)},
        "muted": alerts.muted,
        "stale": alerts.stale,
        "oldest_start": alerts.oldest,
        "incidents": alerts.incidents[:MOST],
    }


def _slo(slo: Slo, state: SloState, about: Iterable[str]) -> dict[str, Any]:
    return _state(state) | {"level": state.level, "dashboard": slo.dashboard, "incidents": about}


def _resource(saturation: Saturation, state: SloState) -> dict[str, Any]:
    saturated = state.level.bad if state.value is not None else None
    return _state(state) | {"saturated": saturated, "dashboard": saturation.dashboard}


def _state(state: SloState) -> dict[str, Any]:
    return {"name": state.name, "value": state.value, "since": state.since, "at": state.at, "text": state.sentence}
