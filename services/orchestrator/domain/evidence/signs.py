"""Signs: whatever speaks for an incident, or keeps us from ruling one out, each with its weight and in a sentence.

As the handbook has it, a major error rate or another deviation is enough for starting one. What is not known is never fine.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from schemas.vocabulary import IncidentState, Severity
from services.orchestrator.domain import spoken
from services.orchestrator.domain.evidence.covering import service_of_slo
from services.orchestrator.domain.evidence.evidence import Level, Slo, SloState
from services.orchestrator.domain.evidence.picture import OpenIncident, Picture, ServiceAlerts


class Verdict(StrEnum):
    """Whether we are having one: yes, probably, nobody can tell from here, nothing speaks for it. The gravest is the first."""

    INCIDENT = "incident"
    LIKELY = "likely"
    UNCLEAR = "unclear"
    QUIET = "quiet"

    @property
    def rank(self) -> int:
        return _RANK[self]


_RANK = {verdict: rank for rank, verdict in enumerate(Verdict)}


@dataclass(frozen=True)
class Sign:
    """One of them. `kind` is what it is called; `covered` are the open incidents that are about it.

    `title`, `severity` and `services` are those of an incident that would be started for it; without a title none would.
    """

    weight: Verdict
    kind: str
    text: str
    title: str = ""
    severity: Severity | None = None
    services: tuple[str, ...] = ()
    covered: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The text, and for what would be worth an incident whether there is one."""
        if not self.title:
            return self.text
        others = f" and {len(self.covered) - 1} more" if len(self.covered) > 1 else ""
        return f"{self.text}; {f'see {self.covered[0]}{others}' if self.covered else 'no open incident is about it'}"


def signs(picture: Picture, services: Sequence[ServiceAlerts], covering: Mapping[str, tuple[str, ...]]) -> Iterator[Sign]:
    """All there are, in no order. `covering` names per SLO the open incidents that are about it."""
    yield from map(_open, picture.incidents)
    yield from _blind(picture)
    for alerts in services:
        yield from _alerts(alerts, picture.now)
    for slo, state in picture.slos:
        yield from _slo(slo, state, covering.get(slo.name, ()))
    for _, state in picture.saturation:
        yield from _saturation(state)
    for work in picture.maintenance:
        lasting = spoken.span(work.until - picture.now)
        yield Sign(Verdict.QUIET, "planned work", f"planned work is under way: {work.name}, ends in {lasting}")


def _open(incident: OpenIncident) -> Sign:
    services = ", ".join(incident.services[:3]) + (" and others" if len(incident.services) > 3 else "")
    of = f" for {services}" if services else ""
    if incident.drill:
        return Sign(Verdict.QUIET, "incident", f"{incident.id} is a drill{of}")
    if incident.state is IncidentState.TRIAGE:
        return Sign(Verdict.LIKELY, "incident", f"{incident.id} waits in triage{of}", covered=(incident.id,))
    text = f"{incident.id} is {incident.state}, {incident.severity}{of}"
    return Sign(Verdict.INCIDENT, "incident", text, covered=(incident.id,))


def _alerts(alerts: ServiceAlerts, now: datetime) -> Iterator[Sign]:
    name = alerts.service or "alerts without a service"
    services = (alerts.service,) if alerts.service else ()
    if alerts.oldest is not None:
        worst, total = alerts.worst, sum(alerts.firing.values())
        lasting = spoken.span(now - alerts.oldest)
        counts = " and ".join(f"{alerts.firing[rated]:,} {rated or 'unrated'}" for rated in _rated(alerts))
        yield Sign(
            weight=Verdict.LIKELY if worst is not None and worst.critical else Verdict.UNCLEAR,
            kind="service",
            text=f"{name}: {counts} {'alert firing for' if total == 1 else 'alerts firing, the oldest for'} {lasting}",
            title=f"{name}: {spoken.count(total, 'alert')} firing",
            severity=worst or Severity.S3,
            services=services,
            covered=alerts.incidents,
        )
    if alerts.stale:
        text = f"{name}: {spoken.count(alerts.stale, 'alert')} not heard of for long, whether still firing is not known"
        yield Sign(Verdict.UNCLEAR, "service", text, covered=alerts.incidents)


def _rated(alerts: ServiceAlerts) -> Iterator[Severity | None]:
    return (severity for severity in (*Severity, None) if alerts.firing.get(severity))


def _slo(slo: Slo, state: SloState, covered: tuple[str, ...]) -> Iterator[Sign]:
    if state.level is Level.UNKNOWN:
        yield Sign(Verdict.UNCLEAR, "service level", state.sentence)
        return
    level = state.suspect
    if not level.bad:
        return
    name = service_of_slo(slo)
    yield Sign(
        weight={Level.OUTAGE: Verdict.INCIDENT, Level.DEGRADED: Verdict.LIKELY, Level.OK: Verdict.UNCLEAR}[state.level],
        kind="service level",
        text=state.sentence,
        title=f"{slo.name}: {level}" if state.level.bad else f"{slo.name}: may be {level}",
        severity=slo.severity.get(level, Severity.S2),
        services=(name,) if name else (),
        covered=covered,
    )


def _saturation(state: SloState) -> Iterator[Sign]:
    if state.level is Level.UNKNOWN:
        yield Sign(Verdict.UNCLEAR, "resource", state.sentence)
    elif state.level.bad:
        yield Sign(Verdict.LIKELY, "resource", state.sentence, title=f"{state.name}: saturated", severity=Severity.S3)


def _blind(picture: Picture) -> Iterator[Sign]:
    look = "Tocsin cannot see how the services are; look at your dashboards"
    if not picture.prometheus:
        yield Sign(Verdict.UNCLEAR, "blind spot", f"no Prometheus is configured: {look}")
    elif not picture.slos:
        yield Sign(Verdict.UNCLEAR, "blind spot", f"no SLO is configured: {look}")
