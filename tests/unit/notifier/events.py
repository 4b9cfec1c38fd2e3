"""Events of incidents, as the orchestrator publishes them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.base import Contract
from schemas.catalogue import encode
from schemas.ids import digest
from schemas.incidents import Actor, AlertCounts, Incident, IncidentEvent, Opened, UpdatePosted
from schemas.topics import INCIDENTS
from schemas.vocabulary import ActorKind, IncidentState, Severity
from services.runtime.bus.port import Message

START = datetime(2026, 3, 1, 3, 12, tzinfo=UTC)
RULE = Actor(kind=ActorKind.RULE, name="open-s1-s2")


def an_incident(**given: Any) -> Incident:
    values: dict[str, Any] = {
        "id": "INC-42",
        "uuid": "0a1b",
        "version": 1,
        "title": "Checkout is down",
        "state": IncidentState.ACTIVE,
        "severity": Severity.S1,
        "highest_severity": Severity.S1,
        "services": ("web", "payments"),
        "environment": "gprd",
        "alerts": AlertCounts(firing=2, resolved=1, gating=2),
        "opened_at": START,
        "opened_by": RULE,
        "reason": "an alert of severity critical fires",
        "links": {"Runbook": "https://runbooks.example/checkout"},
    }
    return Incident(**{**values, **given})


def an_event(change: Contract | None = None, *, text: str = "", caused_at: datetime | None = None, **given: Any) -> IncidentEvent:
    """By default the opening of INC-42; `given` is of the incident after the event."""
    incident = an_incident(**given)
    change = change or Opened(uuid=incident.uuid, title=incident.title, state=incident.state, severity=incident.severity)
    at = START + timedelta(minutes=incident.version)
    return IncidentEvent(
        type=change.TYPE,  # type: ignore[attr-defined]
        incident=incident,
        actor=RULE,
        occurred_at=at,
        recorded_at=at,
        reason="because",
        text=text or "something happened",
        caused_at=caused_at,
        change=change.model_dump(mode="json"),
    )


def an_update(text: str, version: int, **given: Any) -> IncidentEvent:
    return an_event(UpdatePosted(text=text), version=version, **given)


def message(event: IncidentEvent) -> Message:
    """As it goes over the bus."""
    incident = event.incident
    name = digest("event", incident.id, str(incident.version))
    return Message(INCIDENTS, incident.id, encode(event.type, event, id=name, source="orchestrator", subject=incident.id))
