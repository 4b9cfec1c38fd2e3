"""What a policy makes of one firing: by which rule, why, and where it goes. Nothing is carried out here."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from schemas.incidents import Incident
from schemas.vocabulary import Action, IncidentState, Severity
from services.orchestrator.domain.alerts.firings import Firing
from services.orchestrator.domain.alerts.labels import environment_of, service_of
from services.orchestrator.domain.alerts.maintenance import covering
from services.orchestrator.domain.deciding.world import GUARD_KEY, World, agree, ended_at
from services.orchestrator.domain.policy.groups import reached
from services.orchestrator.domain.policy.policy import DEFAULTS, Policy
from services.orchestrator.domain.policy.rules import DecisionRule
from services.orchestrator.domain.policy.severity import PROMOTION, Assessment, spread_of
from services.orchestrator.domain.spoken import written

_OPENS = frozenset({Action.OPEN, Action.TRIAGE})
_RECORDS = frozenset({Action.IGNORE, Action.RECORD})
_BUILT_IN = frozenset(rule.name for rule in DEFAULTS)
_REPEATS = frozenset({Severity.S2, Severity.S3})


class Where(Enum):
    """Where a firing goes."""

    NOWHERE = auto()
    JOIN = auto()
    REOPEN = auto()
    OPEN = auto()
    TRIAGE = auto()
    UMBRELLA = auto()


@dataclass(frozen=True)
class Verdict:
    """`rule` gave it, `reason` says why. `incident` is the one to join or reopen. `severity` is what an incident opened for it
    has. `recheck_at`: when time alone may change it."""

    where: Where
    action: Action
    rule: str
    reason: str
    incident: str | None = None
    severity: Severity | None = None
    recheck_at: datetime | None = None
    maintenance: str | None = None


@dataclass(frozen=True)
class Judge:
    """Judges firings against what is known at the moment."""

    policy: Policy
    world: World
    now: datetime
    wordy: bool = True
    """Without it nothing is said about firings of which nothing comes, which is most of them."""

    def judge(self, firing: Firing, assessment: Assessment) -> Verdict:
        """The first of these that says something: the file's own rules, who holds the key, dependencies, maintenance, opening."""
        rule = self.policy.rule_for(firing.labels, assessment.severity)
        if rule.action in _RECORDS:
            return self._nowhere(rule.action, rule.name, firing, assessment, f"rule {rule.name} says {rule.action}")
        holder = self.world.holder(firing.key, firing.fingerprint)
        return self._joins(firing, assessment, holder) or self._alone(firing, assessment, rule, holder)

    def _nowhere(self, action: Action, rule: str, firing: Firing, assessment: Assessment, why: str) -> Verdict:
        return Verdict(Where.NOWHERE, action, rule, f"{self._what(firing, assessment)}: {why}." if self.wordy else "")

    def _what(self, firing: Firing, assessment: Assessment) -> str:
        raised = f" ({assessment.found.why})" if assessment.found.rule else ""
        missing = self.policy.missing(firing.labels, firing.key)
        absent = f"; without {' and '.join(missing)}, which counts as empty" if missing else ""
        flapping = f", flapping ×{len(firing.begins)}" if self.is_flapping(firing) else ""
        return f"{assessment.severity or 'Unrated'} alert {firing.name}{raised} ({firing.key}{absent}){flapping}"

    def is_flapping(self, firing: Firing) -> bool:
        return len(firing.begins) >= self.policy.flapping.count and reached(firing.begins, self.now, self.policy.flapping)

    def _joins(self, firing: Firing, assessment: Assessment, holder: Incident | None) -> Verdict | None:
        if holder is not None and holder.state.open:
            return self._join(holder, assessment, self._what(firing, assessment))
        on = self._stands_on(firing)
        if on is None:
            return None
        incident, way = on
        reason = f"{self._what(firing, assessment)} joins {incident.id}: {' which depends on '.join(way)}"
        return self._into(incident, assessment, "dependency", reason)

    def _into(self, incident: Incident, assessment: Assessment, rule: str, reason: str) -> Verdict:
        """It joins an incident that has another key. No critical alert fires into one that looks calm."""
        if assessment.critical and incident.state is IncidentState.MITIGATED:
            return Verdict(Where.REOPEN, Action.ATTACH, rule, f"{reason}; it was mitigated and is reopened.", incident.id)
        return Verdict(Where.JOIN, Action.ATTACH, rule, f"{reason}.", incident.id)

    def _join(self, holder: Incident, assessment: Assessment, what: str) -> Verdict:
        if assessment.critical and holder.state is IncidentState.MITIGATED:
            return self._reopen(holder, what, "")
        reason = f"{what} joins {holder.id}, which is {holder.state} for the same key."
        return Verdict(Where.JOIN, Action.ATTACH, "attach-same-key", reason, holder.id)

    def _reopen(self, holder: Incident, what: str, why: str) -> Verdict:
        since = holder.mitigated_at if holder.state is IncidentState.MITIGATED else holder.resolved_at
        ago = f" {(self.now - since).total_seconds() / 60:.0f} minutes ago" if since else ""
        reason = f"{what} fires again: {holder.id} was {holder.state}{ago}{why} and is reopened."
        return Verdict(Where.REOPEN, Action.ATTACH, "refire", reason, holder.id)

    def _stands_on(self, firing: Firing) -> tuple[Incident, tuple[str, ...]] | None:
        service = service_of(firing.labels) if self.policy.depends else None
        if service is None:
            return None
        environment = environment_of(firing.labels)
        for target, way in self.policy.depends.of(service).items():
            incident = self.world.open_on(target, environment)
            if incident is not None:
                return incident, way
        return None

    def _alone(self, firing: Firing, assessment: Assessment, rule: DecisionRule, holder: Incident | None) -> Verdict:
        """No open incident takes it."""
        matters = assessment.critical or rule.action in _OPENS
        refires = holder is not None and matters and self._recent(holder)
        if rule.action not in _OPENS and not refires:
            return self._recorded(firing, assessment, rule)
        what = self._what(firing, assessment)
        covered = covering(self.world.maintenance, firing.labels, self.now)
        if covered is not None:
            window, until = covered
            reason = (
                f"{what}: recorded only, maintenance {window.name} holds until {until:%Y-%m-%d %H:%M} UTC. Decided anew then."
            )
            return Verdict(Where.NOWHERE, Action.RECORD, "maintenance", reason, recheck_at=until, maintenance=window.id)
        if refires:
            assert holder is not None
            return self._reopen(holder, what, self._unstable(holder))
        return self._opening(firing, assessment, rule, what)

    def _recent(self, holder: Incident) -> bool:
        """Whether it was resolved so lately that it may be reopened; one whose review is closed never is."""
        ended = ended_at(holder)
        recent = ended is not None and ended >= self.now - self._reach(holder)
        return recent and holder.state is IncidentState.RESOLVED and not self.world.succeeded(holder)

    def _reach(self, holder: Incident) -> timedelta:
        stable = self.policy.history.stable_period if holder.severity.critical else timedelta(0)
        return max(self.policy.refire_window, stable)

    def _unstable(self, holder: Incident) -> str:
        if self._reach(holder) <= self.policy.refire_window:
            return ""
        return f", which counts as closed only after {written(self.policy.history.stable_period)}"

    def _recorded(self, firing: Firing, assessment: Assessment, rule: DecisionRule) -> Verdict:
        if rule.name not in _BUILT_IN:
            name, why = rule.name, f"no open incident has this key, and rule {rule.name} opens none"
        elif assessment.severity is None:
            label = self.policy.severity_label
            word = firing.labels.get(label)
            found = f"{label}={word!r} is no known severity" if word else f"it has no label {label!r}"
            name, why = "unknown-severity", f"{found}, so it is recorded only"
        else:
            name, why = "record-s3-s4", f"no open incident has this key, and {assessment.severity} does not open one"
        return self._nowhere(Action.RECORD, name, firing, assessment, why)

    def _opening(self, firing: Firing, assessment: Assessment, rule: DecisionRule, what: str) -> Verdict:
        severity, why = self._severity(firing, assessment, rule)
        quiet = not self._is_aloud(rule, severity) and self._spread(firing) is None
        guard = self.policy.guard
        if reached(self.world.group(GUARD_KEY).openings, self.now, guard):
            return self._under_umbrella(assessment, severity, quiet, what)
        reason = f"{what}: no open incident has this key, and {why}{self._hint(firing)}."
        if quiet:
            return Verdict(Where.TRIAGE, Action.TRIAGE, rule.name, reason, severity=severity)
        return Verdict(Where.OPEN, Action.OPEN, rule.name, reason, severity=severity)

    def _is_aloud(self, rule: DecisionRule, severity: Severity | None) -> bool:
        """Whether what the rule opens is active at once."""
        promote = self.policy.promotion.severity
        worse = promote is not None and not promote.outranks(severity)
        return rule.action is Action.OPEN or (rule.action is Action.TRIAGE and worse)

    def wakes(self, incident: Incident, firing: Firing, assessment: Assessment) -> str | None:
        """Why a triage incident that takes in the firing is one no longer: alone it would have opened an active one."""
        if incident.state is not IncidentState.TRIAGE:
            return None
        if (spread := self._spread(firing)) is not None:
            return spread
        rule = self.policy.rule_for(firing.labels, assessment.severity)
        aloud = self._is_aloud(rule, assessment.severity)
        return f"{firing.name} would have opened one that is active, rule {rule.name}" if aloud else None

    def _spread(self, firing: Firing) -> str | None:
        """What promotes by breadth alone, where it does."""
        breadth = self.policy.promotion.breadth
        if breadth is None:
            return None
        return spread_of(self.policy, firing.labels, PROMOTION, breadth, self.world.group, self.now)

    def _severity(self, firing: Firing, assessment: Assessment, rule: DecisionRule) -> tuple[Severity, str]:
        """What the incident begins with, and how that is said."""
        severity = assessment.severity
        quietly = "for triage" if rule.action is Action.TRIAGE else "one"
        if severity is None:
            severity = Severity.S3 if rule.action is Action.TRIAGE else Severity.S2
            return severity, f"rule {rule.name} opens {quietly}; since its severity is unknown, {severity} is assumed"
        if severity in _REPEATS and (before := self._repeats(firing)) is not None:
            within = written(self.policy.history.repeat_within or timedelta(0))
            return Severity.S2, f"it opens as S2: {before.id} of the same service was closed less than {within} ago"
        if rule.name in _BUILT_IN:
            return severity, f"{severity} opens one"
        return severity, f"rule {rule.name} opens {quietly}"

    def _repeats(self, firing: Firing) -> Incident | None:
        """The closed S2/S3 incident of the same service that this one follows too soon."""
        within, service = self.policy.history.repeat_within, service_of(firing.labels)
        if within is None or service is None:
            return None
        for known in self.world.closed:
            incident = self.world.incidents.get(known.id, known)
            ended = ended_at(incident)
            if ended is None or incident.severity not in _REPEATS or service not in incident.services:
                continue
            if not agree(incident.environment, environment_of(firing.labels)):
                continue
            stable = self.policy.history.stable_period if incident.severity.critical else timedelta(0)
            if ended + stable + within >= self.now:
                return incident
        return None

    def _under_umbrella(self, assessment: Assessment, severity: Severity, quiet: bool, what: str) -> Verdict:
        guard, umbrella = self.policy.guard, self.world.umbrella()
        stormy = f"{guard.count} openings within {written(guard.within)} already, so one umbrella incident takes it"
        if umbrella is not None:
            return self._into(umbrella, assessment, "rate-guard", f"{what}: {stormy}: {umbrella.id}")
        action = Action.TRIAGE if quiet else Action.OPEN
        return Verdict(Where.UMBRELLA, action, "rate-guard", f"{what}: {stormy}.", severity=severity)

    def _hint(self, firing: Firing) -> str:
        """A dependant that is in trouble already may be the same trouble; a person knows."""
        service = service_of(firing.labels)
        if service is None or not self.policy.depends:
            return ""
        for dependant in self.policy.depends.on(service):
            incident = self.world.open_on(dependant, environment_of(firing.labels))
            if incident is not None:
                return f" ({incident.id} is open on {dependant}, which depends on {service}: merge them if they are one trouble)"
        return ""
