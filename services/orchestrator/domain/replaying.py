"""The recorded log played under another policy, and compared with what was decided."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from schemas.ids import incident_id
from schemas.incidents import Actor, IncidentEvent, Opened, SeverityChanged
from schemas.vocabulary import Action, AlertStatus, IncidentState, Severity
from services.matching import Selector
from services.orchestrator.domain import commands as ask
from services.orchestrator.domain.comparing import Decided, Later, Opening, Report
from services.orchestrator.domain.evidence import Level, SloState
from services.orchestrator.domain.firings import Decision, Firing
from services.orchestrator.domain.incident import Refusal
from services.orchestrator.domain.ledger import Outcome
from services.orchestrator.domain.maintenance import Maintenance, Planned
from services.orchestrator.domain.policy import Policy
from services.orchestrator.domain.simulation import Simulation
from services.orchestrator.domain.splitting import New, Wish
from services.orchestrator.domain.transitions import Step

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
    """What a person did to an incident: the word of its event (`resolved`), the change as it was stored, and the alerts that a
    split took along."""

    at: datetime
    incident: str
    word: str
    change: Mapping[str, Any]
    actor: Actor
    reason: str
    alerts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Known:
    """What a replay has to know beforehand: the numbers of the first decision and the first incident of the log, from when on
    differences count, what was opened for firings after their decision, and what maintenance people had planned."""

    first_decision: int
    first_incident: int
    since: datetime
    opened_later: Mapping[int, Later] = field(default_factory=dict)
    planned: Sequence[Planned] = ()


class Replay:
    """Plays a log, step by step; `report` grows with it."""

    def __init__(self, policy: Policy, known: Known) -> None:
        self.simulation = Simulation(policy)
        self.report = Report(known.since)
        self._world = self.simulation.world
        self._world.next_decision, self._world.next_incident = known.first_decision, known.first_incident
        self._known, self._slos = known, dict[str, SloState]()
        self._plans = _plans(known.planned)

    def play(self, step: Heard | Ordered) -> None:
        """One step of the log."""
        self._pass_time(step.at)
        if isinstance(step, Ordered):
            self._order(step)
        else:
            self._hear(step)

    def finish(self, moment: datetime) -> Report:
        """What falls due until the end of the log, and then the report."""
        self._pass_time(moment)
        return self.report

    def _pass_time(self, moment: datetime) -> None:
        while self._plans and self._plans[-1].at <= moment:
            plan = self._plans.pop()
            self._note_all(self.simulation.advance(plan.at))
            self._note_all(self.simulation.expect(plan.at, plan.planned, plan.ended))
        due = self._world.next_moment()
        if due is not None and due <= moment:
            self._note_all(self.simulation.advance(moment))

    def _hear(self, heard: Heard) -> None:
        if heard.slos or self._slos:
            self._learn(heard)
        outcome = self.simulation.alerts(heard.at, heard.alerts, self._slos)
        for firing in outcome.began:
            assert firing.decision is not None
            was = heard.decided.get(firing.decision.seq)
            if was is not None:
                self._compare(firing, firing.decision, was, heard.at)
        if outcome.turns or outcome.events:
            self._note(outcome)

    def _learn(self, heard: Heard) -> None:
        seen = {name: SloState(name, level, None, None, f"{name} was {level}", heard.at) for name, level in heard.slos.items()}
        known = {name: state for name, state in self._slos.items() if heard.at - state.at <= EVIDENCE_LASTS}
        self._slos = known | seen
        self._note_all(self.simulation.levels(heard.at, self._slos))

    def _compare(self, firing: Firing, now: Decision, was: Decided, at: datetime) -> None:
        report, later = self.report, self._known.opened_later.get(now.seq)
        earnest = was.incident or (later.incident if later else None)
        if earnest is not None and now.incident is not None:
            report.counterparts.setdefault(earnest, now.incident)
        if was.action in _OPENS and was.incident is not None:
            report.was_opened[now.seq] = Later(was.incident, at)
        elif later is not None:
            report.was_opened[now.seq] = later
        if now.seq in report.was_opened:
            report.instead[now.seq] = now.reason
        if now.action in _OPENS and now.incident is not None:
            self._opened(firing, now.incident, now.reason)
        if at >= self._known.since:
            report.count(was, now)

    def _note_all(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self._note(outcome)

    def _note(self, outcome: Outcome) -> None:
        """What became of firings after their decisions, and what is told of incidents."""
        self._note_events(outcome.events)
        if not outcome.turns:
            return
        firings = {firing.decision.seq: firing for firing in (*outcome.changed, *outcome.began) if firing.decision}
        for turn in outcome.turns:
            if turn.event == "opened" and turn.incident is not None:
                was = self.report.was_opened.get(turn.seq)
                if was is not None:
                    self.report.counterparts.setdefault(was.incident, turn.incident)
                self._opened(firings[turn.seq], turn.incident, turn.reason)

    def _note_events(self, events: Iterable[IncidentEvent]) -> None:
        for event in events:
            if event.type == SeverityChanged.TYPE:
                self.report.raised[event.incident.id] = event.reason
            elif event.type == Opened.TYPE and event.change["state"] == IncidentState.TRIAGE:
                self.report.quiet.add(event.incident.id)

    def _opened(self, firing: Firing, name: str, reason: str) -> None:
        assert firing.decision is not None
        self.report.openings[firing.decision.seq] = Opening(name, self._world.incidents[name].opened_at, firing.name, reason)

    def _order(self, what: Ordered) -> None:
        """The person's command on the counterpart of their incident; what does not fit there is counted and left out."""
        done = self._carry_out(what)
        if not isinstance(done, list):
            if what.at >= self._known.since:
                self.report.inapplicable[what.word] += 1
            return
        self._note_events(done)

    def _carry_out(self, what: Ordered) -> list[IncidentEvent] | Refusal | None:
        """None where there is no counterpart."""
        if what.word == "opened":
            return self._begin(what)
        name = self.report.counterparts.get(what.incident)
        if name is None:
            return None
        if what.word == "merged":
            into = self.report.counterparts.get(str(what.change["into"]))
            return self.simulation.merge(what.at, name, into, what.actor, what.reason) if into is not None else None
        return self.simulation.command(what.at, name, _command(what), what.actor, what.reason)

    def _begin(self, what: Ordered) -> list[IncidentEvent] | Refusal | None:
        """Declare an incident, or split one out."""
        new = New(incident_id(self._world.next_incident), str(what.change["uuid"]))
        title, severity = str(what.change["title"]), Severity(what.change["severity"])
        source = what.change.get("split_from")
        if source is None:
            command = ask.Open(new.name, new.uuid, title, severity, tuple(what.change["services"]))
            done = self.simulation.command(what.at, new.name, command, what.actor, what.reason)
        elif source not in self.report.counterparts:
            return None
        else:
            wish = Wish(what.alerts, title, severity)
            done = self.simulation.split(what.at, self.report.counterparts[source], wish, new, what.actor, what.reason)
        if isinstance(done, list):
            self._world.next_incident += 1
            self.report.counterparts[what.incident] = new.name
        return done


_STEPS = {
    "promoted": Step.PROMOTE,
    "mitigated": Step.MITIGATE,
    "resolved": Step.RESOLVE,
    "reopened": Step.REOPEN,
    "dismissed": Step.DISMISS,
}
ORDERS = (*_STEPS, "opened", "severity_changed", "severity_unpinned", "merged")
"""The events behind which there is a person's command that decisions depend on."""


def _command(what: Ordered) -> ask.Command:
    if what.word == "severity_changed":
        return ask.SetSeverity(Severity(what.change["after"]), bool(what.change["pinned"]))
    return ask.Unpin() if what.word == "severity_unpinned" else ask.Move(_STEPS[what.word])


@dataclass(frozen=True)
class _Plan:
    """From a moment on so much is planned; what was expected by what ended is to be looked at again."""

    at: datetime
    planned: Sequence[Maintenance]
    ended: Sequence[Selector]


def _plans(planned: Sequence[Planned]) -> list[_Plan]:
    """What people planned as it changed, the latest first."""
    moments = {each.created_at for each in planned} | {each.ended_at for each in planned if each.ended_at is not None}
    return [_plan(moment, planned) for moment in sorted(moments, reverse=True)]


def _plan(moment: datetime, planned: Sequence[Planned]) -> _Plan:
    valid = [each for each in planned if each.created_at <= moment and (each.ended_at is None or each.ended_at > moment)]
    ended = [each.maintenance.selector for each in planned if each.ended_at == moment]
    return _Plan(moment, [each.maintenance for each in valid], ended)
