"""What somebody or something asks of an incident; each may be refused."""

from dataclasses import dataclass
from datetime import timedelta

from schemas.incidents import AlertExample
from schemas.vocabulary import IncidentState, PublicState, Severity
from services.orchestrator.domain.transitions import Step


@dataclass(frozen=True)
class Attach:
    """Link firings. `severity` is the worst among them; `gating` counts the S1/S2 ones."""

    count: int
    gating: int
    severity: Severity | None
    services: tuple[str, ...]
    links: dict[str, str]
    examples: tuple[AlertExample, ...]


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


@dataclass(frozen=True)
class Detach:
    """Linked firings ended."""

    count: int
    gating: int
    examples: tuple[AlertExample, ...]


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
class ProposeMitigation:
    """The quiet period may be over."""


@dataclass(frozen=True)
class Move:
    """Change the state by one step of the transition table."""

    step: Step


Command = Open | Attach | Detach | SetSeverity | Unpin | SetPublicState | PostUpdate | AddNote | ProposeMitigation | Move
