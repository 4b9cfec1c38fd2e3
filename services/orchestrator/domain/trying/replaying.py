"""The recorded log played under another policy, and compared with what was decided."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from schemas.incidents import (
    Actor,
    Dismissed,
    IncidentEvent,
    Merged,
    Mitigated,
    Opened,
    Promoted,
    Reopened,
    Resolved,
    SeverityChanged,
    SeverityUnpinned,
)
from schemas.vocabulary import Action, ActorKind, AlertStatus, IncidentState, Severity
from services.orchestrator.domain.alerts.firings import Decision, Firing
from services.orchestrator.domain.deciding.ledger import Outcome
from services.orchestrator.domain.deciding.splitting import New, Wish
from services.orchestrator.domain.evidence.evidence import Level, SloState
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.incident import Refusal
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.trying.comparing import Beginning, Decided, Later, Opening, Report
from services.orchestrator.domain.trying.simulation import Played, Simulation

EVIDENCE_LASTS = timedelta(hours=1)
"""For so long a service level is taken to be as a decision last saw it."""
_OPENS = frozenset({Action.OPEN, Action.TRIAGE})


class Told(NamedTuple):
    """That an alert began or ended, as the log knows it."""

    fingerprint: str
    status: AlertStatus
    labels: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None
    received_at: datetime
    annotations: Mapping[str, str] = {}
    generator_url: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """What was decided at one moment: alerts in their order, what was decided about those that began, and the service levels
    that were looked at."""

    at: datetime
    alerts: list[Told] = field(default_factory=list)
    decided: dict[int, Decided] = field(default_factory=dict)
    slos: dict[str, Level] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ordered:
    """What a person did to an incident, by the type of its event and the change as it was stored; and the alerts that a split
    took along."""

    at: datetime
    incident: str
    type: str
    change: Mapping[str, Any]
    actor: Actor
    reason: str
    alerts: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """`resolved`, of `tocsin.incident.resolved.v1`."""
        return self.type.split(".")[2]


@dataclass(frozen=True)
class Known:
    """What a replay knows beforehand: the numbers of the first decision and the first incident of the log, from when on
    differences count, and what was opened for firings after their decision, by the number of that."""

    first_decision: int
    first_incident: int
    since: datetime
    opened_later: Mapping[int, Later] = field(default_factory=dict)


Compare = Callable[[Decided, Firing, tuple[str, str] | None], None]
"""Told of each decision: as it was made, the firing as it would be decided, and what was and would be done where that differs."""

NOBODY = Actor(kind=ActorKind.SYSTEM, name="nobody")
_UNATTENDED = "nobody can act on an incident that was never opened: it counts as over once mitigation would be proposed"


class Replay:
    """Plays a log, step by step; `report` grows with it."""

    def __init__(self, policy: Policy, known: Known, *, world: Played | None = None, compared: Compare | None = None) -> None:
        self.simulation = Simulation(policy, world=world)
        self.report = Report(known.since)
        self._world, self._compared, self._periods = self.simulation.world, compared, policy.periods
        self._world.next_decision, self._world.next_incident = known.first_decision, known.first_incident
        self._later = dict(known.opened_later)
        self._slos: dict[str, SloState] = {}
        self._real: set[str] = set()

    def play(self, step: Heard | Ordered) -> None:
        """One step of the log."""
        due = self._world.next_moment(self._periods)
        if due is not None and due <= step.at:
            self._advance(self.simulation.advance(step.at))
        if isinstance(step, Ordered):
            self._order(step)
        else:
            self._hear(step)

    def learn(self, decision: int, later: Later) -> None:
        """One more incident that was opened for a firing after its decision."""
        self._later[decision] = later
        opening = self.report.openings.get(decision)
        if opening is not None:
            self._pair(later.incident, opening.incident)

    def finish(self, moment: datetime) -> Report:
        """What falls due until the moment, and then the report."""
        self._advance(self.simulation.advance(moment))
        return self.report

    def _advance(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self._note(outcome)
            for name in self._world.take_proposed():
                self._leave(name)

    def _leave(self, name: str) -> None:
        """Mitigation is proposed. People accept it for what they see; nobody does for what is only in the replay."""
        proposal = self._world.incidents[name].proposal
        if proposal is not None and name not in self._real:
            self.simulation.command(proposal.at, name, ask.Move(Step.RESOLVE), NOBODY, _UNATTENDED)

    def _pair(self, was: str, now: str) -> None:
        """What is done to the one is done to the other."""
        self._real.add(self.report.counterparts.setdefault(was, now))

    def _hear(self, heard: Heard) -> None:
        if heard.slos or self._slos:
            self._learn(heard)
        if heard.decided:
            self._world.next_decision = next(iter(heard.decided))
        outcome = self.simulation.alerts(heard.at, heard.alerts, self._slos, wordy=self._wordy(heard))
        if outcome.events or outcome.turns:
            self._note(outcome)
        for firing in outcome.began:
            assert firing.decision is not None
            was = heard.decided.get(firing.decision.seq)
            if was is not None:
                self._compare(firing, firing.decision, was, heard.at)

    def _wordy(self, heard: Heard) -> bool:
        """Whether it may be told why nothing comes of one of these: an incident was opened for it, or somebody is told all."""
        if self._compared is not None:
            return True
        return any(was.action in _OPENS or seq in self._later for seq, was in heard.decided.items())

    def _learn(self, heard: Heard) -> None:
        """Service levels are as they were last seen, for a while."""
        seen = {name: SloState(name, level, None, None, f"{name} was {level}", heard.at) for name, level in heard.slos.items()}
        known = {name: state for name, state in self._slos.items() if heard.at - state.at <= EVIDENCE_LASTS}
        self._slos = known | seen
        self.report.levels |= seen.keys()
        self._advance(self.simulation.levels(heard.at, self._slos))

    def _compare(self, firing: Firing, now: Decision, was: Decided, at: datetime) -> None:
        report, later = self.report, self._later.get(now.seq)
        earnest = was.incident or (later.incident if later is not None else None)
        if earnest is not None and now.incident is not None:
            self._pair(earnest, now.incident)
        if was.action in _OPENS and was.incident is not None:
            report.was_opened[now.seq] = Later(was.incident, at)
        elif later is not None:
            report.was_opened[now.seq] = later
        if now.seq in report.was_opened:
            report.instead[now.seq] = now.reason
        if now.action in _OPENS and now.incident is not None:
            self._opened(firing, now.incident, now.reason)
        change = report.count(was, now, at)
        if self._compared is not None:
            self._compared(was, firing, change)

    def _note(self, outcome: Outcome) -> None:
        """What is told of incidents, and what became of firings after their decisions."""
        self._note_events(outcome.events)
        if not outcome.turns:
            return
        firings = {firing.decision.seq: firing for firing in (*outcome.changed, *outcome.began) if firing.decision}
        for turn in outcome.turns:
            if turn.event == "opened" and turn.incident is not None:
                self._opened(firings[turn.seq], turn.incident, turn.reason)

    def _note_events(self, events: Iterable[IncidentEvent]) -> None:
        for event in events:
            if event.type == SeverityChanged.TYPE:
                self.report.raised[event.incident.id] = event.reason
            elif event.type == Opened.TYPE:
                quiet = event.change["state"] == IncidentState.TRIAGE
                self.report.began[event.incident.id] = Beginning(event.actor.name, quiet)

    def _opened(self, firing: Firing, name: str, reason: str) -> None:
        assert firing.decision is not None
        seq, incident = firing.decision.seq, self._world.incidents[name]
        real = self.report.was_opened.get(seq) or self._later.get(seq)
        if real is not None:
            self._pair(real.incident, name)
        began = self.report.began[name]
        self.report.openings[seq] = Opening(name, incident.opened_at, firing.name, began.rule, reason, began.quiet)

    def _order(self, what: Ordered) -> None:
        """The person's command on the counterpart of their incident; what does not fit there is counted and left out."""
        done = self._carry_out(what)
        if isinstance(done, list):
            self._note_events(done)
        elif what.at >= self.report.since:
            self.report.inapplicable[what.word] += 1

    def _carry_out(self, what: Ordered) -> list[IncidentEvent] | Refusal | None:
        """None where there is no counterpart."""
        if what.type == Opened.TYPE:
            return self._begin(what)
        name = self.report.counterparts.get(what.incident)
        if name is None:
            return None
        if what.type == Merged.TYPE:
            into = self.report.counterparts.get(str(what.change["into"]))
            return self.simulation.merge(what.at, name, into, what.actor, what.reason) if into is not None else None
        return self.simulation.command(what.at, name, _command(what), what.actor, what.reason)

    def _begin(self, what: Ordered) -> list[IncidentEvent] | Refusal | None:
        """Declare an incident, or split one out."""
        change, source = what.change, what.change.get("split_from")
        if source is not None and source not in self.report.counterparts:
            return None
        new = New(self._world.name_like(what.incident), str(change["uuid"]))
        title, severity = str(change["title"]), Severity(change["severity"])
        if source is None:
            command = ask.Open(new.name, new.uuid, title, severity, tuple(change["services"]))
            done = self.simulation.command(what.at, new.name, command, what.actor, what.reason)
        else:
            wish = Wish(what.alerts, title, severity)
            done = self.simulation.split(what.at, self.report.counterparts[source], wish, new, what.actor, what.reason)
        if isinstance(done, list):
            self._pair(what.incident, new.name)
        return done


_STEPS = {
    Promoted.TYPE: Step.PROMOTE,
    Mitigated.TYPE: Step.MITIGATE,
    Resolved.TYPE: Step.RESOLVE,
    Reopened.TYPE: Step.REOPEN,
    Dismissed.TYPE: Step.DISMISS,
}
RELEVANT = (*_STEPS, Opened.TYPE, SeverityChanged.TYPE, SeverityUnpinned.TYPE, Merged.TYPE)
"""The events behind which there may be a person's command that decisions depend on."""


def _command(what: Ordered) -> ask.Command:
    if what.type == SeverityChanged.TYPE:
        return ask.SetSeverity(Severity(what.change["after"]), bool(what.change["pinned"]))
    return ask.Unpin() if what.type == SeverityUnpinned.TYPE else ask.Move(_STEPS[what.type])
