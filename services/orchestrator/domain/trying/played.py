"""A world that lasts: it knows by itself what waits for which moment, what waits for an incident, and what belongs to one."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush

from schemas.incidents import Incident
from schemas.vocabulary import Severity, worst
from services.matching import Selector
from services.orchestrator.domain.alerts.firings import Firing
from services.orchestrator.domain.alerts.maintenance import Planned
from services.orchestrator.domain.deciding.splitting import Linked
from services.orchestrator.domain.deciding.world import World, age
from services.orchestrator.domain.incident.incident import Periods, next_due

CLOSED = 1000
"""How many incidents that ended are remembered for rules about what came before."""


@dataclass
class Played(World):
    """What the orchestrator asks the database for, batch by batch, kept in memory."""

    periods: Periods | None = None
    closed: list[Incident] = field(default_factory=list)
    _incident_moments: list[tuple[datetime, str]] = field(default_factory=list)
    _firing_moments: list[tuple[datetime, int, str]] = field(default_factory=list)
    _waiting: dict[str, dict[str, None]] = field(default_factory=dict)
    _members: dict[str, dict[int, tuple[str, Severity | None]]] = field(default_factory=dict)
    _proposed: list[str] = field(default_factory=list)
    _releases: list[tuple[datetime, int, Selector]] = field(default_factory=list)

    def name_like(self, incident: str) -> str:
        """The name of what a person began, who called it this."""
        del incident
        return self.new_name(self.next_decision)

    def put(self, incident: Incident) -> None:
        before = self.incidents.get(incident.id)
        super().put(incident)
        assert self.periods is not None
        due = next_due(incident, self.periods)
        if due is not None:
            heappush(self._incident_moments, (due, incident.id))
        if incident.resolved_at is not None or (before is not None and before.resolved_at is not None):
            self._remember(incident)
        if incident.proposal is not None and (before is None or before.proposal is None):
            self._proposed.append(incident.id)

    def take_proposed(self) -> list[str]:
        """The incidents for which mitigation has been proposed since this was last asked."""
        taken, self._proposed = self._proposed, []
        return taken

    def _remember(self, incident: Incident) -> None:
        """Among what ended, newest first; one that was reopened did not end."""
        others = [other for other in self.closed if other.id != incident.id]
        if incident.resolved_at is not None:
            older = (place for place, other in enumerate(others) if age(other) < age(incident))
            others.insert(next(older, len(others)), incident)
        self.closed = others[:CLOSED]

    def keep(self, firing: Firing) -> None:
        super().keep(firing)
        if firing.recheck_at is not None:
            heappush(self._firing_moments, (firing.recheck_at, _number(firing), firing.fingerprint))
        if firing.incident is not None:
            self._members.setdefault(firing.incident, {})[_number(firing)] = firing.fingerprint, firing.severity
        waits = firing.incident is None and firing.ends_at is None
        here = self._waiting.setdefault(firing.key, {}) if waits else self._waiting.get(firing.key)
        if here is not None:
            if waits:
                here[firing.fingerprint] = None
            else:
                here.pop(firing.fingerprint, None)

    def due_incidents(self, periods: Periods, now: datetime) -> list[str]:
        found: dict[str, None] = {}
        while self._incident_moments and self._incident_moments[0][0] <= now:
            name = heappop(self._incident_moments)[1]
            due = next_due(self.incidents[name], periods)
            if due is not None and due <= now:
                found[name] = None
        return list(found)

    def due_firings(self, now: datetime) -> Sequence[Firing]:
        found: dict[str, Firing] = {}
        while self._firing_moments and self._firing_moments[0][0] <= now:
            firing = self.latest[heappop(self._firing_moments)[2]]
            if firing.recheck_at is not None and firing.recheck_at <= now:
                found[firing.fingerprint] = firing
        return list(found.values())

    def next_moment(self, periods: Periods) -> datetime | None:
        """The next moment that something may wait for; the periods were asked when it changed."""
        del periods
        heads = [moments[0][0] for moments in (self._incident_moments, self._firing_moments, self._releases) if moments]
        return min(heads, default=None)

    def waiting(self, keys: Iterable[str]) -> list[Firing]:
        """Firings of these keys that are not over and have no incident, in the order of their decisions."""
        names = [name for key in keys for name in self._waiting.get(key, ())]
        return sorted((self.latest[name] for name in names), key=_number)

    def look_again(self, moment: datetime, selectors: Sequence[Selector]) -> None:
        """What is not over and matches any of these is to be weighed anew."""
        for firing in [firing for firing in self.latest.values() if firing.ends_at is None]:
            if any(selector.matches(firing.labels) for selector in selectors):
                self.keep(firing.but(recheck_at=moment))

    def expect_release(self, planned: Planned) -> None:
        """A maintenance is ended before its time."""
        if planned.ended_at is not None:
            heappush(self._releases, (planned.ended_at, planned.number, planned.maintenance.selector))

    def release(self, now: datetime) -> None:
        """What was expected because of a maintenance that has been ended is to be weighed anew."""
        while self._releases and self._releases[0][0] <= now:
            self.look_again(now, [heappop(self._releases)[2]])

    def linked(self, incident: str, alerts: Collection[str]) -> Linked:
        """What is known of an incident's alerts when these are to be split out of it."""
        named = {alert: self.latest[alert] for alert in alerts if alert in self.latest}
        leaving = {_number(firing) for firing in named.values() if firing.incident == incident and firing.ends_at is None}
        staying = {number: member for number, member in self._members.get(incident, {}).items() if number not in leaving}
        mine = (self.latest[alert] for alert, _ in staying.values())
        return Linked(
            named=named,
            others=any(alert not in alerts for alert, _ in staying.values()),
            worst=worst(severity for _, severity in staying.values()),
            keys=frozenset(firing.key for firing in mine if firing.incident == incident and firing.ends_at is None),
            holders={firing.key: self.holders[firing.key] for firing in named.values() if firing.key in self.holders},
        )

    def move(self, moved: Iterable[Firing], target: str) -> None:
        """These belong to another incident from now on."""
        for firing in moved:
            self._members.get(firing.incident or "", {}).pop(_number(firing), None)
            self.keep(firing.but(incident=target))

    def hand_over(self, source: str, target: str) -> None:
        """All alerts and keys of one incident are those of another from now on."""
        members = self._members.pop(source, {})
        self._members.setdefault(target, {}).update(members)
        for alert in dict.fromkeys(alert for alert, _ in members.values()):
            if self.latest[alert].incident == source:
                self.keep(self.latest[alert].but(incident=target))
        self.holders |= {key: target for key, holder in self.holders.items() if holder == source}


def _number(firing: Firing) -> int:
    assert firing.decision is not None
    return firing.decision.seq
