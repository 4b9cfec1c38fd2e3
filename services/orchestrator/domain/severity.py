"""How bad an alert is: its label, and the rules that look at what it is together with. In doubt the higher one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from schemas.vocabulary import Severity
from services.orchestrator.domain.evidence import SloState
from services.orchestrator.domain.groups import Group, newest, reached
from services.orchestrator.domain.labels import label_or_fallback
from services.orchestrator.domain.policy import Policy
from services.orchestrator.domain.rules import Breadth, SeverityRule
from services.orchestrator.domain.spoken import written

PROMOTION = "triage.promote"
"""The name under which a group keeps the breadth that promotes."""
COMBINED = Severity.S2
_LESSER = (Severity.S3, Severity.S4)


@dataclass(frozen=True)
class Found:
    """A severity with its reason: the sentence without it, and the rule that gave it; no rule means the label."""

    severity: Severity | None
    rule: str | None = None
    sentence: str = ""

    @property
    def why(self) -> str:
        return f"{self.sentence}, rule {self.rule}" if self.rule else self.sentence


@dataclass(frozen=True)
class Assessment:
    """`recheck_at`: the next moment at which time alone could make it worse."""

    found: Found
    recheck_at: datetime | None = None

    @property
    def severity(self) -> Severity | None:
        return self.found.severity

    @property
    def critical(self) -> bool:
        return self.found.severity is not None and self.found.severity.critical


_BY_LABEL: Mapping[Severity | None, Assessment] = {label: Assessment(Found(label)) for label in (None, *Severity)}


def assess(
    policy: Policy,
    labels: Mapping[str, str],
    group: Group,
    slos: Mapping[str, SloState],
    starts_at: datetime,
    now: datetime,
) -> Assessment:
    """The worst of what the label and every rule that matches say, and when to look again."""
    label, rules = policy.severity_of(labels), policy.severities.matching(labels)
    if not rules and not slos and policy.history.combine is None:
        return _BY_LABEL[label]
    found, pending = Found(label), []
    for candidate in _candidates(policy, labels, group, slos, now, label):
        if candidate.severity is not None and candidate.severity.outranks(found.severity):
            found = candidate
    for rule in rules:
        if not rule.severity.outranks(found.severity) or not _is_broad(rule, group, now):
            continue
        due = starts_at + rule.persists if rule.persists else now
        if due <= now:
            found = Found(rule.severity, rule.name, _sentence(rule, group, now))
        else:
            pending.append((due, rule.severity))
    waiting = [due for due, severity in pending if severity.outranks(found.severity)]
    return Assessment(found, min(waiting, default=None))


def _candidates(
    policy: Policy,
    labels: Mapping[str, str],
    group: Group,
    slos: Mapping[str, SloState],
    now: datetime,
    label: Severity | None,
) -> Iterator[Found]:
    combine = policy.history.combine
    if combine and label in _LESSER and reached(group.lesser, now, combine):
        yield Found(COMBINED, "combine-s3-s4", f"{ordinal(combine.count)} S3/S4 alert within {written(combine.within)}")
    for slo in policy.slos_for.matching(labels) if slos else ():
        state = slos.get(slo.name)
        if state is not None and (severity := slo.severity.get(state.level)):
            yield Found(severity, f"slo:{slo.name}", state.sentence)


def _is_broad(rule: SeverityRule, group: Group, now: datetime) -> bool:
    return rule.breadth is None or group.holds(rule.name, rule.breadth, now)


def _sentence(rule: SeverityRule, group: Group, now: datetime) -> str:
    parts = []
    if rule.breadth is not None:
        parts.append(breadth_sentence(rule.name, rule.breadth, group, now))
    if rule.persists is not None:
        parts.append(f"firing for {written(rule.persists)}")
    return " and ".join(parts) or f"it matches {rule.selector}"


def breadth_sentence(name: str, breadth: Breadth, group: Group, now: datetime) -> str:
    """`third service firing within 10m (api, db, web)`."""
    values = group.values(name, breadth, now)
    listed = ", ".join(value[:40] for value in values[:5]) + (", …" if len(values) > 5 else "")
    return f"{ordinal(len(values))} {breadth.of} firing within {written(breadth.within)} ({listed})"


def noted(policy: Policy, group: Group, labels: Mapping[str, str], now: datetime) -> Group:
    """The group after one more of its alerts began."""
    for rule in policy.severities.matching(labels):
        if rule.breadth is not None and (value := label_or_fallback(labels, rule.breadth.of)):
            group = group.with_value(rule.name, rule.breadth, value, now)
    promote, combine = policy.promotion.breadth, policy.history.combine
    if promote is not None and (value := label_or_fallback(labels, promote.of)):
        group = group.with_value(PROMOTION, promote, value, now)
    if combine is not None and policy.severity_of(labels) in _LESSER:
        group = Group(group.seen, newest(group.lesser, now, combine), group.openings)
    return group


_ORDINALS = ("zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


def ordinal(number: int) -> str:
    """`third`, `12th`."""
    if number < len(_ORDINALS):
        return _ORDINALS[number]
    ending = "th" if number % 100 in range(11, 14) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
