"""Deciding about alerts: what becomes of each new firing, and what that does to incidents.

A batch of messages is decided as if they had come one by one; what it does to one incident is told in a handful of
events, however many alerts there were. Same log, same policy: same decisions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from schemas.alerts import AlertReceived
from schemas.ids import digest, incident_id
from schemas.incidents import (
    MAX_EXAMPLES,
    MAX_LINKS,
    MAX_SERVICE,
    MAX_SERVICES,
    MAX_TEXT,
    MAX_TITLE,
    MAX_URL,
    Actor,
    AlertExample,
    Incident,
    IncidentEvent,
)
from schemas.vocabulary import Action, ActorKind, IncidentState, worst
from services.orchestrator.domain import commands as ask
from services.orchestrator.domain.evolve import merged_links
from services.orchestrator.domain.firings import Decision, Firing, News, observe
from services.orchestrator.domain.happen import record
from services.orchestrator.domain.incident import Context, Refusal, decide
from services.orchestrator.domain.policy import Policy, environment_of, one_line, service_of
from services.orchestrator.domain.transitions import Step


@dataclass(frozen=True)
class Verdict:
    """What a rule says of a firing, before it has a number."""

    action: Action
    rule: str
    reason: str
    incident: str | None = None


@dataclass
class Tally:
    """What a batch does to one incident."""

    began: list[Firing] = field(default_factory=list)
    ended: list[Firing] = field(default_factory=list)


@dataclass(frozen=True)
class Known:
    """What the store knows about the alerts of a batch.

    `latest` by fingerprint; `incidents` are the open ones with a key of the batch, those that were resolved within the
    re-fire window, and those that the latest firings are linked to.
    """

    latest: Mapping[str, Firing]
    incidents: Sequence[Incident]
    next_decision: int
    next_incident: int


@dataclass(frozen=True)
class Outcome:
    """What to store: new firings (in order; of one fingerprint the last is the latest), those that changed, and events."""

    began: list[Firing]
    changed: list[Firing]
    events: list[IncidentEvent]
    incidents: list[Incident]


class Batch:
    """Decides one batch. Lives for one transaction."""

    def __init__(self, policy: Policy, known: Known, now: datetime) -> None:
        self._policy, self._now = policy, now
        self._context = Context(now=now, quiet=policy.quiet)
        self._latest = dict(known.latest)
        self._incidents = {incident.id: incident for incident in known.incidents}
        self._by_key = _holders(known.incidents, now - policy.refire_window)
        self._seq, self._number = known.next_decision, known.next_incident
        self._began: dict[int, Firing] = {}
        self._changed: dict[str, Firing] = {}
        self._events: list[IncidentEvent] = []
        self._tallies: dict[str, Tally] = {}
        self._caused_at: dict[str, datetime] = {}

    def decide(self, alerts: Iterable[AlertReceived]) -> Outcome:
        """The outcome of the messages in their order."""
        for alert in alerts:
            self._take(alert)
        for incident, tally in self._tallies.items():
            self._tell(incident, tally)
        touched = {event.incident.id for event in self._events}
        return Outcome(
            began=list(self._began.values()),
            changed=list(self._changed.values()),
            events=self._events,
            incidents=[self._incidents[name] for name in sorted(touched)],
        )

    def _take(self, alert: AlertReceived) -> None:
        before = self._latest.get(alert.fingerprint)
        news, firing = observe(before, alert, self._policy.severity_of(alert.labels))
        if news in {News.BEGAN, News.ENDED_UNSEEN}:
            firing = self._number_it(firing, self._judge(news, firing))
            if firing.incident is not None and firing.decision and firing.decision.action is Action.ATTACH:
                self._tallies.setdefault(firing.incident, Tally()).began.append(firing)
        elif firing == before:
            return
        if news is News.ENDED and firing.incident is not None:
            self._tallies.setdefault(firing.incident, Tally()).ended.append(firing)
            self._caused_at.setdefault(firing.incident, alert.received_at)
        self._keep(firing)

    def _keep(self, firing: Firing) -> None:
        self._latest[firing.fingerprint] = firing
        assert firing.decision is not None
        if firing.decision.seq in self._began:
            self._began[firing.decision.seq] = firing
        else:
            self._changed[firing.fingerprint] = firing

    def _number_it(self, firing: Firing, verdict: Verdict) -> Firing:
        decision = Decision(
            seq=self._seq,
            action=verdict.action,
            incident=verdict.incident,
            severity=firing.severity,
            rule=verdict.rule,
            policy=self._policy.version,
            at=self._now,
            reason=one_line(verdict.reason, MAX_TEXT),
            facts=self._facts(firing, verdict),
        )
        self._began[self._seq] = decided = replace(firing, decision=decision)
        self._seq += 1
        return decided

    def _facts(self, firing: Firing, verdict: Verdict) -> dict[str, Any]:
        incident = self._incidents.get(verdict.incident or "")
        return {
            "severity_label": firing.labels.get(self._policy.severity_label),
            "severity": firing.severity,
            "service": service_of(firing.labels),
            "environment": environment_of(firing.labels),
            "correlation_key": self._policy.correlation_key(firing.labels),
            "incident": verdict.incident,
            "incident_severity": incident.severity if incident else None,
            "starts_at": firing.starts_at.isoformat(),
        }

    def _judge(self, news: News, firing: Firing) -> Verdict:
        key = self._policy.correlation_key(firing.labels)
        what = f"{firing.severity or 'Unrated'} alert {firing.name} ({key})"
        if news is News.ENDED_UNSEEN:
            return Verdict(Action.RECORD, "over-before-seen", f"{what} was over before it was first heard of: nothing to open.")
        holder = self._by_key.get(key)
        if holder is not None and holder.state.open:
            return self._join(holder, firing, what)
        if not firing.gating:
            return Verdict(Action.RECORD, *_why_recorded(firing, what, self._policy.severity_label))
        if holder is not None:
            return self._refire(holder, firing, what)
        return self._open(key, firing, what)

    def _join(self, holder: Incident, firing: Firing, what: str) -> Verdict:
        if firing.gating and holder.state is IncidentState.MITIGATED:
            return self._refire(holder, firing, what)
        reason = f"{what} joins {holder.id}, which is {holder.state} for the same key."
        return Verdict(Action.ATTACH, "attach-same-key", reason, holder.id)

    def _refire(self, holder: Incident, firing: Firing, what: str) -> Verdict:
        since = holder.mitigated_at if holder.state is IncidentState.MITIGATED else holder.resolved_at
        ago = f" {(self._now - since).total_seconds() / 60:.0f} minutes ago" if since else ""
        reason = f"{what} fires again: {holder.id} was {holder.state}{ago} and is reopened."
        self._carry_out(holder.id, ask.Move(Step.REOPEN), "refire", reason, firing.received_at)
        return Verdict(Action.ATTACH, "refire", reason, holder.id)

    def _open(self, key: str, firing: Firing, what: str) -> Verdict:
        assert firing.severity is not None
        name = incident_id(self._number)
        self._number += 1
        reason = f"{what}: no open incident has this key, and {firing.severity} opens one."
        service = service_of(firing.labels)
        command = ask.Open(
            id=name,
            uuid=digest("incident", name, firing.fingerprint, firing.starts_at.isoformat()),
            title=_title(firing),
            severity=firing.severity,
            services=(one_line(service, MAX_SERVICE),) if service else (),
            environment=one_line(environment_of(firing.labels) or "", 100) or None,
            correlation_key=key,
            first=_attach([firing]),
        )
        self._carry_out(name, command, "open-s1-s2", reason, firing.received_at)
        return Verdict(Action.OPEN, "open-s1-s2", reason, name)

    def _tell(self, name: str, tally: Tally) -> None:
        """The batch's firings of one incident, as at most one event of each kind."""
        if tally.began:
            reason = tally.began[0].decision.reason if tally.began[0].decision else ""
            first_heard = min(firing.received_at for firing in tally.began)
            self._carry_out(name, _attach(tally.began), "attach-same-key", reason, first_heard)
        if tally.ended:
            gating = sum(firing.gating for firing in tally.ended)
            over = ask.Detach(count=len(tally.ended), gating=gating, examples=_examples(tally.ended))
            self._carry_out(name, over, "alert-resolved", "Alertmanager reports them resolved.", self._caused_at[name])

    def _carry_out(self, name: str, command: ask.Command, rule: str, reason: str, caused_at: datetime) -> None:
        before = self._incidents.get(name)
        changes = decide(before, command, self._context)
        assert not isinstance(changes, Refusal), changes
        actor = Actor(kind=ActorKind.RULE, name=rule, policy=self._policy.version)
        after, events = record(name, before, changes, actor=actor, reason=reason, now=self._now, caused_at=caused_at)
        if after is not None:
            self._incidents[name] = after
            self._events += events
            if after.correlation_key is not None:
                self._by_key[after.correlation_key] = after


def _holders(incidents: Iterable[Incident], resolved_since: datetime) -> dict[str, Incident]:
    """Per correlation key the open incident, else the one resolved last (but not before `resolved_since`)."""
    holders: dict[str, Incident] = {}
    for incident in sorted(incidents, key=lambda i: (i.state.open, i.resolved_at or i.opened_at)):
        recent = incident.state is IncidentState.RESOLVED and incident.resolved_at and incident.resolved_at >= resolved_since
        if incident.correlation_key is not None and (incident.state.open or recent):
            holders[incident.correlation_key] = incident
    return holders


def _why_recorded(firing: Firing, what: str, label: str) -> tuple[str, str]:
    if firing.severity is None:
        word = firing.labels.get(label)
        found = f"{label}={word!r} is no known severity" if word else f"it has no label {label!r}"
        return "unknown-severity", f"{what}: {found}, so it is recorded only."
    return "record-s3-s4", f"{what}: no open incident has this key, and {firing.severity} does not open one."


def _title(firing: Firing) -> str:
    given = next((firing.annotations[name] for name in ("title", "summary") if firing.annotations.get(name)), None)
    service = service_of(firing.labels)
    plain = firing.name if service in {None, firing.name} else f"{firing.name} on {service}"
    return one_line(given or "", MAX_TITLE) or one_line(plain, MAX_TITLE) or "Unnamed alert"


def _attach(firings: Sequence[Firing]) -> ask.Attach:
    return ask.Attach(
        count=len(firings),
        gating=sum(firing.gating for firing in firings),
        severity=worst(firing.severity for firing in firings),
        services=_services(firings),
        links=_links(firings),
        examples=_examples(firings),
    )


def _services(firings: Iterable[Firing]) -> tuple[str, ...]:
    names = dict.fromkeys(service_of(firing.labels) for firing in firings)
    return tuple(one_line(name, MAX_SERVICE) for name in names if name)[:MAX_SERVICES]


_LINKS = {"runbook": ("runbook_url", "runbook"), "dashboard": ("dashboard_url", "dashboard")}


def _links(firings: Iterable[Firing]) -> dict[str, str]:
    links: dict[str, str] = {}
    for firing in firings:
        links = merged_links(links, _links_of(firing))
        if len(links) >= MAX_LINKS:
            break
    return links


def _links_of(firing: Firing) -> dict[str, str]:
    given = {
        name: next((firing.annotations[key] for key in keys if firing.annotations.get(key)), "") for name, keys in _LINKS.items()
    }
    candidates = given | {"source": firing.generator_url}
    return {name: url for name, url in candidates.items() if _is_link(url)}


def _is_link(url: str) -> bool:
    """Whether it is a web address that can be shown: http or https, printable, no spaces, not overlong."""
    return url.startswith(("http://", "https://")) and len(url.encode()) <= MAX_URL and url.isprintable() and " " not in url


def _examples(firings: Sequence[Firing]) -> tuple[AlertExample, ...]:
    return tuple(
        AlertExample(
            fingerprint=firing.fingerprint,
            name=one_line(firing.name, 100),
            severity=firing.severity,
            instance=one_line(firing.labels.get("instance", ""), 100) or None,
        )
        for firing in firings[:MAX_EXAMPLES]
    )
