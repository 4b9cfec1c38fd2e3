"""Playing one test of a policy: what happens in its order, and what came of it beside what was expected."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from schemas.alerts import AlertReceived
from schemas.ids import fingerprint_of
from schemas.incidents import Actor, Incident, IncidentEvent
from schemas.vocabulary import ActorKind, AlertStatus
from services.cli.policy.testfile import (
    Alert,
    Case,
    Command,
    DecisionExpected,
    Expectation,
    IncidentExpected,
    LineExpected,
    SloLevel,
)
from services.orchestrator.domain.alerts.firings import Firing
from services.orchestrator.domain.deciding.ledger import Outcome
from services.orchestrator.domain.evidence.evidence import SloState
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.incident import Refusal
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.trying.simulation import Simulation
from services.runtime.durations import format_duration

TESTER = Actor(kind=ActorKind.PERSON, name="the test")


@dataclass(frozen=True)
class Failure:
    """Something that is not as expected: where, what, what was found instead, and what Tocsin said to it."""

    at: str
    what: str
    expected: str
    got: str
    said: str = ""


@dataclass
class Played:
    """How a test went."""

    name: str
    failures: list[Failure] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)


def play(test: Case, policy: Policy) -> Played:
    """Play the test from its beginning to its last moment."""
    return _Play(test, policy).run()


Happening = Callable[[datetime], None]


class _Play:
    def __init__(self, test: Case, policy: Policy) -> None:
        self._test, self._simulation = test, Simulation(policy, telling=True)
        self._known = {slo.name for slo in policy.slos}
        self._levels: dict[str, SloState] = {}
        self._firings: dict[int, Firing] = {}
        self._events: list[IncidentEvent] = []
        self._played = Played(test.name)

    def run(self) -> Played:
        for moment, happenings in self._in_order():
            self._keep_all(self._simulation.advance(moment))
            for happening in happenings:
                happening(moment)
        self._played.decisions = [_told(firing) for _, firing in sorted(self._firings.items())]
        return self._played

    def _in_order(self) -> Iterator[tuple[datetime, list[Happening]]]:
        """Moment by moment: service levels, the alerts as one batch, people, and then what is expected."""
        test = self._test
        moments: dict[timedelta, list[tuple[int, Happening]]] = {}
        for slo in test.slos:
            moments.setdefault(slo.at, []).append((0, partial(self._level, slo)))
        batches: dict[timedelta, list[tuple[Alert, timedelta, AlertStatus]]] = {}
        for alert in test.alerts:
            for at, began, status in _times(alert):
                batches.setdefault(at, []).append((alert, began, status))
        for at, messages in batches.items():
            moments.setdefault(at, []).append((1, partial(self._hear, messages)))
        for command in test.commands:
            moments.setdefault(command.at, []).append((2, partial(self._order, command)))
        for expectation in test.expect:
            moments.setdefault(expectation.at, []).append((3, partial(self._check, expectation)))
        for at in sorted(moments):
            yield test.start + at, [happening for _, happening in sorted(moments[at], key=lambda pair: pair[0])]

    def _hear(self, messages: Iterable[tuple[Alert, timedelta, AlertStatus]], moment: datetime) -> None:
        heard = [self._message(alert, self._test.start + began, status, moment) for alert, began, status in messages]
        self._keep(self._simulation.alerts(moment, heard, self._levels))

    def _message(self, alert: Alert, began: datetime, status: AlertStatus, moment: datetime) -> AlertReceived:
        return AlertReceived(
            fingerprint=fingerprint_of(alert.labels),
            status=status,
            labels=alert.labels,
            annotations=alert.annotations,
            starts_at=began,
            ends_at=moment if status is AlertStatus.RESOLVED else None,
            received_at=moment,
        )

    def _level(self, slo: SloLevel, moment: datetime) -> None:
        if slo.name not in self._known:
            self._fail(slo.at, f"slo {slo.name}", "an SLO of the policy", "no such SLO")
            return
        state = SloState(slo.name, slo.level, None, moment, f"{slo.name} is {slo.level}", moment)
        self._levels = {**self._levels, slo.name: state}
        self._keep_all(self._simulation.levels(moment, self._levels))

    def _order(self, command: Command, moment: datetime) -> None:
        done = self._simulation.command(moment, command.incident, _command(command), TESTER, "the test wants it so")
        if isinstance(done, Refusal):
            self._fail(command.at, f"{command.do} {command.incident}", "it is done", f"refused: {done.detail}")
        else:
            self._events += done

    def _keep_all(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self._keep(outcome)

    def _keep(self, outcome: Outcome) -> None:
        self._events += outcome.events
        for firing in (*outcome.changed, *outcome.began):
            assert firing.decision is not None
            self._firings[firing.decision.seq] = firing

    def _fail(self, at: timedelta, what: str, expected: object, got: object, said: str = "") -> None:
        self._played.failures.append(Failure(format_duration(at), what, f"{expected}", f"{got}", said))

    def _check(self, expectation: Expectation, _: datetime) -> None:
        incidents, at = self._simulation.world.incidents, expectation.at
        for decision in expectation.decisions:
            self._check_decision(at, decision)
        for expected in expectation.incidents:
            self._check_incident(at, expected, incidents.get(expected.id))
        for line in expectation.timeline:
            self._check_line(at, line)
        names = [incident.id for incident in incidents.values() if incident.state.open]
        if expectation.open is not None and len(names) != expectation.open:
            self._fail(at, "open incidents", expectation.open, f"{len(names)} ({', '.join(names)})" if names else 0)

    def _check_decision(self, at: timedelta, expected: DecisionExpected) -> None:
        wanted = expected.labels | {"alertname": expected.alert}
        mine = (firing for _, firing in sorted(self._firings.items(), reverse=True) if wanted.items() <= firing.labels.items())
        firing, what = next(mine, None), _alert_named(expected)
        if firing is None or firing.decision is None:
            self._fail(at, what, "a decision", "no such alert has fired")
            return
        decision = firing.decision
        found = {
            "action": decision.action,
            "incident": firing.incident or "none",
            "severity": decision.severity or "unknown",
            "rule": decision.rule,
        }
        self._compare(at, what, expected, found, decision.reason)
        if expected.reason is not None and expected.reason not in decision.reason:
            self._fail(at, f"{what}, reason", f"“{expected.reason}” in it", decision.reason)

    def _check_incident(self, at: timedelta, expected: IncidentExpected, incident: Incident | None) -> None:
        if incident is None:
            self._fail(at, expected.id, "an incident", "there is no such incident")
            return
        found = {"state": incident.state, "severity": incident.severity, "firing": incident.alerts.firing}
        self._compare(at, expected.id, expected, found, incident.reason)
        if expected.services is not None and sorted(expected.services) != sorted(incident.services):
            self._fail(at, f"{expected.id}, services", ", ".join(expected.services), ", ".join(incident.services) or "none")
        if expected.title is not None and expected.title not in incident.title:
            self._fail(at, f"{expected.id}, title", f"“{expected.title}” in it", incident.title)

    def _check_line(self, at: timedelta, expected: LineExpected) -> None:
        lines = [event for event in self._events if event.incident.id == expected.incident]
        if not any((expected.text or "") in line.text and (expected.reason or "") in line.reason for line in lines):
            wanted = " and ".join(f"“{part}”" for part in (expected.text, expected.reason) if part)
            found = "; ".join(f"{line.text} ({line.reason})" for line in lines[-5:]) or "it has no lines"
            self._fail(at, f"timeline of {expected.incident}", f"a line with {wanted}", found)

    def _compare(
        self, at: timedelta, what: str, expected: DecisionExpected | IncidentExpected, found: Mapping[str, object], said: str
    ) -> None:
        for key, got in found.items():
            wanted = getattr(expected, key)
            if wanted is not None and wanted != got:
                self._fail(at, f"{what}, {key}", wanted, got, said)


def _times(alert: Alert) -> Iterator[tuple[timedelta, timedelta, AlertStatus]]:
    """When it fires and when it is over, each with when it began."""
    for number in range(alert.times):
        began = alert.at + number * (alert.every or timedelta(0))
        yield began, began, AlertStatus.FIRING
        if alert.lasts is not None:
            yield began + alert.lasts, began, AlertStatus.RESOLVED


def _command(command: Command) -> ask.Command:
    if command.do == "severity":
        assert command.severity is not None
        return ask.SetSeverity(command.severity)
    return ask.Unpin() if command.do == "unpin" else ask.Move(Step(command.do))


def _alert_named(expected: DecisionExpected) -> str:
    labels = ", ".join(f"{name}={value}" for name, value in expected.labels.items())
    return f"alert {expected.alert}{f' ({labels})' if labels else ''}"


def _told(firing: Firing) -> str:
    assert firing.decision is not None
    return f"{firing.decision.action} {firing.incident or ''}: {firing.decision.reason}"
