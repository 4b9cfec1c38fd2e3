"""The recorded log played under another policy, and what would have been different."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from schemas.alerts import AlertReceived
from schemas.incidents import Actor, Incident
from schemas.vocabulary import Action, ActorKind, Severity
from services.orchestrator.domain import commands as ask
from services.orchestrator.domain.evidence import Level, SloState
from services.orchestrator.domain.firings import Firing
from services.orchestrator.domain.incident import Refusal
from services.orchestrator.domain.ledger import Outcome
from services.orchestrator.domain.policy import Policy
from services.orchestrator.domain.simulation import Played, Simulation
from services.orchestrator.domain.transitions import Step

_OPENS = frozenset({Action.OPEN, Action.TRIAGE})


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision as it was made, as far as a replay compares it."""

    seq: int
    action: Action
    incident: str | None
    severity: Severity | None
    rule: str


@dataclass(frozen=True, slots=True)
class Heard:
    """Alerts that were decided in one batch, in their order, with what was decided about those that began."""

    at: datetime
    alerts: Sequence[AlertReceived]
    decided: Mapping[int, Decided]
    slos: Mapping[str, SloState]


@dataclass(frozen=True, slots=True)
class Ordered:
    """What a person did to an incident, by the type of its event and the change as it was stored."""

    at: datetime
    incident: str
    type: str
    change: Mapping[str, Any]
    actor: Actor
    reason: str


@dataclass(frozen=True)
class Opening:
    """An incident that a rule opened: by which decision, with what, and why."""

    at: datetime
    seq: int
    alert: str
    key: str
    incident: str
    severity: Severity
    rule: str
    reason: str
    quiet: bool = False


@dataclass
class Report:
    """What would have been different. `moves` counts decisions by what was and would be done; `openings` and `was_opened`
    are by the number of the decision behind them, in earnest and in the replay; `instead` is what would have been done with
    the decisions behind openings that would not be."""

    decisions: int = 0
    same: int = 0
    moves: Counter[tuple[Action, Action]] = field(default_factory=Counter)
    openings: dict[int, Opening] = field(default_factory=dict)
    was_opened: dict[int, Decided] = field(default_factory=dict)
    instead: dict[int, str] = field(default_factory=dict)
    inapplicable: int = 0
    counterparts: dict[str, str] = field(default_factory=dict)


Compare = Callable[[Decided, Firing, bool], None]
"""Told of each decision: as it was made, the firing as it would be decided, and whether both are the same."""

NOBODY = Actor(kind=ActorKind.SYSTEM, name="nobody")
_UNATTENDED = "nobody can act on an incident that was never opened: it counts as over once mitigation would be proposed"


class Replay:
    """Plays a log. `first` are the numbers of the first decision and the first incident of it, `opened_later` the incidents
    that were opened for firings after their decision, by the number of that, as far as they are known yet."""

    def __init__(
        self,
        policy: Policy,
        first: tuple[int, int],
        opened_later: Mapping[int, str] | None = None,
        *,
        world: Played | None = None,
        compared: Compare | None = None,
    ) -> None:
        self.simulation = Simulation(policy, world=world)
        self.simulation.world.next_decision, self.simulation.world.next_incident = first
        self._opened_later = dict(opened_later or {})
        self._compared = compared
        self._real: set[str] = set()
        self.report = Report()

    def play(self, what: Heard | Ordered) -> None:
        """One step of the log."""
        self._advance(what.at)
        if isinstance(what, Ordered):
            self._order(what)
            return
        if what.decided:
            self.simulation.world.next_decision = next(iter(what.decided))
        outcome = self.simulation.alerts(what.at, what.alerts, what.slos)
        self._note_turns(outcome)
        for firing in outcome.began:
            self._compare(firing, what.decided)

    def learn(self, decision: int, incident: str) -> None:
        """One more incident that was opened for a firing after its decision."""
        self._opened_later[decision] = incident
        opening = self.report.openings.get(decision)
        if opening is not None:
            self._pair(incident, opening.incident)

    def finish(self, moment: datetime) -> Report:
        """What falls due until the moment, and then the report."""
        self._advance(moment)
        return self.report

    def _advance(self, moment: datetime) -> None:
        for outcome in self.simulation.advance(moment):
            self._note_turns(outcome)
            for name in self.simulation.world.take_proposed():
                self._leave(name)

    def _leave(self, name: str) -> None:
        """Mitigation is proposed. People accept it for what they see; nobody does for what is only in the replay."""
        proposal = self.simulation.world.incidents[name].proposal
        if proposal is not None and name not in self._real:
            self.simulation.command(proposal.at, name, ask.Move(Step.RESOLVE), NOBODY, _UNATTENDED)

    def _pair(self, was: str, now: str) -> None:
        """What is done to the one is done to the other."""
        self.report.counterparts.setdefault(was, now)
        self._real.add(self.report.counterparts[was])

    def _compare(self, firing: Firing, recorded: Mapping[int, Decided]) -> None:
        now, report = firing.decision, self.report
        assert now is not None
        was = recorded.get(now.seq)
        if was is None:
            return
        report.decisions += 1
        if was.incident is not None and now.incident is not None:
            self._pair(was.incident, now.incident)
        same_incident = (was.incident is None) == (now.incident is None) and (
            was.incident is None or report.counterparts.get(was.incident) == now.incident
        )
        same = (was.action, was.severity, was.rule) == (now.action, now.severity, now.rule) and same_incident
        report.same += same
        if self._compared is not None:
            self._compared(was, firing, same)
        if was.action is not now.action:
            report.moves[was.action, now.action] += 1
        if was.action in _OPENS or now.seq in self._opened_later:
            opened = was.incident if was.action in _OPENS else self._opened_later[now.seq]
            report.was_opened[now.seq] = replace(was, incident=opened)
            if now.action not in _OPENS:
                report.instead[now.seq] = now.reason
        if now.action in _OPENS and now.incident is not None:
            self._opened(firing, now.incident, now.rule, now.reason)

    def _note_turns(self, outcome: Outcome) -> None:
        firings = {firing.decision.seq: firing for firing in outcome.changed if firing.decision}
        for turn in outcome.turns:
            if turn.event == "opened" and turn.incident is not None and turn.seq in firings:
                self._opened(firings[turn.seq], turn.incident, "later", turn.reason)

    def _opened(self, firing: Firing, name: str, rule: str, reason: str) -> None:
        assert firing.decision is not None
        incident, was = self.simulation.world.incidents[name], self.report.was_opened.get(firing.decision.seq)
        real = was.incident if was is not None else self._opened_later.get(firing.decision.seq)
        if real is not None:
            self._pair(real, name)
        self.report.openings[firing.decision.seq] = Opening(
            at=incident.opened_at,
            seq=firing.decision.seq,
            alert=firing.name,
            key=firing.key,
            incident=name,
            severity=incident.severity,
            rule=rule,
            reason=reason,
            quiet=firing.decision.action is Action.TRIAGE,
        )

    def _order(self, what: Ordered) -> None:
        """The person's command on the counterpart of their incident; what does not fit there is counted and left out."""
        command = _command(what, self.simulation.world.name_like)
        if command is None:
            return
        if isinstance(command, ask.Open):
            self._pair(what.incident, command.id)
        name = self.report.counterparts.get(what.incident)
        done = self.simulation.command(what.at, name, command, what.actor, what.reason) if name is not None else None
        self.report.inapplicable += done is None or isinstance(done, Refusal)


_STEPS = {
    "promoted": Step.PROMOTE,
    "mitigated": Step.MITIGATE,
    "resolved": Step.RESOLVE,
    "reopened": Step.REOPEN,
    "dismissed": Step.DISMISS,
}


def _command(what: Ordered, name_like: Callable[[str], str]) -> ask.Command | None:
    """The command behind an event; None for what no decision depends on. `name_like` names what a person began."""
    word, change = what.type.split(".")[2], what.change
    if word in _STEPS:
        return ask.Move(_STEPS[word])
    if word == "severity_changed":
        return ask.SetSeverity(Severity(change["after"]), bool(change["pinned"]))
    if word == "severity_unpinned":
        return ask.Unpin()
    if word == "opened":
        services, severity = tuple(change["services"]), Severity(change["severity"])
        return ask.Open(name_like(what.incident), str(change["uuid"]), str(change["title"]), severity, services)
    return None


def known_slos(facts: Mapping[str, Any], at: datetime) -> dict[str, SloState]:
    """The service levels that a decision has looked at, from its facts."""
    found = facts.get("slos") or {}
    return {name: SloState(name, Level(level), None, None, f"{name} was {level}", at) for name, level in found.items()}


@dataclass(frozen=True)
class Difference:
    """One line of the report: `would open`, `would not open`, `severity`."""

    what: str
    at: datetime | None
    incident: str | None
    alert: str
    was: str
    would_be: str
    why: str


def differences(report: Report, recorded: Mapping[str, Incident], replayed: Mapping[str, Incident]) -> list[Difference]:
    """What would open, not open, and have another severity, in the order of the decisions behind them.

    `recorded` are the incidents as they are, `replayed` as they would be, both by their names.
    """
    found: list[tuple[int, Difference]] = []
    for seq, was in report.was_opened.items():
        incident = recorded.get(was.incident or "")
        if seq not in report.openings:
            severity = f"{incident.severity}" if incident else "opened"
            line = Difference(
                "would not open", incident.opened_at if incident else None, was.incident,
                incident.title if incident else "", severity, "nothing opened", report.instead.get(seq, ""),
            )  # fmt: skip
            found.append((seq, line))
    for seq, opening in report.openings.items():
        known = report.was_opened.get(seq)
        after = replayed[opening.incident]
        if known is None:
            how = f"{after.highest_severity}{' in triage' if opening.quiet else ''}"
            found.append((seq, Difference("would open", opening.at, None, opening.alert, "not opened", how, opening.reason)))
            continue
        before = recorded.get(known.incident or "")
        if before is not None and before.highest_severity is not after.highest_severity:
            line = Difference(
                "severity", opening.at, before.id, opening.alert, f"{before.highest_severity}", f"{after.highest_severity}",
                opening.reason,
            )  # fmt: skip
            found.append((seq, line))
    return [line for _, line in sorted(found, key=lambda pair: pair[0])]
