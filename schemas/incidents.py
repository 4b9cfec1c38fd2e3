"""The incident as everybody sees it, and what happens to it.

`Incident` is both the API's shape and the snapshot in every event; it holds no list that grows with the incident.
Each change below is a fact in the past tense; `services.orchestrator.domain.incident.incident.evolve` folds them into an
`Incident`, so the stored state can be rebuilt from them at any moment.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from schemas.base import Contract, Instant
from schemas.vocabulary import ActorKind, FiringState, IncidentState, PublicState, Role, Severity

MAX_TITLE = 200
MAX_TEXT = 4000
MAX_SERVICES = 20
MAX_LINKS = 6
MAX_URL = 800
"""Bytes."""
MAX_SERVICE = 50
MAX_EXAMPLES = 20


class Actor(Contract):
    """Who did it: a person (or token), a rule with the policy that held, a timer, or Tocsin itself."""

    kind: ActorKind
    name: str = Field(max_length=255)
    policy: str | None = None


class RoleHolder(Contract):
    """A role taken, paged for, or acknowledged by a person (an id of the configuration's `people`)."""

    person: str
    state: Literal["engaged", "paged", "acknowledged"]
    since: Instant


class Proposal(Contract):
    """A state that Tocsin proposes and a person may accept."""

    state: IncidentState
    at: Instant
    reason: str


class AlertCounts(Contract):
    """Firings linked to the incident by their state. `gating` counts the firing S1/S2 ones: while there are any, the
    incident is not over."""

    firing: int = 0
    muted: int = 0
    stale: int = 0
    resolved: int = 0
    gating: int = 0


class Update(Contract):
    """The latest thing said to people."""

    text: str = Field(max_length=MAX_TEXT)
    at: Instant
    by: str


class Record(Contract):
    """The state of one effect outside (issue, review, document)."""

    kind: str
    state: Literal["pending", "running", "done", "failed", "unknown", "by_hand"]
    url: str | None = None
    reason: str | None = None
    next_try: Instant | None = None


class Incident(Contract):
    """An incident at one version. Times are UTC; what is not known is None, never guessed.

    `alert_severity` is the worst severity among all alerts that were ever linked and not split out: the floor that rules hold
    to. `quiet_since` is when the last alert ended that holds the incident open (the S1/S2 ones; all of them in triage and when
    there never was one), None while one fires; `held_since` is since when there has always been one, None while it is quiet.
    `flapping_until`: alerts come and go so often that being quiet means nothing before that moment.
    """

    id: str
    uuid: str
    version: int
    title: str
    state: IncidentState
    severity: Severity
    highest_severity: Severity
    severity_pinned: bool = False
    services: tuple[str, ...] = ()
    environment: str | None = None
    correlation_key: str | None = None
    public_state: PublicState = PublicState.INVESTIGATING
    owner: str | None = None
    roles: dict[Role, RoleHolder | None] = Field(default_factory=lambda: dict.fromkeys(Role))
    security: bool = False
    drill: bool = False
    proposal: Proposal | None = None
    alerts: AlertCounts = AlertCounts()
    alert_severity: Severity | None = None
    opened_at: Instant
    mitigated_at: Instant | None = None
    resolved_at: Instant | None = None
    quiet_since: Instant | None = None
    held_since: Instant | None = None
    flapping_until: Instant | None = None
    next_update_due: Instant | None = None
    last_update: Update | None = None
    opened_by: Actor
    reason: str
    merged_into: str | None = None
    links: dict[str, str] = Field(default_factory=dict)
    records: tuple[Record, ...] = ()


class AlertExample(Contract):
    """Enough of a firing to recognise it in a timeline."""

    fingerprint: str
    name: str
    severity: Severity | None = None
    instance: str | None = None


class AlertsAttached(Contract):
    """Firings were linked: how many, how many of them gate, and at most 20 examples. Of the `count`, so many are `muted` or
    `stale` already; the rest are firing."""

    TYPE: ClassVar[str] = "tocsin.incident.alerts_attached.v1"
    count: int
    gating: int
    muted: int = 0
    stale: int = 0
    severity: Severity | None = None
    services: tuple[str, ...] = ()
    links: dict[str, str] = Field(default_factory=dict)
    examples: tuple[AlertExample, ...] = Field(default=(), max_length=MAX_EXAMPLES)


class Opened(Contract):
    """The incident begins to exist, by hand or with the alert that opened it (`first`), so that the first message tells all."""

    TYPE: ClassVar[str] = "tocsin.incident.opened.v1"
    uuid: str
    title: str = Field(max_length=MAX_TITLE)
    state: IncidentState
    severity: Severity
    services: tuple[str, ...] = ()
    environment: str | None = None
    correlation_key: str | None = None
    drill: bool = False
    first: AlertsAttached | None = None
    split_from: str | None = None


class AlertsResolved(Contract):
    """Linked firings ended. Of the `count`, so many were `muted` or `stale` until then; the rest were firing."""

    TYPE: ClassVar[str] = "tocsin.incident.alerts_resolved.v1"
    count: int
    gating: int
    muted: int = 0
    stale: int = 0
    examples: tuple[AlertExample, ...] = Field(default=(), max_length=MAX_EXAMPLES)


class AlertsRestated(Contract):
    """Linked firings that are not over changed their state: silenced (`muted`), no longer heard of (`stale`), firing again."""

    TYPE: ClassVar[str] = "tocsin.incident.alerts_restated.v1"
    before: FiringState
    after: FiringState
    count: int
    examples: tuple[AlertExample, ...] = Field(default=(), max_length=MAX_EXAMPLES)


class Flapping(Contract):
    """An alert has come and gone `times` within the window: the incident stays open until it has been quiet for as long."""

    TYPE: ClassVar[str] = "tocsin.incident.flapping.v1"
    alert: AlertExample
    times: int
    until: Instant


class SeverityChanged(Contract):
    """`pinned` tells whether the new severity is a person's choice that rules may not change."""

    TYPE: ClassVar[str] = "tocsin.incident.severity_changed.v1"
    before: Severity
    after: Severity
    pinned: bool


class SeverityUnpinned(Contract):
    """Rules may raise the severity again."""

    TYPE: ClassVar[str] = "tocsin.incident.severity_unpinned.v1"


class PublicStateChanged(Contract):
    """What the public is told changed."""

    TYPE: ClassVar[str] = "tocsin.incident.public_state_changed.v1"
    before: PublicState
    after: PublicState


class UpdatePosted(Contract):
    """Something was said to people. `next_due` is when they may expect the next."""

    TYPE: ClassVar[str] = "tocsin.incident.update_posted.v1"
    text: str = Field(max_length=MAX_TEXT)
    next_due: Instant | None = None


class NoteAdded(Contract):
    """A line for the timeline; told to nobody."""

    TYPE: ClassVar[str] = "tocsin.incident.note_added.v1"
    text: str = Field(max_length=MAX_TEXT)


class MitigationProposed(Contract):
    """All gating alerts have been quiet for long enough; a person decides."""

    TYPE: ClassVar[str] = "tocsin.incident.mitigation_proposed.v1"
    quiet_since: Instant


class ProposalCleared(Contract):
    """The proposal no longer holds, since something fires again."""

    TYPE: ClassVar[str] = "tocsin.incident.proposal_cleared.v1"


class Mitigated(Contract):
    """The impact is over; the cause may not be."""

    TYPE: ClassVar[str] = "tocsin.incident.mitigated.v1"


class Resolved(Contract):
    """The incident is over."""

    TYPE: ClassVar[str] = "tocsin.incident.resolved.v1"


class Reopened(Contract):
    """It was not over after all."""

    TYPE: ClassVar[str] = "tocsin.incident.reopened.v1"
    before: IncidentState


class Dismissed(Contract):
    """It was a false alarm."""

    TYPE: ClassVar[str] = "tocsin.incident.dismissed.v1"


class Promoted(Contract):
    """A triage incident became an active one."""

    TYPE: ClassVar[str] = "tocsin.incident.promoted.v1"


class Merged(Contract):
    """The incident is the same trouble as another one, which has its alerts now. Nothing comes after this."""

    TYPE: ClassVar[str] = "tocsin.incident.merged.v1"
    into: str


class Absorbed(Contract):
    """Another incident was merged into this one, with its alerts."""

    TYPE: ClassVar[str] = "tocsin.incident.absorbed.v1"
    source: str
    alerts: AlertCounts
    severity: Severity | None = None
    services: tuple[str, ...] = ()
    links: dict[str, str] = Field(default_factory=dict)


class SplitOut(Contract):
    """Some alerts of the incident were another trouble; they belong to the incident `into` now. `severity` is the worst
    among all alerts that stay, over or not."""

    TYPE: ClassVar[str] = "tocsin.incident.split_out.v1"
    into: str
    alerts: AlertCounts
    severity: Severity | None = None
    examples: tuple[AlertExample, ...] = Field(default=(), max_length=MAX_EXAMPLES)


Change = (
    Opened
    | AlertsAttached
    | AlertsResolved
    | AlertsRestated
    | Flapping
    | SeverityChanged
    | SeverityUnpinned
    | PublicStateChanged
    | UpdatePosted
    | NoteAdded
    | MitigationProposed
    | ProposalCleared
    | Mitigated
    | Resolved
    | Reopened
    | Dismissed
    | Promoted
    | Merged
    | Absorbed
    | SplitOut
)

CHANGES: tuple[type[Change], ...] = (
    Opened,
    AlertsAttached,
    AlertsResolved,
    AlertsRestated,
    Flapping,
    SeverityChanged,
    SeverityUnpinned,
    PublicStateChanged,
    UpdatePosted,
    NoteAdded,
    MitigationProposed,
    ProposalCleared,
    Mitigated,
    Resolved,
    Reopened,
    Dismissed,
    Promoted,
    Merged,
    Absorbed,
    SplitOut,
)


class IncidentEvent(Contract):
    """One thing that happened to one incident. Versions of an incident are gapless and start at 1.

    `change` is the body of the event by its type. `incident` is the state after it. `caused_at` is when the alert or
    command that led here was received, so that everything downstream can tell how long people waited.
    """

    type: str
    incident: Incident
    actor: Actor
    occurred_at: Instant
    recorded_at: Instant
    reason: Annotated[str, Field(max_length=MAX_TEXT)]
    text: Annotated[str, Field(max_length=MAX_TEXT)]
    caused_at: Instant | None = None
    change: dict[str, Any]

    @property
    def version(self) -> int:
        return self.incident.version
