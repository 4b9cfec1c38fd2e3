"""Folding events into the incident: pure, total, and the only way its state comes about."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from schemas.incidents import (
    MAX_LINKS,
    MAX_SERVICES,
    Absorbed,
    Actor,
    AlertCounts,
    AlertsAttached,
    AlertsResolved,
    AlertsRestated,
    Change,
    Dismissed,
    Flapping,
    Incident,
    Merged,
    Mitigated,
    MitigationProposed,
    NoteAdded,
    Opened,
    Promoted,
    Proposal,
    ProposalCleared,
    PublicStateChanged,
    Reopened,
    Resolved,
    SeverityChanged,
    SeverityUnpinned,
    SplitOut,
    Update,
    UpdatePosted,
)
from schemas.vocabulary import FiringState, IncidentState, worst

SNAPSHOT_REASON, SNAPSHOT_UPDATE = 500, 1000
"""Characters of the two longest texts that the snapshot repeats; their events hold them whole."""


@dataclass(frozen=True)
class Happening:
    """The circumstances of a change: to which incident, by whom, when, why."""

    incident: str
    actor: Actor
    at: datetime
    reason: str


C = TypeVar("C")
Updates = dict[str, Any]
Fold = Callable[[Incident, Any, Happening], Updates]


def evolve(incident: Incident | None, change: Change, happening: Happening) -> Incident:
    """The incident after the change. Only `Opened` begins one; every other change needs one."""
    if isinstance(change, Opened):
        return _opened(change, happening)
    assert incident is not None, f"{type(change).__name__} on an incident that was never opened"
    updates = _FOLDS[type(change)](incident, change, happening)
    return incident.model_copy(update=updates | {"version": incident.version + 1})


def _opened(change: Opened, happening: Happening) -> Incident:
    incident = Incident(
        id=happening.incident,
        uuid=change.uuid,
        version=1,
        title=change.title,
        state=change.state,
        severity=change.severity,
        highest_severity=change.severity,
        services=change.services,
        environment=change.environment,
        correlation_key=change.correlation_key,
        drill=change.drill,
        opened_at=happening.at,
        opened_by=happening.actor,
        reason=happening.reason[:SNAPSHOT_REASON],
    )
    return incident.model_copy(update=_attached(incident, change.first, happening)) if change.first else incident


def _attached(incident: Incident, change: AlertsAttached, happening: Happening) -> Updates:
    firing = change.count - change.muted - change.stale
    more = AlertCounts(firing=firing, muted=change.muted, stale=change.stale, gating=change.gating)
    updates: Updates = {
        "alert_severity": worst([incident.alert_severity, change.severity]),
        "services": tuple(_first_distinct([*incident.services, *change.services], MAX_SERVICES)),
        "links": merged_links(incident.links, change.links),
    }
    return updates | _counted(incident.model_copy(update=updates), _sum(incident.alerts, more), happening)


def _detached(incident: Incident, change: AlertsResolved, happening: Happening) -> Updates:
    firing = change.count - change.muted - change.stale
    fewer = AlertCounts(firing=firing, muted=change.muted, stale=change.stale, gating=change.gating, resolved=-change.count)
    return _counted(incident, _sum(incident.alerts, fewer, sign=-1), happening)


def _restated(incident: Incident, change: AlertsRestated, happening: Happening) -> Updates:
    moved = {_COUNT[change.before]: -change.count, _COUNT[change.after]: change.count}
    return _counted(incident, _sum(incident.alerts, AlertCounts(**moved)), happening)


_COUNT = {FiringState.FIRING: "firing", FiringState.MUTED: "muted", FiringState.STALE: "stale", FiringState.RESOLVED: "resolved"}


def _merged(_incident: Incident, change: Merged, _happening: Happening) -> Updates:
    """Its alerts are counted by the other one from now on."""
    return {
        "state": IncidentState.MERGED,
        "merged_into": change.into,
        "proposal": None,
        "alerts": AlertCounts(),
        "quiet_since": None,
        "held_since": None,
    }


def _absorbed(incident: Incident, change: Absorbed, happening: Happening) -> Updates:
    updates: Updates = {
        "alert_severity": worst([incident.alert_severity, change.severity]),
        "services": tuple(_first_distinct([*incident.services, *change.services], MAX_SERVICES)),
        "links": merged_links(incident.links, change.links),
    }
    return updates | _counted(incident.model_copy(update=updates), _sum(incident.alerts, change.alerts), happening)


def _split_out(incident: Incident, change: SplitOut, happening: Happening) -> Updates:
    updates: Updates = {"alert_severity": change.severity}
    return updates | _counted(incident.model_copy(update=updates), _sum(incident.alerts, change.alerts, sign=-1), happening)


def _sum(counts: AlertCounts, more: AlertCounts, sign: int = 1) -> AlertCounts:
    """Never below zero: a count that was lost once must not hide what fires now."""
    return AlertCounts(**{name: max(0, getattr(counts, name) + sign * getattr(more, name)) for name in AlertCounts.model_fields})


def _counted(incident: Incident, counts: AlertCounts, happening: Happening) -> Updates:
    """The new counts, and since when it is held or quiet if they tell; alerts that came when they were over make it quiet from
    then."""
    after, held = incident.model_copy(update={"alerts": counts}), holding(incident)
    if holding(after):
        return {"alerts": counts, "quiet_since": None, "held_since": incident.held_since if held else happening.at}
    began = held or (incident.quiet_since is None and counts.resolved)
    return {"alerts": counts, "quiet_since": happening.at if began else incident.quiet_since, "held_since": None}


def holding(incident: Incident) -> int:
    """How many alerts that are not over hold it open: the S1/S2 ones, or any where there never was an S1/S2 one, and in
    triage."""
    critical = incident.alert_severity is not None and incident.alert_severity.critical
    if critical and incident.state is not IncidentState.TRIAGE:
        return incident.alerts.gating
    return incident.alerts.firing + incident.alerts.muted + incident.alerts.stale


def _severity(incident: Incident, change: SeverityChanged, _: Happening) -> Updates:
    highest = worst([incident.highest_severity, change.after])
    return {"severity": change.after, "severity_pinned": change.pinned, "highest_severity": highest}


def _update(_incident: Incident, change: UpdatePosted, happening: Happening) -> Updates:
    said = Update(text=change.text[:SNAPSHOT_UPDATE], at=happening.at, by=happening.actor.name)
    return {"last_update": said, "next_update_due": change.next_due}


def _proposed(_incident: Incident, _change: MitigationProposed, happening: Happening) -> Updates:
    return {"proposal": Proposal(state=IncidentState.MITIGATED, at=happening.at, reason=happening.reason)}


def _promoted(incident: Incident, _change: Promoted, happening: Happening) -> Updates:
    """Lesser alerts no longer hold it where there was a critical one."""
    active = incident.model_copy(update={"state": IncidentState.ACTIVE})
    quiet = happening.at if holding(incident) and not holding(active) else incident.quiet_since
    return {"state": active.state, "quiet_since": quiet}


def _reopened(incident: Incident, _change: Reopened, happening: Happening) -> Updates:
    """Somebody says that it is not over: the quiet period, if there was one, begins anew."""
    over = incident.quiet_since or (incident.alerts.resolved and not holding(incident))
    quiet = happening.at if over else None
    return {"state": IncidentState.ACTIVE, "mitigated_at": None, "resolved_at": None, "proposal": None, "quiet_since": quiet}


def _ended(state: IncidentState, moment: str | None) -> Fold:
    def fold(_incident: Incident, _change: Change, happening: Happening) -> Updates:
        return {"state": state, "proposal": None} | ({moment: happening.at} if moment else {})

    return fold


_FOLDS: Mapping[type[Change], Fold] = {
    AlertsAttached: _attached,
    AlertsResolved: _detached,
    AlertsRestated: _restated,
    Flapping: lambda _incident, change, _happening: {"flapping_until": change.until},
    SeverityChanged: _severity,
    SeverityUnpinned: lambda *_: {"severity_pinned": False},
    PublicStateChanged: lambda _incident, change, _happening: {"public_state": change.after},
    UpdatePosted: _update,
    NoteAdded: lambda *_: {},
    MitigationProposed: _proposed,
    ProposalCleared: lambda *_: {"proposal": None},
    Mitigated: _ended(IncidentState.MITIGATED, "mitigated_at"),
    Resolved: _ended(IncidentState.RESOLVED, "resolved_at"),
    Dismissed: _ended(IncidentState.DISMISSED, None),
    Promoted: _promoted,
    Merged: _merged,
    Absorbed: _absorbed,
    SplitOut: _split_out,
    Reopened: _reopened,
}


def merged_links(known: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """The known links and the new ones, at most six; a second one of a kind is named `runbook 2` and so on."""
    links = dict(known)
    for name, url in more.items():
        if url in links.values() or len(links) >= MAX_LINKS:
            continue
        free = (f"{name} {number}" if number > 1 else name for number in range(1, MAX_LINKS + 1))
        links[next(title for title in free if title not in links)] = url
    return links


def _first_distinct(words: Iterable[str], limit: int) -> list[str]:
    return list(dict.fromkeys(words))[:limit]
