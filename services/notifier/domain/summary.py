"""What the living message of an incident says, from the incident's snapshot."""

from collections.abc import Iterator
from datetime import datetime

from schemas.incidents import AlertCounts, Incident, IncidentEvent
from schemas.vocabulary import IncidentState
from services.notifier.domain.content import Content, Fact, Link, Mood

_OVER = {IncidentState.RESOLVED, IncidentState.REVIEWED, IncidentState.DISMISSED, IncidentState.MERGED}


def summary(event: IncidentEvent) -> Content:
    """At most ten facts, the most urgent first; what has no value is left out."""
    incident = event.incident
    return Content(
        incident=incident.id,
        headline=incident.title,
        severity=incident.severity,
        mood=mood(incident.state),
        text="\n".join(_lines(incident)),
        facts=tuple(_facts(incident)),
        links=tuple(Link(label=label, url=url) for label, url in incident.links.items()),
        at=event.occurred_at,
    )


def mood(state: IncidentState) -> Mood:
    if state in _OVER:
        return "over"
    return "calm" if state is IncidentState.MITIGATED else "open"


def moment(at: datetime) -> str:
    """`2026-03-01 03:12 UTC`."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _lines(incident: Incident) -> Iterator[str]:
    if incident.merged_into is not None:
        yield f"Merged into {incident.merged_into}: it goes on there, with its alerts."
    if incident.proposal is not None:
        yield f"Proposed: {incident.proposal.state}, since {incident.proposal.reason}. A person decides."
    if incident.last_update is not None:
        update = incident.last_update
        yield f"Latest update, by {update.by} at {moment(update.at)}: {update.text}"
    yield f"Why it was opened: {incident.reason}"


def _facts(incident: Incident) -> Iterator[Fact]:
    yield Fact(name="State", value=_state(incident))
    said: list[tuple[str, str | None]] = [
        ("Severity", _severity(incident)),
        ("Services", ", ".join(incident.services)),
        ("Environment", incident.environment),
        ("Alerts", _alerts(incident.alerts)),
        ("Public state", incident.public_state),
        ("Who", _people(incident)),
        ("Opened", moment(incident.opened_at)),
        ("Mitigated", moment(incident.mitigated_at) if incident.mitigated_at else None),
        ("Resolved", moment(incident.resolved_at) if incident.resolved_at else None),
    ]
    yield from (Fact(name=name, value=value) for name, value in said if value)


def _state(incident: Incident) -> str:
    into = f" into {incident.merged_into}" if incident.merged_into else ""
    marks = [word for word, holds in (("drill", incident.drill), ("security", incident.security)) if holds]
    return f"{incident.state}{into}" + (f" ({', '.join(marks)})" if marks else "")


def _severity(incident: Incident) -> str:
    pinned = ", pinned by a person" if incident.severity_pinned else ""
    highest = f", at worst {incident.highest_severity}" if incident.highest_severity != incident.severity else ""
    return f"{incident.severity}{highest}{pinned}"


def _alerts(alerts: AlertCounts) -> str:
    counts = {"firing": alerts.firing, "muted": alerts.muted, "stale": alerts.stale, "resolved": alerts.resolved}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def _people(incident: Incident) -> str:
    owner = [f"owner {incident.owner}"] if incident.owner else []
    held = [(role, holder) for role, holder in incident.roles.items() if holder is not None]
    return ", ".join(owner + [f"{role.upper()} {holder.person} ({holder.state})" for role, holder in held])
