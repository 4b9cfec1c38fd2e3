"""What deciding looks at, as it is known at the moment: alerts, incidents, who holds which key, evidence.

The alert handler fills one from the database for each batch; a simulation keeps one for as long as it runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from schemas.ids import incident_id, incident_number
from schemas.incidents import Incident
from schemas.vocabulary import IncidentState
from services.orchestrator.domain.alerts.firings import Firing
from services.orchestrator.domain.alerts.maintenance import Maintenance
from services.orchestrator.domain.evidence.evidence import SloState
from services.orchestrator.domain.incident.incident import Periods, next_due
from services.orchestrator.domain.policy.groups import Group

GUARD_KEY = "*"
"""Under this key stands the group that counts what rules opened."""
UMBRELLA_KEY = "umbrella"
"""The correlation key of umbrella incidents. Keys of alerts have a `=`, so none is like it."""


def pin_key(fingerprint: str) -> str:
    """The key under which a single alert is held by an incident, whatever its labels say (it was split out by hand)."""
    return f"fingerprint:{fingerprint}"


@dataclass
class World:
    """`holders`: per key the incident that holds it, open or not; `due`: firings that time alone may have changed;
    `closed`: incidents that ended lately, for rules about what came before. The numbers are the next to be given."""

    next_decision: int
    next_incident: int
    latest: dict[str, Firing] = field(default_factory=dict)
    holders: dict[str, str] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    due: Sequence[Firing] = ()
    closed: Sequence[Incident] = ()
    maintenance: Sequence[Maintenance] = ()
    slos: Mapping[str, SloState] = field(default_factory=dict)
    incidents: dict[str, Incident] = field(default_factory=dict)
    _by_service: dict[str, dict[str, None]] = field(default_factory=dict)
    _open: dict[str, None] = field(default_factory=dict)

    def add(self, incidents: Iterable[Incident]) -> "World":
        for incident in incidents:
            self.put(incident)
        return self

    def new_name(self, decision: int) -> str:
        """The name of an incident that is opened for the firing with this decision."""
        del decision  # in earnest incidents are numbered
        self.next_incident += 1
        return incident_id(self.next_incident - 1)

    def put(self, incident: Incident) -> None:
        """The incident as it now is."""
        self.incidents[incident.id] = incident
        _mark(self._open, incident)
        for service in incident.services:
            _mark(self._by_service.setdefault(service, {}), incident)

    @property
    def open_count(self) -> int:
        """How many incidents are open."""
        return len(self._open)

    def widen(self, name: str, service: str) -> None:
        """The incident is about this service as well, which it will be told with the rest of the batch."""
        _mark(self._by_service.setdefault(service, {}), self.incidents[name])

    def keep(self, firing: Firing) -> None:
        """The alert's latest firing as it now is."""
        self.latest[firing.fingerprint] = firing

    def next_moment(self, periods: Periods) -> datetime | None:
        """The next moment that something may wait for."""
        incidents = (next_due(self.incidents[name], periods) for name in self._open)
        firings = (self.latest[firing.fingerprint].recheck_at for firing in self.due)
        return min((moment for moment in (*incidents, *firings) if moment is not None), default=None)

    def due_incidents(self, periods: Periods, now: datetime) -> list[str]:
        """Open incidents for which a moment has come that they waited for."""
        moments = ((name, next_due(self.incidents[name], periods)) for name in self._open)
        return [name for name, due in moments if due is not None and due <= now]

    def due_firings(self, now: datetime) -> Sequence[Firing]:
        """Firings that time alone may have changed by now."""
        del now  # asked for when this world was filled
        return self.due

    def holder(self, key: str, fingerprint: str) -> Incident | None:
        """The incident that alerts with this key belong to: an open one that this alert is pinned to, else the key's."""
        pinned = self.incidents.get(self.holders.get(pin_key(fingerprint), ""))
        if pinned is not None and pinned.state.open:
            return pinned
        return self.incidents.get(self.holders.get(key, ""))

    def succeeded(self, incident: Incident) -> bool:
        """Whether another open incident has its own key by now. It holds other keys since a merge, and what fires under
        those must not reopen it then."""
        other = self.incidents.get(self.holders.get(incident.correlation_key or "", ""))
        return other is not None and other.id != incident.id and other.state.open

    def open_on(self, service: str, environment: str | None) -> Incident | None:
        """The oldest open incident of the service in this environment; where one side does not say, it agrees. Drills and
        umbrellas are about no service in particular."""
        here = (self.incidents[name] for name in self._by_service.get(service, ()))
        real = (each for each in here if not each.drill and each.correlation_key != UMBRELLA_KEY)
        agreeing = (each for each in real if agree(each.environment, environment))
        return min(agreeing, key=age, default=None)

    def umbrella(self) -> Incident | None:
        incident = self.incidents.get(self.holders.get(UMBRELLA_KEY, ""))
        return incident if incident is not None and incident.state.open else None

    def group(self, key: str) -> Group:
        return self.groups.get(key) or _NO_GROUP


_NO_GROUP = Group()


def _mark(among: dict[str, None], incident: Incident) -> None:
    """Keep in a set what is open, in the order in which it came."""
    if incident.state.open:
        among[incident.id] = None
    else:
        among.pop(incident.id, None)


def age(incident: Incident) -> tuple[datetime, int]:
    """In this order incidents were opened; a candidate's have no numbers."""
    return incident.opened_at, incident_number(incident.id) or 0


def agree(one: str | None, other: str | None) -> bool:
    """Whether two environments may be the same: where one side does not say, they may."""
    return one is None or other is None or one == other


def ended_at(incident: Incident) -> datetime | None:
    """When it was resolved, if it is."""
    return incident.resolved_at if incident.state in {IncidentState.RESOLVED, IncidentState.REVIEWED} else None
