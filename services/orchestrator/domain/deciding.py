"""Deciding: what becomes of each new firing, of firings that time has changed, and what that does to incidents.

A batch of messages is decided as if they had come one by one; what it does to one incident is told in a handful of
events, however many alerts there were. What was due before is done first, so that it does not matter how late a timer is.
Same log, same policy: same decisions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from schemas.alerts import AlertReceived
from schemas.ids import digest, incident_id
from schemas.incidents import MAX_SERVICE, MAX_TEXT, Actor, Incident, IncidentEvent
from schemas.vocabulary import Action, ActorKind, FiringState, IncidentState
from services.orchestrator.domain import commands as ask
from services.orchestrator.domain.firings import Decision, Firing, News, given_up, observe
from services.orchestrator.domain.groups import Group, newest
from services.orchestrator.domain.happen import record
from services.orchestrator.domain.incident import Context, Refusal, decide, next_due
from services.orchestrator.domain.judging import Judge, Verdict, Where
from services.orchestrator.domain.labels import environment_of, one_line, service_of
from services.orchestrator.domain.linking import attach, detach, example, restate, title, why_over, why_restated
from services.orchestrator.domain.maintenance import covering
from services.orchestrator.domain.policy import Policy
from services.orchestrator.domain.severity import PROMOTION, Assessment, Found, assess, breadth_sentence, noted, spoken
from services.orchestrator.domain.transitions import Step
from services.orchestrator.domain.world import GUARD_KEY, UMBRELLA_KEY, World


@dataclass(frozen=True)
class Turn:
    """Something that later became of a firing, after its decision: `opened`, `joined`, `moved` …"""

    seq: int
    at: datetime
    event: str
    incident: str | None
    reason: str


@dataclass
class Tally:
    """What a batch does to one incident: alerts that began with the reason for their severity, that ended or turned out to be
    in another state with the state they were in, how many ended only because they began anew, the flapping one, and when the
    first of all that was heard."""

    began: list[tuple[Firing, Found]] = field(default_factory=list)
    ended: list[tuple[Firing, FiringState]] = field(default_factory=list)
    restated: list[tuple[Firing, FiringState]] = field(default_factory=list)
    anew: int = 0
    flapping: Firing | None = None
    caused_at: datetime | None = None

    def because_of(self, moment: datetime) -> None:
        self.caused_at = moment if self.caused_at is None else min(self.caused_at, moment)


@dataclass(frozen=True)
class Outcome:
    """What to store: new firings (in order; of one fingerprint the last is the latest), those that changed, what later became
    of older ones, events, who now holds which key, and the evidence that changed."""

    began: list[Firing]
    changed: list[Firing]
    turns: list[Turn]
    events: list[IncidentEvent]
    holders: dict[str, str]
    groups: dict[str, Group]
    opened: list[str]


class Batch:
    """Decides one batch at one moment on a world, which it keeps up to date."""

    def __init__(self, policy: Policy, world: World, now: datetime) -> None:
        self._policy, self._world, self._now = policy, world, now
        self._judge = Judge(policy, world, now)
        self._context = Context(now=now, periods=policy.periods)
        self._began: dict[int, Firing] = {}
        self._changed: dict[int, Firing] = {}
        self._turns: list[Turn] = []
        self._events: list[IncidentEvent] = []
        self._tallies: dict[str, Tally] = {}
        self._holders: dict[str, str] = {}
        self._groups: dict[str, Group] = {}
        self._opened: list[str] = []

    def decide(self, alerts: Iterable[AlertReceived]) -> None:
        """What is due, then the messages in their order."""
        self.catch_up()
        for alert in alerts:
            self._take(alert)
        self._tell_all()

    def outcome(self) -> Outcome:
        """Everything since the beginning of the batch."""
        return Outcome(
            began=list(self._began.values()),
            changed=list(self._changed.values()),
            turns=self._turns,
            events=self._events,
            holders=self._holders,
            groups=self._groups,
            opened=self._opened,
        )

    @property
    def opened_keys(self) -> list[str]:
        """The keys for which incidents were opened or reopened: what fires under them without an incident belongs to these."""
        names = (self._world.incidents[name] for name in self._opened)
        return [incident.correlation_key for incident in names if incident.correlation_key not in {None, UMBRELLA_KEY}]

    def catch_up(self) -> None:
        """Do what was due by now: incidents that waited for a moment, firings that time alone may have changed."""
        for name, incident in list(self._world.incidents.items()):
            due = next_due(incident, self._policy.periods)
            if due is not None and due <= self._now:
                self.time_passed(name)
        for firing in self._world.due:
            self.recheck(firing)
        self._tell_all()

    def time_passed(self, name: str) -> None:
        """The moment has come for which the incident waited."""
        self._carry_out(name, ask.TimePassed(), ActorKind.TIMER, "time-passed", "the time for it has come", self._now)

    def adopt(self, waiting: Iterable[Firing]) -> None:
        """Firings without an incident whose key now has one join it, unless a rule wants them recorded only."""
        stored = (firing for firing in waiting if firing.decision and firing.decision.seq not in self._changed)
        for firing in [*stored, *self._began.values()]:
            holder = self._world.holder(firing.key, firing.fingerprint)
            if firing.incident is None and firing.ends_at is None and holder is not None and self._may_join(firing):
                self._turn(firing, holder, "joined", f"{holder.id} was opened for the same key")
        self._tell_all()

    def recheck(self, firing: Firing) -> None:
        """Look again at a firing that time alone may have changed. Its decision stands; what becomes of it now is a turn."""
        current = self._world.latest.get(firing.fingerprint, firing)
        if current.decision is None or firing.decision is None or current.decision.seq != firing.decision.seq:
            return
        if current.ends_at is not None:
            self._keep(replace(current, recheck_at=None))
            return
        found = self._assess(current)
        if current.incident is not None:
            self._keep(replace(current, recheck_at=found.recheck_at))
            self._raise(current.incident, found.found)
            return
        verdict = self._judge.judge(current, found)
        self._keep(replace(current, recheck_at=verdict.recheck_at or found.recheck_at))
        if verdict.where is not Where.NOWHERE:
            self._turn_by(self._world.latest[current.fingerprint], verdict, found)

    def _turn_by(self, firing: Firing, verdict: Verdict, found: Assessment) -> None:
        firing = replace(firing, severity=found.severity)
        name = self._go(firing, verdict, found)
        assert name is not None
        event = "joined" if verdict.where in {Where.JOIN, Where.REOPEN} else "opened"
        self._link(firing, name, event, verdict.reason)
        if event == "joined":
            self._tally(name, self._now).began.append((firing, found.found))

    def _turn(self, firing: Firing, holder: Incident, event: str, reason: str) -> None:
        self._link(firing, holder.id, event, reason)
        self._tally(holder.id, self._now).began.append((firing, Found(firing.severity)))

    def _link(self, firing: Firing, name: str, event: str, reason: str) -> None:
        assert firing.decision is not None
        self._turns.append(Turn(firing.decision.seq, self._now, event, name, one_line(reason, MAX_TEXT)))
        if firing.state is not FiringState.FIRING:
            self._tally(name, self._now).restated.append((firing, FiringState.FIRING))
        self._keep(replace(firing, incident=name))

    def _may_join(self, firing: Firing) -> bool:
        rule = self._policy.rule_for(firing.labels, firing.severity)
        if rule.action in {Action.IGNORE, Action.RECORD}:
            return False
        return covering(self._world.maintenance, firing.labels, self._now) is None

    def _take(self, alert: AlertReceived) -> None:
        before = self._known(alert)
        news, firing = observe(before, alert)
        if news in {News.BEGAN, News.ENDED_UNSEEN}:
            self._begin(firing, before, news)
        elif news is News.ENDED:
            assert before is not None
            self._end(firing, before.state, alert.received_at)
        elif firing != before:
            if news is News.REVIVED and firing.incident is not None:
                self._tally(firing.incident, alert.received_at).restated.append((firing, FiringState.STALE))
            self._keep(firing)

    def _known(self, alert: AlertReceived) -> Firing | None:
        """The latest firing of the alert; a stale one is over once the alert has begun anew."""
        before = self._world.latest.get(alert.fingerprint)
        over = given_up(before, alert) if before else None
        if before is None or over is None:
            return before
        if over.incident is not None:
            self._tally(over.incident, alert.received_at).anew += 1
        return self._end(over, before.state, alert.received_at)

    def _begin(self, firing: Firing, before: Firing | None, news: News) -> None:
        key = self._policy.correlation_key(firing.labels)
        earlier = before.begins if before else ()
        begins = newest(earlier, firing.received_at, self._policy.flapping)
        firing = replace(firing, key=key, begins=begins)
        if news is News.BEGAN:
            self._note(firing)
        found = self._assess(firing)
        firing = replace(firing, severity=found.severity, recheck_at=found.recheck_at)
        if news is News.ENDED_UNSEEN:
            self._decide(firing, _unseen(firing), found)
            return
        verdict = self._judge.judge(firing, found)
        decided = self._decide(firing, verdict, found)
        if decided.incident is not None:
            self._linked(decided, verdict, found)

    def _linked(self, firing: Firing, verdict: Verdict, found: Assessment) -> None:
        assert firing.incident is not None
        if verdict.where in {Where.JOIN, Where.REOPEN}:
            self._tally(firing.incident, firing.received_at).began.append((firing, found.found))
        if self._judge.is_flapping(firing):
            self._tally(firing.incident, firing.received_at).flapping = firing

    def _note(self, firing: Firing) -> None:
        before = self._world.group(firing.key)
        after = noted(self._policy, before, firing.labels, self._now)
        if after is not before:
            self._set_group(firing.key, after)

    def _set_group(self, key: str, group: Group) -> None:
        self._world.groups[key] = self._groups[key] = group

    def _assess(self, firing: Firing) -> Assessment:
        group = self._world.group(firing.key)
        return assess(self._policy, firing.labels, group, self._world.slos, firing.starts_at, self._now)

    def _decide(self, firing: Firing, verdict: Verdict, found: Assessment) -> Firing:
        """Give the firing its one decision, and do what it says."""
        facts = self._facts(firing, found, verdict)
        incident = self._go(firing, verdict, found)
        held = self._world.incidents.get(incident or "")
        decision = Decision(
            seq=self._world.next_decision,
            action=verdict.action,
            incident=incident,
            severity=firing.severity,
            rule=verdict.rule,
            policy=self._policy.version,
            at=self._now,
            reason=one_line(verdict.reason, MAX_TEXT),
            facts=facts | {"incident": incident, "incident_severity": held.severity if held else None},
        )
        over = firing.ends_at is not None
        decided = replace(
            firing,
            decision=decision,
            incident=incident,
            recheck_at=None if over else verdict.recheck_at or firing.recheck_at,
            closed_at=self._now if over else None,
            closed_before=decision.seq if over else None,
        )
        self._world.latest[firing.fingerprint] = self._began[decision.seq] = decided
        self._world.next_decision += 1
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

    def _go(self, firing: Firing, verdict: Verdict, found: Assessment) -> str | None:
        """Carry out where the firing goes, as far as it cannot wait for the rest of the batch."""
        if verdict.where is Where.NOWHERE:
            return None
        if verdict.where in {Where.OPEN, Where.TRIAGE, Where.UMBRELLA}:
            return self._open(firing, verdict, found)
        assert verdict.incident is not None
        if verdict.where is Where.REOPEN:
            command = ask.Move(Step.REOPEN)
            self._carry_out(verdict.incident, command, ActorKind.RULE, "refire", verdict.reason, firing.received_at)
            self._opened.append(verdict.incident)
        if verdict.rule == "rate-guard":
            self._count_opening()
            self._hold(firing.key, verdict.incident)
        return verdict.incident

    def _open(self, firing: Firing, verdict: Verdict, found: Assessment) -> str:
        assert verdict.severity is not None
        name = incident_id(self._world.next_incident)
        self._world.next_incident += 1
        umbrella, service = verdict.where is Where.UMBRELLA, service_of(firing.labels)
        triage = verdict.where is Where.TRIAGE or (umbrella and verdict.action is Action.TRIAGE)
        command = ask.Open(
            id=name,
            uuid=digest("incident", name, firing.fingerprint, firing.starts_at.isoformat()),
            title=self._umbrella_title() if umbrella else title(firing),
            severity=verdict.severity,
            services=(one_line(service, MAX_SERVICE),) if service else (),
            environment=None if umbrella else one_line(environment_of(firing.labels) or "", 100) or None,
            correlation_key=UMBRELLA_KEY if umbrella else firing.key,
            state=IncidentState.TRIAGE if triage else IncidentState.ACTIVE,
            first=attach([(firing, found.found)], self._policy.floor),
        )
        self._carry_out(name, command, ActorKind.RULE, verdict.rule, verdict.reason, firing.received_at)
        self._opened.append(name)
        self._count_opening()
        self._hold(firing.key, name)
        if umbrella:
            self._hold(UMBRELLA_KEY, name)
        return name

    def _umbrella_title(self) -> str:
        guard = self._policy.guard
        return f"Alert storm: more than {guard.count} incidents within {spoken(guard.within)}"

    def _count_opening(self) -> None:
        group = self._world.group(GUARD_KEY)
        self._set_group(GUARD_KEY, replace(group, openings=newest(group.openings, self._now, self._policy.guard)))

    def _hold(self, key: str, name: str) -> None:
        self._world.holders[key] = self._holders[key] = name

    def _end(self, firing: Firing, state: FiringState, heard: datetime) -> Firing:
        firing = replace(firing, recheck_at=None, closed_at=self._now, closed_before=self._world.next_decision)
        if firing.incident is not None:
            self._tally(firing.incident, heard).ended.append((firing, state))
        self._keep(firing)
        return firing

    def _keep(self, firing: Firing) -> None:
        self._world.latest[firing.fingerprint] = firing
        assert firing.decision is not None
        seq = firing.decision.seq
        (self._began if seq in self._began else self._changed)[seq] = firing

    def _tally(self, name: str, heard: datetime) -> Tally:
        tally = self._tallies.setdefault(name, Tally())
        tally.because_of(heard)
        return tally

    def _tell_all(self) -> None:
        for name, tally in self._tallies.items():
            self._tell(name, tally)
        self._tallies = {}

    def _tell(self, name: str, tally: Tally) -> None:
        """The batch's firings of one incident, as at most one event of each kind."""
        caused_at = tally.caused_at or self._now
        if tally.began:
            first = tally.began[0][0].decision
            command, reason = attach(tally.began, self._policy.floor), first.reason if first else ""
            self._carry_out(name, command, ActorKind.RULE, "attach-same-key", reason, caused_at)
        for turned in restate(tally.restated):
            self._carry_out(name, turned, ActorKind.RULE, "alert-restated", why_restated(turned), caused_at)
        if tally.flapping is not None:
            self._tell_flapping(name, tally.flapping, caused_at)
        if tally.ended:
            over, reason = detach(tally.ended), why_over(len(tally.ended), tally.anew)
            self._carry_out(name, over, ActorKind.RULE, "alert-resolved", reason, caused_at)

    def _tell_flapping(self, name: str, firing: Firing, caused_at: datetime) -> None:
        flapping = self._policy.flapping
        command = ask.NoteFlapping(example(firing), len(firing.begins), self._now + flapping.within)
        reason = f"it began {len(firing.begins)} times within {spoken(flapping.within)}; it stays open until it is quiet so long"
        self._carry_out(name, command, ActorKind.RULE, "flapping", reason, caused_at)

    def _raise(self, name: str, found: Found) -> None:
        incident = self._world.incidents.get(name)
        if incident is None or found.severity is None or found.rule is None:
            return
        reason = f"{incident.severity} → {found.severity}: {found.why}"
        self._carry_out(name, ask.Raise(found.severity), ActorKind.RULE, found.rule, reason, self._now)

    def _carry_out(self, name: str, command: ask.Command, kind: ActorKind, rule: str, reason: str, caused_at: datetime) -> None:
        self._record(name, command, kind, rule, reason, caused_at)
        why = self._promotion(name)
        if why is not None:
            self._record(name, ask.Move(Step.PROMOTE), ActorKind.RULE, "triage-promotion", why, caused_at)

    def _record(self, name: str, command: ask.Command, kind: ActorKind, rule: str, reason: str, caused_at: datetime) -> None:
        before = self._world.incidents.get(name)
        changes = decide(before, command, self._context)
        assert not isinstance(changes, Refusal), changes
        actor = Actor(kind=kind, name=rule, policy=self._policy.version)
        after, events = record(name, before, changes, actor=actor, reason=reason, now=self._now, caused_at=caused_at)
        if after is not None:
            self._world.put(after)
            self._events += events

    def _promotion(self, name: str) -> str | None:
        """Why a triage incident is to be promoted now; None when it is not."""
        incident, wanted = self._world.incidents.get(name), self._policy.promotion
        if incident is None or incident.state is not IncidentState.TRIAGE:
            return None
        if wanted.severity is not None and not wanted.severity.outranks(incident.severity):
            return f"its severity is {incident.severity}"
        if wanted.breadth is not None and incident.correlation_key is not None:
            group = self._world.group(incident.correlation_key)
            if group.holds(PROMOTION, wanted.breadth, self._now):
                return breadth_sentence(PROMOTION, wanted.breadth, group, self._now)
        return None


def _unseen(firing: Firing) -> Verdict:
    what = f"{firing.severity or 'Unrated'} alert {firing.name} ({firing.key})"
    reason = f"{what} was over before it was first heard of: nothing to open."
    return Verdict(Where.NOWHERE, Action.RECORD, "over-before-seen", reason)


def decide_batch(policy: Policy, world: World, now: datetime, alerts: Sequence[AlertReceived]) -> Outcome:
    """A batch on its own, where everything that waits is in the world already."""
    batch = Batch(policy, world, now)
    batch.decide(alerts)
    return batch.outcome()
