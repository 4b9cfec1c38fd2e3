"""Which messages an event of an incident means, for whom, and why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TypeVar

from schemas.base import Contract
from schemas.ids import digest
from schemas.incidents import (
    Absorbed,
    AlertsRestated,
    Dismissed,
    Flapping,
    IncidentEvent,
    Merged,
    Mitigated,
    MitigationProposed,
    NoteAdded,
    Opened,
    Promoted,
    ProposalCleared,
    PublicStateChanged,
    Reopened,
    Resolved,
    SeverityChanged,
    SplitOut,
    UpdatePosted,
)
from schemas.vocabulary import FiringState
from services.notifier.domain.content import Content, Kind
from services.notifier.domain.delivery import Destination, Place
from services.notifier.domain.summary import mood, summary


class Why(Enum):
    """Why a message is sent: a word and a sentence."""

    OPENED = "opened", "an incident begins, and each has one living message at each destination"
    CHANGED = "changed", "something that the living message shows has changed"
    UPDATE = "update_posted", "people are told every update"
    SEVERITY = "severity_changed", "people are told how bad it is"
    PUBLIC = "public_state_changed", "people are told what the public is told"
    PROPOSED = "mitigation_proposed", "a person has to decide whether it is over"
    CLEARED = "proposal_cleared", "the question that was asked no longer stands"
    MITIGATED = "mitigated", "people are told that the impact is over"
    RESOLVED = "resolved", "people are told that the incident is over"
    REOPENED = "reopened", "people are told that it was not over"
    DISMISSED = "dismissed", "people are told that it was a false alarm"
    PROMOTED = "promoted", "people are told that it has to be worked on"
    MERGED = "merged", "people are told where it goes on, and nothing more after that"
    ABSORBED = "absorbed", "people are told that another incident was the same trouble"
    SPLIT = "split_out", "people are told that a part of it is worked on elsewhere"
    FLAPPING = "flapping", "people are told once that quiet means little for now"
    RESTATED = "alerts_restated", "people are told why it went quiet although nothing is over"

    def __init__(self, word: str, sentence: str) -> None:
        self.word, self.sentence = word, sentence

    def __str__(self) -> str:
        return f"{self.word}: {self.sentence}"


@dataclass(frozen=True)
class Planned:
    """A delivery to be made. `caused_at` is when the alert or command behind it was received, None when not known. With `last`
    nothing else is said at its place: what waits there still is not sent any more."""

    id: str
    place: Place
    kind: Kind
    version: int
    content: Content
    why: Why
    caused_at: datetime | None
    last: bool = False


def plan(event_type: str, event: IncidentEvent, destinations: Sequence[Destination]) -> list[Planned]:
    """For each destination the summary, then the reply if the event is worth one. Ids depend on nothing but the event."""
    contents: list[tuple[Kind, Content, Why]] = []
    if event_type != NoteAdded.TYPE:
        contents.append(("summary", summary(event), Why.OPENED if event_type == Opened.TYPE else Why.CHANGED))
    why, told = REPLIES.get(event_type, (Why.CHANGED, _always(None)))
    if (headline := told(event)) is not None:
        contents.append(("reply", _reply(event_type, event, headline), why))
    places = [Place(event.incident.id, destination.channel, destination.name) for destination in destinations]
    return [
        Planned(_id(place, event.version, kind), place, kind, event.version, content, why, event.caused_at, why is Why.MERGED)
        for place in places
        for kind, content, why in contents
    ]


def _id(place: Place, version: int, kind: Kind) -> str:
    return digest(place.channel, place.destination, place.incident, str(version), kind)


Headline = Callable[[IncidentEvent], str | None]
"""The first line of a reply; None when this time nothing is to be said."""


def _always(headline: str | None) -> Headline:
    return lambda _: headline


def _severity(event: IncidentEvent) -> str:
    change = _change(SeverityChanged, event)
    if change is None:
        return f"Severity is now {event.incident.severity}"
    raised = change.after.outranks(change.before)
    return f"Severity {'raised' if raised else 'lowered'} from {change.before} to {change.after}"


def _public(event: IncidentEvent) -> str:
    change = _change(PublicStateChanged, event)
    return f"Public state: {change.before} → {change.after}" if change else f"Public state: {event.incident.public_state}"


def _merged(event: IncidentEvent) -> str:
    return f"Merged into {event.incident.merged_into or 'another incident'}"


def _absorbed(event: IncidentEvent) -> str:
    change = _change(Absorbed, event)
    return f"{change.source if change else 'Another incident'} was merged into this one"


def _split(event: IncidentEvent) -> str:
    change = _change(SplitOut, event)
    return f"A part of it is now {change.into if change else 'another incident'}"


def _flapping(event: IncidentEvent) -> str:
    change = _change(Flapping, event)
    return f"Flapping ×{change.times}: {change.alert.name}" if change else "An alert comes and goes"


_NOW = {FiringState.MUTED: "muted", FiringState.STALE: "no longer heard of", FiringState.FIRING: "firing again"}


def _restated(event: IncidentEvent) -> str | None:
    """That something fires again is always told; that it went quiet only while that matters."""
    change = _change(AlertsRestated, event)
    if change is None or change.after not in _NOW:
        return None
    if change.after is not FiringState.FIRING and not event.incident.state.open:
        return None
    return f"{change.count} {'alert' if change.count == 1 else 'alerts'} {_NOW[change.after]}"


AnyChange = TypeVar("AnyChange", bound=Contract)


def _change(model: type[AnyChange], event: IncidentEvent) -> AnyChange | None:
    """None when the body does not fit its type: what the snapshot tells has to do, for planning must not fail."""
    try:
        return model.model_validate(event.change)
    except ValueError:
        return None


REPLIES: dict[str, tuple[Why, Headline]] = {
    UpdatePosted.TYPE: (Why.UPDATE, lambda event: f"Update by {event.actor.name}"),
    SeverityChanged.TYPE: (Why.SEVERITY, _severity),
    PublicStateChanged.TYPE: (Why.PUBLIC, _public),
    MitigationProposed.TYPE: (Why.PROPOSED, _always("Is it mitigated? All alerts that matter are quiet")),
    ProposalCleared.TYPE: (Why.CLEARED, _always("Not mitigated after all: it fires again")),
    Mitigated.TYPE: (Why.MITIGATED, _always("Mitigated")),
    Resolved.TYPE: (Why.RESOLVED, _always("Resolved")),
    Reopened.TYPE: (Why.REOPENED, _always("Reopened")),
    AlertsRestated.TYPE: (Why.RESTATED, _restated),
    Dismissed.TYPE: (Why.DISMISSED, _always("Dismissed as a false alarm")),
    Promoted.TYPE: (Why.PROMOTED, _always("Promoted from triage")),
    Merged.TYPE: (Why.MERGED, _merged),
    Absorbed.TYPE: (Why.ABSORBED, _absorbed),
    SplitOut.TYPE: (Why.SPLIT, _split),
    Flapping.TYPE: (Why.FLAPPING, _flapping),
}
"""What is worth a message of its own, and its first line."""


def _reply(event_type: str, event: IncidentEvent, headline: str) -> Content:
    return Content(
        incident=event.incident.id,
        headline=headline,
        severity=event.incident.severity,
        mood=mood(event.incident.state),
        text=_words(event_type, event, headline),
        at=event.occurred_at,
    )


def _words(event_type: str, event: IncidentEvent, headline: str) -> str:
    """An update in its own words; else what happened, by whom, and why."""
    update = _change(UpdatePosted, event) if event_type == UpdatePosted.TYPE else None
    if update is not None:
        return update.text
    said = "" if headline in event.text else f"{event.text}\n"
    reason = f": {event.reason}" if event.reason and event.reason not in event.text else ""
    return f"{said}By {event.actor.kind} {event.actor.name}{reason}"
