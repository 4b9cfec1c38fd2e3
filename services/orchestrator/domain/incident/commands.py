"""What somebody or something asks of an incident; each may be refused."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.incidents import AlertCounts, AlertExample
from schemas.vocabulary import FiringState, IncidentState, PublicState, Severity
from services.orchestrator.domain.incident.transitions import Step


@dataclass(frozen=True)
class Attach:
    """Link firings. `severity` is the worst among them; `gating` counts the S1/S2 ones; so many are `muted` or `stale`. The
    incident is `at_least` that severe from now on; `why` is the reason for it where a rule gave it."""

    count: int
    gating: int
    severity: Severity | None
    services: tuple[str, ...]
    links: dict[str, str]
    examples: tuple[AlertExample, ...]
    at_least: Severity | None = None
    why: str | None = None
    muted: int = 0
    stale: int = 0


@dataclass(frozen=True)
class Open:
    """Begin an incident, by hand or by rule with the first alert."""

    id: str
    uuid: str
    title: str
    severity: Severity
    services: tuple[str, ...] = ()
    environment: str | None = None
    correlation_key: str | None = None
    drill: bool = False
    state: IncidentState = IncidentState.ACTIVE
    first: Attach | None = None
    split_from: str | None = None


@dataclass(frozen=True)
class Detach:
    """Linked firings ended; of them so many were `muted` or `stale`."""

    count: int
    gating: int
    examples: tuple[AlertExample, ...]
    muted: int = 0
    stale: int = 0


@dataclass(frozen=True)
class Restate:
    """Linked firings that are not over turned out to be in another state; `gating` counts the S1/S2 ones."""

    before: FiringState
    after: FiringState
    count: int
    examples: tuple[AlertExample, ...]
    gating: int = 0


@dataclass(frozen=True)
class NoteFlapping:
    """An alert comes and goes: told once, then the incident stays open until `until`."""

    alert: AlertExample
    times: int
    until: datetime


@dataclass(frozen=True)
class Raise:
    """A rule finds it worse than it is recorded; a pinned severity stands."""

    severity: Severity


@dataclass(frozen=True)
class SetSeverity:
    """A person's judgement; pinned unless they say otherwise."""

    severity: Severity
    pin: bool = True


@dataclass(frozen=True)
class Unpin:
    """Let rules raise the severity again."""


@dataclass(frozen=True)
class SetPublicState:
    """What the public is told."""

    state: PublicState


@dataclass(frozen=True)
class PostUpdate:
    """Say something to people. `next_in` promises when they hear more."""

    text: str
    next_in: timedelta | None = None


@dataclass(frozen=True)
class AddNote:
    """Keep a line in the timeline."""

    text: str


@dataclass(frozen=True)
class TimePassed:
    """A moment has come for which the incident waited: mitigation may be proposed, a triage incident dismissed or promoted."""


@dataclass(frozen=True)
class Merge:
    """It is the same trouble as `into`."""

    into: str


@dataclass(frozen=True)
class Absorb:
    """The other half of a merge: what the merged incident brings along."""

    source: str
    alerts: AlertCounts
    severity: Severity | None
    services: tuple[str, ...]
    links: dict[str, str]


@dataclass(frozen=True)
class SplitOut:
    """Some of its alerts are another trouble; `severity` is the worst among those that stay."""

    into: str
    alerts: AlertCounts
    severity: Severity | None
    examples: tuple[AlertExample, ...]


@dataclass(frozen=True)
class Move:
    """Change the state by one step of the transition table."""

    step: Step


Command = (
    Open
    | Attach
    | Detach
    | Restate
    | NoteFlapping
    | Raise
    | SetSeverity
    | Unpin
    | SetPublicState
    | PostUpdate
    | AddNote
    | TimePassed
    | Merge
    | Absorb
    | SplitOut
    | Move
)
