"""A candidate beside the policy in force: it decides what is recorded, and is compared with what was decided. Nothing is done."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from schemas.incidents import Incident
from schemas.vocabulary import Action, Severity
from services.orchestrator.domain.alerts.firings import Decision, Firing
from services.orchestrator.domain.alerts.maintenance import Planned
from services.orchestrator.domain.deciding.ledger import Turn
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.trying.comparing import Decided, Later
from services.orchestrator.domain.trying.replaying import Heard, Known, Ordered, Replay
from services.orchestrator.domain.trying.simulation import Played

FURTHEST = timedelta(days=7)
"""What lies further back than this, a candidate does not know when it begins."""
_OPENS = frozenset({Action.OPEN, Action.TRIAGE})


_PREFIX = "S-"


def shadow_id(decision: int) -> str:
    """`S-812`: the incident that a candidate would have opened for decision 812. It is called the same after a restart."""
    return f"{_PREFIX}{decision}"


@dataclass
class Beside(Played):
    """The candidate's world. What a person began has one name in both."""

    touched: dict[str, None] = field(default_factory=dict)

    def new_name(self, decision: int) -> str:
        return shadow_id(decision)

    def name_like(self, incident: str) -> str:
        return incident

    def put(self, incident: Incident) -> None:
        super().put(incident)
        self.touched[incident.id] = None


@dataclass(frozen=True, slots=True)
class Compared:
    """A decision as it was made and as it would be, and what was and would be done where that differs."""

    was: Decided
    would_be: Decision
    change: tuple[str, str] | None

    @property
    def same(self) -> bool:
        return self.change is None


@dataclass(frozen=True, slots=True)
class Opened:
    """An incident that was opened for the firing with decision `seq`."""

    seq: int
    at: datetime
    incident: str


@dataclass(frozen=True, slots=True)
class WouldOpen(Opened):
    """One that would be: the worst severity so far, by which rule, why it was opened or raised to that, and when it was over, as
    far as it is."""

    severity: Severity
    quiet: bool
    rule: str
    reason: str
    ended_at: datetime | None


@dataclass(frozen=True)
class News:
    """What has become known: decisions in their order, what was opened in earnest, what would be open as it now is, and the names
    of incidents in earnest with those of their counterparts."""

    decisions: Sequence[Compared] = ()
    opened: Sequence[Opened] = ()
    would_open: Sequence[WouldOpen] = ()
    pairs: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when there was an incident; None where it is not known, and where it has no end yet."""

    began: datetime | None
    ended: datetime | None


def beginning(here: datetime, memory: timedelta, spans: Iterable[Span]) -> datetime:
    """From when on the log is to be played for a candidate to know at `here` all that it may look at: a moment at which there
    was no incident and had lately been none, `memory` being how far decisions look back. `FURTHEST` back at most."""
    furthest, waiting = here - FURTHEST, list(spans)
    moment = here - memory
    while moment > furthest:
        alive = [span for span in waiting if span.ended is None or span.ended + memory >= moment]
        before = [span.began for span in alive if span.began is None or span.began < moment]
        if not before:
            return moment
        moment = min((began or furthest) - memory for began in before)
        waiting = [span for span in waiting if span.began is None or span.began < moment]
    return furthest


class Shadow:
    """A candidate that follows the log from its decision `first` on. `moment` is how far it has come."""

    def __init__(self, policy: Policy, first: int, moment: datetime) -> None:
        self.policy, self.moment = policy, moment
        self.world = Beside(first, 1)
        self._replay = Replay(policy, Known(first, 1, moment), world=self.world, compared=self._compared)
        self._decisions: list[Compared] = []
        self._opened: list[Opened] = []
        self._told: dict[str, tuple[Severity, bool]] = {}
        self._paired = 0

    def learn(self, openings: Iterable[Turn]) -> None:
        """Incidents that were opened in earnest for firings that had been decided before."""
        for turn in openings:
            if turn.incident is not None:
                self._replay.learn(turn.seq, Later(turn.incident, turn.at))
                self._opened.append(Opened(turn.seq, turn.at, turn.incident))

    def plan(self, planned: Sequence[Planned]) -> None:
        """All that people have planned so far."""
        self._replay.simulation.plan(planned)

    def play(self, step: Heard | Ordered) -> None:
        """The next step of the log."""
        self._replay.play(step)
        self.moment = max(self.moment, step.at)

    def wait(self, moment: datetime) -> None:
        """Nothing more was heard until then; what falls due meanwhile is done."""
        self._replay.finish(moment)
        self.moment = max(self.moment, moment)

    def take(self) -> News:
        """What has become known since this was last asked."""
        touched, self.world.touched = self.world.touched, {}
        would_open = [opened for name in touched if (opened := self._would_open(self.world.incidents[name])) is not None]
        counterparts = self._replay.report.counterparts
        pairs = list(islice(counterparts.items(), self._paired, None))
        news = News(self._decisions, self._opened, would_open, pairs)
        self._decisions, self._opened, self._paired = [], [], len(counterparts)
        return news

    @property
    def open(self) -> int:
        """How many incidents would be open."""
        return self.world.open_count

    def _compared(self, was: Decided, firing: Firing, change: tuple[str, str] | None) -> None:
        assert firing.decision is not None
        self._decisions.append(Compared(was, firing.decision, change))
        if was.action in _OPENS and was.incident is not None:
            self._opened.append(Opened(was.seq, firing.decision.at, was.incident))

    def _would_open(self, incident: Incident) -> WouldOpen | None:
        """None when a person opened it, or when nothing of it has changed that is told."""
        seq = int(incident.id.removeprefix(_PREFIX)) if incident.id.startswith(_PREFIX) else 0
        opening = self._replay.report.openings.get(seq)
        state = (incident.highest_severity, incident.state.open)
        if opening is None or self._told.get(incident.id) == state:
            return None
        self._told[incident.id] = state
        return WouldOpen(
            seq=seq,
            at=opening.at,
            incident=incident.id,
            severity=incident.highest_severity,
            quiet=opening.quiet,
            rule=opening.rule,
            reason=self._replay.report.raised.get(incident.id) or opening.reason,
            ended_at=None if incident.state.open else incident.resolved_at or self.moment,
        )
