"""The picture that triage looks at: what fires, what is open, how services are, what is planned."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from schemas.incidents import MAX_SERVICE
from schemas.vocabulary import FiringState, IncidentState, Severity, worst
from services.orchestrator.domain.alerts.labels import one_line
from services.orchestrator.domain.alerts.maintenance import Maintenance
from services.orchestrator.domain.evidence.evidence import Saturation, Slo, SloState


@dataclass(frozen=True)
class Tally:
    """How many firings that are not over a service has in one state, of one severity, in one open incident or in none."""

    service: str | None
    state: FiringState
    severity: Severity | None
    incident: str | None
    count: int
    oldest: datetime


@dataclass(frozen=True)
class OpenIncident:
    """As much of an incident as tells what it is about. A drill is about nothing that is real."""

    id: str
    state: IncidentState
    severity: Severity
    services: tuple[str, ...] = ()
    environment: str | None = None
    drill: bool = False


@dataclass(frozen=True)
class UnderWay:
    """Planned work that goes on now."""

    name: str
    until: datetime


@dataclass(frozen=True)
class Picture:
    """All of it at one moment. `prometheus` tells whether there is one to ask. Incidents come worst first."""

    now: datetime
    alerts: Sequence[Tally] = ()
    incidents: Sequence[OpenIncident] = ()
    slos: Sequence[tuple[Slo, SloState]] = ()
    saturation: Sequence[tuple[Saturation, SloState]] = ()
    maintenance: Sequence[UnderWay] = ()
    prometheus: bool = False

    @cached_property
    def real(self) -> Sequence[OpenIncident]:
        """The open incidents that are no drill."""
        return [incident for incident in self.incidents if not incident.drill]

    @cached_property
    def naming(self) -> Mapping[str, Sequence[OpenIncident]]:
        """The real ones by each service that they name."""
        found: dict[str, list[OpenIncident]] = {}
        for incident in self.real:
            for service in incident.services:
                found.setdefault(service, []).append(incident)
        return found


@dataclass(frozen=True)
class ServiceAlerts:
    """The alerts of a service (None: they name none), those that fire by severity. `oldest` is when the first of these began.

    `incidents` are the open ones that hold some of them, or name the service.
    """

    service: str | None
    firing: Mapping[Severity | None, int]
    muted: int
    stale: int
    oldest: datetime | None
    incidents: tuple[str, ...]

    @property
    def worst(self) -> Severity | None:
        return worst(self.firing)


def by_service(picture: Picture) -> list[ServiceAlerts]:
    """The worst first; of equal ones that with the most alerts."""
    tallies: dict[str | None, list[Tally]] = {}
    for tally in picture.alerts:
        tallies.setdefault(tally.service, []).append(tally)
    found = [_of(service, mine, picture.naming.get(short(service), ())) for service, mine in tallies.items()]
    return sorted(found, key=lambda each: (each.worst or "unrated", -sum(each.firing.values()), each.service or ""))


def under_way(maintenances: Iterable[Maintenance], now: datetime) -> list[UnderWay]:
    """The windows that are open now."""
    ends = ((maintenance.name, maintenance.window.until(now)) for maintenance in maintenances)
    return [UnderWay(name, until) for name, until in ends if until is not None]


def short(service: str | None) -> str:
    """The service as an incident names it."""
    return one_line(service or "", MAX_SERVICE)


def _of(service: str | None, tallies: Sequence[Tally], naming: Iterable[OpenIncident]) -> ServiceAlerts:
    states: Counter[FiringState] = Counter()
    firing: Counter[Severity | None] = Counter()
    for tally in tallies:
        states[tally.state] += tally.count
        if tally.state is FiringState.FIRING:
            firing[tally.severity] += tally.count
    return ServiceAlerts(
        service=service,
        firing=firing,
        muted=states[FiringState.MUTED],
        stale=states[FiringState.STALE],
        oldest=min((tally.oldest for tally in tallies if tally.state is FiringState.FIRING), default=None),
        incidents=tuple(
            dict.fromkeys([*filter(None, (tally.incident for tally in tallies)), *(incident.id for incident in naming)])
        ),
    )
