"""From decision to event: carry changes out on an incident and record them."""

from collections.abc import Sequence
from datetime import datetime

from schemas.incidents import MAX_TEXT, Actor, Incident, IncidentEvent, Opened, SeverityChanged
from services.orchestrator.domain.incident.evolve import Happening, evolve
from services.orchestrator.domain.incident.incident import Because
from services.orchestrator.domain.incident.wording import sentence


def record(
    incident_id: str,
    incident: Incident | None,
    changes: Sequence[Because],
    *,
    actor: Actor,
    reason: str,
    now: datetime,
    caused_at: datetime | None = None,
    recorded_at: datetime | None = None,
    telling: bool = True,
) -> tuple[Incident | None, list[IncidentEvent]]:
    """The incident after the changes, and one event for each, versions gapless. Without `telling` only those that tell of an
    incident's beginning and of its severity. What is done late happened `now` and is recorded later."""
    events: list[IncidentEvent] = []
    for because in changes:
        why = (because.reason or reason)[:MAX_TEXT]
        incident = evolve(incident, because.change, Happening(incident_id, actor, now, why))
        if not (telling or isinstance(because.change, Opened | SeverityChanged)):
            continue
        events.append(
            IncidentEvent(
                type=because.change.TYPE,
                incident=incident,
                actor=actor,
                occurred_at=now,
                recorded_at=recorded_at or now,
                reason=why,
                text=sentence(because.change, incident),
                caused_at=caused_at,
                change=because.change.model_dump(mode="json"),
            )
        )
    return incident, events
