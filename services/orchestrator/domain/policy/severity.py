"""How bad an alert is: its label, and the rules that look at what it is together with. In doubt the higher one."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from schemas.vocabulary import Severity
from services.orchestrator.domain.alerts.labels import label_or_fallback
from services.orchestrator.domain.evidence.evidence import SloState
from services.orchestrator.domain.policy.groups import Group, Sighting, newest, reached
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.policy.rules import Breadth, SeverityRule
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


Groups = Callable[[str], Group]
"""The evidence under a key."""

_BY_LABEL: Mapping[Severity | None, Assessment] = {label: Assessment(Found(label)) for label in (None, *Severity)}


def assess(
    policy: Policy,
    labels: Mapping[str, str],
    key: str,
    groups: Groups,
    slos: Mapping[str, SloState],
    starts_at: datetime,
    now: datetime,
) -> Assessment:
    """The worst of what the label and every rule that matches say, and when to look again."""
    label, rules = policy.severity_of(labels), policy.severities.matching(labels)
    if not rules and not slos and policy.history.combine is None:
        return _BY_LABEL[label]
    found, pending = Found(label), []
    for candidate in _candidates(policy, labels, groups(key), slos, now, label):
        if candidate.severity is not None and candidate.severity.outranks(found.severity):
            found = candidate
    for rule in rules:
        if not rule.severity.outranks(found.severity):
            continue
        spread = spread_of(policy, labels, rule.name, rule.breadth, groups, now) if rule.breadth else ""
        if spread is None:
            continue
        due = starts_at + rule.persists if rule.persists else now
        if due <= now:
            found = Found(rule.severity, rule.name, _sentence(rule, spread))
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


def _sentence(rule: SeverityRule, spread: str) -> str:
    lasting = f"firing for {written(rule.persists)}" if rule.persists is not None else ""
    return " and ".join(filter(None, (spread, lasting))) or f"it matches {rule.selector}"


def spread_of(
    policy: Policy, labels: Mapping[str, str], name: str, breadth: Breadth, groups: Groups, now: datetime
) -> str | None:
    """`third service firing within 10m (api, db, web)` when it is spread that wide; else None."""
    values = groups(policy.scope(labels, breadth.of)).values(name, breadth, now)
    if len(values) < breadth.at_least:
        return None
    listed = ", ".join(value[:40] for value in values[:5]) + (", …" if len(values) > 5 else "")
    return f"{ordinal(len(values))} {breadth.of} firing within {written(breadth.within)} ({listed})"


def breadths(policy: Policy, labels: Mapping[str, str]) -> Iterator[tuple[str, Breadth]]:
    """Everything for which the alert's values are counted, by the name under which they are."""
    for rule in policy.severities.matching(labels):
        if rule.breadth is not None:
            yield rule.name, rule.breadth
    if policy.promotion.breadth is not None:
        yield PROMOTION, policy.promotion.breadth


def scopes(policy: Policy, labels: Mapping[str, str]) -> set[str]:
    """The keys under which evidence about the alert is kept beside that of its own key."""
    return {policy.scope(labels, breadth.of) for _, breadth in breadths(policy, labels)}


@dataclass(frozen=True)
class Noted:
    """What became known by an alert that began: evidence by its key, and the alerts that it shows in another light."""

    groups: Mapping[str, Group]
    stirred: frozenset[str] = frozenset()


def noted(policy: Policy, key: str, labels: Mapping[str, str], alert: str, groups: Groups, now: datetime) -> Noted:
    """The evidence after one more alert began. What became wide enough by it concerns the alerts that were seen before."""
    after: dict[str, Group] = {}
    stirred: set[str] = set()
    for name, breadth in breadths(policy, labels):
        value = label_or_fallback(labels, breadth.of)
        if value is None:
            continue
        scope = policy.scope(labels, breadth.of)
        before = after.get(scope) or groups(scope)
        after[scope] = before.with_value(name, breadth, value, Sighting(now, alert))
        if after[scope].holds(name, breadth, now) and not before.holds(name, breadth, now):
            stirred |= after[scope].alerts(name) - {alert}
    combine = policy.history.combine
    if combine is not None and policy.severity_of(labels) in _LESSER:
        before = after.get(key) or groups(key)
        after[key] = Group(before.seen, newest(before.lesser, now, combine), before.openings)
    return Noted(after, frozenset(stirred))


_ORDINALS = ("zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


def ordinal(number: int) -> str:
    """`third`, `12th`."""
    if number < len(_ORDINALS):
        return _ORDINALS[number]
    ending = "th" if number % 100 in range(11, 14) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
