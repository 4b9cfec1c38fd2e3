"""Deciding: what becomes of each new firing, of firings that time has changed, and what that does to incidents.

A batch of messages is decided as if they had come one by one; what it does to one incident is told in a handful of
events, however many alerts there were. What was due before is done first, each at its own moment, so that it does not matter how
late a timer is. Same log, same policy: same decisions.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from schemas.ids import digest
from schemas.incidents import MAX_SERVICE, MAX_TEXT, Incident
from schemas.vocabulary import Action, ActorKind, FiringState, IncidentState
from services.orchestrator.domain.alerts.firings import Decision, Firing, Message, News, given_up, observe
from services.orchestrator.domain.alerts.labels import environment_of, one_line, service_of
from services.orchestrator.domain.alerts.maintenance import covering
from services.orchestrator.domain.deciding.judging import Judge, Verdict, Where
from services.orchestrator.domain.deciding.ledger import Cause, Ledger, Outcome
from services.orchestrator.domain.deciding.linking import attach, detach, example, revive, title, why_over
from services.orchestrator.domain.deciding.world import UMBRELLA_KEY, World
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.groups import newest
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.policy.severity import Assessment, Found, assess, noted
from services.orchestrator.domain.spoken import written

MUTED_LOOK = timedelta(minutes=1)
"""Somebody has silenced it: time alone opens nothing for it, and it is looked at again after so long."""

_OPENS = frozenset({Where.OPEN, Where.TRIAGE, Where.UMBRELLA})


@dataclass
class Tally:
    """What a batch does to one incident: alerts that began with the reason for their severity, that ended with the state they
    were in, how many of these only because they began anew, stale ones that are heard of again, the flapping one, why it is not
    for triage any more, by which rule and why the first one joined, and when the first of all that was heard."""

    began: list[tuple[Firing, Found]] = field(default_factory=list)
    ended: list[tuple[Firing, FiringState]] = field(default_factory=list)
    anew: int = 0
    revived: list[Firing] = field(default_factory=list)
    flapping: Firing | None = None
    wakes: str | None = None
    joined_by: tuple[str, str] = ("", "")
    caused_at: datetime | None = None

    def join(self, firing: Firing, found: Found, rule: str, reason: str) -> None:
        if not self.began:
            self.joined_by = rule, reason
        self.began.append((firing, found))


class Batch:
    """Decides one batch at one moment on a world, which it keeps up to date. When it is done late, `recorded_at` is later."""

    def __init__(
        self,
        policy: Policy,
        world: World,
        now: datetime,
        *,
        recorded_at: datetime | None = None,
        telling: bool = True,
        wordy: bool = True,
    ) -> None:
        self._policy, self._world, self._now = policy, world, now
        self._judge, self._telling = Judge(policy, world, now, wordy), telling
        self._ledger = Ledger(policy, world, now, telling=telling, recorded_at=recorded_at)
        self._done_at = recorded_at or now
        self._tallies: dict[str, Tally] = {}

    def decide(self, alerts: Iterable[Message]) -> None:
        """What is due, then the messages in their order."""
        self.catch_up()
        self.hear(alerts)

    def hear(self, alerts: Iterable[Message]) -> None:
        """The messages in their order, after what was due."""
        for alert in alerts:
            self._take(alert)
        self._tell_all()

    def outcome(self) -> Outcome:
        """Everything since the beginning of the batch."""
        return self._ledger.outcome()

    @property
    def opened_keys(self) -> list[str]:
        """The keys for which `adopt` wants to know what waits under them."""
        return self._ledger.opened_keys()

    def catch_up(self) -> None:
        """Do what was due by now: incidents that waited for a moment, firings that time alone may have changed."""
        for name in self._world.due_incidents(self._policy.periods, self._now):
            cause = Cause("time-passed", "the time for it has come", self._now, ActorKind.TIMER)
            self._ledger.carry_out(name, ask.TimePassed(), cause)
        for firing in self._world.due_firings(self._now):
            self._recheck(firing)
        self._tell_all()

    def adopt(self, waiting: Iterable[Firing]) -> None:
        """Firings without an incident whose key now has one join it, unless a rule wants them recorded only. They count as
        what they are by now."""
        opened = set(self.opened_keys)
        for firing in self._unlinked(waiting):
            holder = self._world.holder(firing.key, firing.fingerprint)
            if firing.key in opened and holder is not None and holder.state.open:
                self._adopt(firing, holder)
        self._tell_all()

    def _adopt(self, firing: Firing, holder: Incident) -> None:
        assessment = self._assess(firing.key, firing)
        found = assessment.found
        if firing.severity is not None and firing.severity.outranks(found.severity):
            found = Found(firing.severity)
        firing = firing.but(severity=found.severity, recheck_at=assessment.recheck_at)
        if self._may_join(firing):
            reason = f"{holder.id} was opened for the same key"
            self._ledger.link(firing, holder.id, "joined", reason)
            self._tally(holder.id, self._now).join(firing, found, "attach-same-key", reason)

    def _unlinked(self, waiting: Iterable[Firing]) -> list[Firing]:
        """Of these and of what began in this batch, as it is now, what has no incident and is not over."""
        began = self._ledger.began.values()
        numbers = {_number(firing) for firing in began}
        latest = (self._world.latest.get(firing.fingerprint, firing) for firing in waiting if _number(firing) not in numbers)
        return [firing for firing in (*latest, *began) if firing.incident is None and firing.ends_at is None]

    def _may_join(self, firing: Firing) -> bool:
        rule = self._policy.rule_for(firing.labels, firing.severity)
        if rule.action in {Action.IGNORE, Action.RECORD}:
            return False
        return covering(self._world.maintenance, firing.labels, self._now) is None

    def _recheck(self, firing: Firing) -> None:
        """Look again at a firing that time alone may have changed. Its decision stands; what becomes of it now is a turn."""
        firing = self._world.latest.get(firing.fingerprint, firing)
        if firing.recheck_at is None or firing.recheck_at > self._now:
            return
        if firing.incident is None and firing.state is FiringState.MUTED:
            self._ledger.keep(firing.but(recheck_at=self._done_at + MUTED_LOOK))
            return
        found = self._assess(firing.key, firing)
        if firing.incident is not None:
            self._ledger.keep(firing.but(recheck_at=found.recheck_at))
            self._raise(firing.incident, found.found)
            self._wake(firing, firing.incident, found)
            return
        verdict = self._judge.judge(firing, found)
        firing = firing.but(recheck_at=verdict.recheck_at or found.recheck_at)
        if verdict.where is Where.NOWHERE:
            self._ledger.keep(firing)
        else:
            self._turn(firing.but(severity=found.severity), verdict, found)

    def _turn(self, firing: Firing, verdict: Verdict, found: Assessment) -> None:
        name = self._go(firing, verdict, found, self._now)
        assert name is not None
        event = "opened" if verdict.where in _OPENS else "joined"
        self._ledger.link(firing, name, event, verdict.reason)
        self._linked(firing, name, verdict, found, self._now)

    def _raise(self, name: str, found: Found) -> None:
        incident = self._world.incidents.get(name)
        if incident is not None and found.severity is not None and found.rule is not None:
            reason = f"{incident.severity} → {found.severity}: {found.why}"
            self._ledger.carry_out(name, ask.Raise(found.severity), Cause(found.rule, reason, self._now))

    def _wake(self, firing: Firing, name: str, found: Assessment) -> None:
        incident = self._world.incidents.get(name)
        why = self._judge.wakes(incident, firing, found) if incident is not None else None
        if why is not None:
            self._ledger.promote(name, Cause("triage-promotion", one_line(why, MAX_TEXT), self._now))

    def _take(self, alert: Message) -> None:
        before = self._known(alert)
        news, firing = observe(before, alert)
        if news in {News.BEGAN, News.ENDED_UNSEEN}:
            self._begin(firing, before, news)
        elif news is News.ENDED:
            assert before is not None
            self._end(firing, before.state, alert.received_at)
        elif firing != before:
            if news is News.REVIVED and firing.incident is not None:
                self._tally(firing.incident, alert.received_at).revived.append(firing)
            self._ledger.keep(firing)

    def _known(self, alert: Message) -> Firing | None:
        """The latest firing of the alert; a stale one is over once the alert has begun anew."""
        before = self._world.latest.get(alert.fingerprint)
        if before is None or before.state is not FiringState.STALE:
            return before
        over = given_up(before, alert)
        if over is None:
            return before
        if over.incident is not None:
            self._tally(over.incident, alert.received_at).anew += 1
        return self._end(over, before.state, alert.received_at)

    def _begin(self, firing: Firing, before: Firing | None, news: News) -> None:
        known = before is not None and before.labels is firing.labels  # a simulation hears of the same labels again and again
        key = before.key if before is not None and known else self._policy.correlation_key(firing.labels)
        begins = newest(before.begins if before else (), firing.received_at, self._policy.flapping)
        if news is News.BEGAN:
            self._note(key, firing)
        found = self._assess(key, firing)
        firing = firing.but(key=key, begins=begins, severity=found.severity, recheck_at=found.recheck_at)
        verdict = self._judge.judge(firing, found) if news is News.BEGAN else _unseen(firing)
        decided = self._decide(firing, verdict, found)
        if decided.incident is not None:
            self._linked(decided, decided.incident, verdict, found, firing.received_at)

    def _linked(self, firing: Firing, name: str, verdict: Verdict, found: Assessment, heard: datetime) -> None:
        tally = self._tally(name, heard)
        if verdict.where not in _OPENS:
            tally.join(firing, found.found, verdict.rule, verdict.reason)
            tally.wakes = tally.wakes or self._judge.wakes(self._world.incidents[name], firing, found)
            if self._policy.depends and (service := service_of(firing.labels)):
                self._world.widen(name, one_line(service, MAX_SERVICE))
        if self._judge.is_flapping(firing):
            tally.flapping = firing

    def _note(self, key: str, firing: Firing) -> None:
        """It is evidence for others, unless a rule wants nothing to do with it."""
        rule = self._policy.rule_for(firing.labels, self._policy.severity_of(firing.labels))
        if rule.action in {Action.IGNORE, Action.RECORD}:
            return
        known = noted(self._policy, key, firing.labels, firing.fingerprint, self._world.group, self._now)
        for at_key, group in known.groups.items():
            self._ledger.set_group(at_key, group)
        self._ledger.stir(known.stirred)

    def _assess(self, key: str, firing: Firing) -> Assessment:
        world = self._world
        return assess(self._policy, firing.labels, key, world.group, world.slos, firing.starts_at, self._now)

    def _decide(self, firing: Firing, verdict: Verdict, found: Assessment) -> Firing:
        """Give the firing its one decision, and do what it says."""
        facts = self._facts(firing, found, verdict) if self._telling else {}
        incident = self._go(firing, verdict, found, firing.received_at)
        if self._telling:
            held = self._world.incidents.get(incident or "")
            facts |= {"incident": incident, "incident_severity": held.severity if held else None}
        decision = Decision(
            seq=self._world.next_decision,
            action=verdict.action,
            incident=incident,
            severity=firing.severity,
            rule=verdict.rule,
            policy=self._policy.version,
            at=self._now,
            reason=one_line(verdict.reason, MAX_TEXT),
            facts=facts,
        )
        self._world.next_decision += 1
        over = firing.ends_at is not None
        decided = firing.but(
            decision=decision,
            incident=incident,
            recheck_at=None if over else verdict.recheck_at or firing.recheck_at,
            closed_at=self._now if over else None,
            closed_before=decision.seq if over else None,
        )
        self._ledger.begin(decided)
        return decided

    def _facts(self, firing: Firing, found: Assessment, verdict: Verdict) -> dict[str, Any]:
        labels = firing.labels
        facts: dict[str, Any] = {
            "severity_label": labels.get(self._policy.severity_label),
            "severity": firing.severity,
            "service": service_of(labels),
            "environment": environment_of(labels),
            "correlation_key": firing.key,
            "starts_at": firing.starts_at.isoformat(),
        }
        if found.found.rule:
            facts |= {"severity_rule": found.found.rule, "severity_reason": found.found.sentence}
        if verdict.maintenance:
            facts["maintenance"] = verdict.maintenance
        if self._world.slos:
            states = (self._world.slos.get(slo.name) for slo in self._policy.slos_for.matching(labels))
            facts["slos"] = {state.name: state.level for state in states if state is not None}
        return facts

    def _go(self, firing: Firing, verdict: Verdict, found: Assessment, heard: datetime) -> str | None:
        """Carry out where the firing goes, as far as it cannot wait for the rest of the batch."""
        if verdict.where in _OPENS:
            return self._open(firing, verdict, found, heard)
        if verdict.incident is None:
            return None
        if verdict.where is Where.REOPEN:
            cause = Cause(verdict.rule, verdict.reason, heard)
            self._ledger.carry_out(verdict.incident, ask.Move(Step.REOPEN), cause)
            self._ledger.note_opened(firing.key, self._world.incidents[verdict.incident].correlation_key)
        if verdict.rule == "rate-guard":
            self._ledger.count_opening()
            self._ledger.hold(firing.key, verdict.incident)
            self._ledger.note_opened(firing.key)
        return verdict.incident

    def _open(self, firing: Firing, verdict: Verdict, found: Assessment, heard: datetime) -> str:
        assert verdict.severity is not None
        name = self._world.new_name(_number(firing) if firing.decision else self._world.next_decision)
        umbrella, service = verdict.where is Where.UMBRELLA, service_of(firing.labels)
        command = ask.Open(
            id=name,
            uuid=digest("incident", name, firing.fingerprint, firing.starts_at.isoformat()),
            title=self._umbrella_title() if umbrella else title(firing),
            severity=verdict.severity,
            services=(one_line(service, MAX_SERVICE),) if service else (),
            environment=None if umbrella else one_line(environment_of(firing.labels) or "", 100) or None,
            correlation_key=UMBRELLA_KEY if umbrella else firing.key,
            state=IncidentState.TRIAGE if verdict.action is Action.TRIAGE else IncidentState.ACTIVE,
            first=attach([(firing, found.found)], self._policy.floor),
        )
        self._ledger.carry_out(name, command, Cause(verdict.rule, verdict.reason, heard))
        self._ledger.note_opened(firing.key)
        self._ledger.count_opening()
        self._ledger.hold(firing.key, name)
        if umbrella:
            self._ledger.hold(UMBRELLA_KEY, name)
        return name

    def _umbrella_title(self) -> str:
        guard = self._policy.guard
        return f"Alert storm: more than {guard.count} incidents within {written(guard.within)}"

    def _end(self, firing: Firing, state: FiringState, heard: datetime) -> Firing:
        firing = firing.but(recheck_at=None, closed_at=self._now, closed_before=self._world.next_decision)
        if firing.incident is not None:
            self._tally(firing.incident, heard).ended.append((firing, state))
        self._ledger.keep(firing)
        return firing

    def _tally(self, name: str, heard: datetime) -> Tally:
        tally = self._tallies.setdefault(name, Tally())
        tally.caused_at = heard if tally.caused_at is None else min(tally.caused_at, heard)
        return tally

    def _tell_all(self) -> None:
        for name, tally in self._tallies.items():
            self._tell(name, tally)
        self._tallies = {}

    def _tell(self, name: str, tally: Tally) -> None:
        """The batch's firings of one incident, as at most one event of each kind."""
        heard = tally.caused_at or self._now
        if tally.began:
            rule, reason = tally.joined_by
            cause = Cause(rule, one_line(reason, MAX_TEXT), heard)
            self._ledger.carry_out(name, attach(tally.began, self._policy.floor), cause)
        if tally.wakes is not None:
            self._ledger.promote(name, Cause("triage-promotion", one_line(tally.wakes, MAX_TEXT), heard))
        if tally.revived:
            self._ledger.carry_out(name, revive(tally.revived), Cause("heard-again", "Alertmanager sends them again.", heard))
        if tally.flapping is not None:
            self._ledger.carry_out(name, *self._flapping(tally.flapping, heard))
        if tally.ended:
            cause = Cause("alert-resolved", why_over(len(tally.ended), tally.anew), heard)
            self._ledger.carry_out(name, detach(tally.ended), cause)

    def _flapping(self, firing: Firing, heard: datetime) -> tuple[ask.Command, Cause]:
        within, times = self._policy.flapping.within, len(firing.begins)
        reason = f"it began {times} times within {written(within)}; the incident stays open until it is quiet for so long"
        return ask.NoteFlapping(example(firing), times, self._now + within), Cause("flapping", reason, heard)


def _number(firing: Firing) -> int:
    assert firing.decision is not None
    return firing.decision.seq


def _unseen(firing: Firing) -> Verdict:
    what = f"{firing.severity or 'Unrated'} alert {firing.name} ({firing.key})"
    reason = f"{what} was over before it was first heard of: nothing to open."
    return Verdict(Where.NOWHERE, Action.RECORD, "over-before-seen", reason)
