"""The rules in force, as a value: what an alert's labels mean, and what is to be done about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property

from schemas.vocabulary import Action, Severity
from services.orchestrator.domain.alerts.labels import correlation_key, label_or_fallback
from services.orchestrator.domain.alerts.maintenance import Maintenance
from services.orchestrator.domain.evidence.evidence import Slo
from services.orchestrator.domain.incident.incident import Periods
from services.orchestrator.domain.policy.dependencies import Dependencies
from services.orchestrator.domain.policy.rules import (
    EVERYTHING,
    CorrelationRule,
    DecisionRule,
    History,
    Index,
    Promotion,
    Rate,
    SeverityRule,
)

_ALWAYS_KNOWN = {severity.value.lower(): severity for severity in Severity}

DEFAULTS = (
    DecisionRule("open-s1-s2", EVERYTHING, Action.OPEN, frozenset({Severity.S1, Severity.S2})),
    DecisionRule("attach-same-key", EVERYTHING, Action.ATTACH),
)
"""What holds for alerts that no rule of the file matches: S1 and S2 open, everything else joins what is open or is recorded."""


EVERYWHERE = "everywhere"
"""The scope of what is counted over all alerts."""


@dataclass(frozen=True)
class Policy:
    """`version` is the hash of the file it came from; decisions carry it."""

    version: str
    severity_label: str = "severity"
    severity_map: Mapping[str, Severity] = field(default_factory=dict)
    floor: bool = True
    severity_rules: tuple[SeverityRule, ...] = ()
    history: History = History()
    correlation: tuple[str, ...] = ("service", "env")
    correlation_rules: tuple[CorrelationRule, ...] = ()
    rules: tuple[DecisionRule, ...] = ()
    promotion: Promotion = Promotion()
    flapping: Rate = Rate(4, timedelta(hours=1))
    guard: Rate = Rate(10, timedelta(minutes=10))
    dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    maintenance: tuple[Maintenance, ...] = ()
    slos: tuple[Slo, ...] = ()
    quiet_period: timedelta = timedelta(minutes=5)
    triage_quiet_period: timedelta = timedelta(minutes=30)
    refire_window: timedelta = timedelta(minutes=30)

    @cached_property
    def periods(self) -> Periods:
        return Periods(self.quiet_period, self.triage_quiet_period, self.promotion.persists, self.flapping.within)

    def severity_of(self, labels: Mapping[str, str]) -> Severity | None:
        """What the alert's severity label means; None when it is missing or its word is not known."""
        return self._words.get(labels.get(self.severity_label, "").strip().lower())

    @cached_property
    def _words(self) -> Mapping[str, Severity]:
        return {name.lower(): severity for name, severity in self.severity_map.items()} | _ALWAYS_KNOWN

    def correlation_by(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """The labels by which this alert belongs to others."""
        rules = self._correlations.matching(labels)
        return rules[0].by if rules else self.correlation

    def correlation_key(self, labels: Mapping[str, str]) -> str:
        """`service=web,env=gprd`: alerts with equal keys belong together. A missing label counts as empty."""
        return correlation_key(self.correlation_by(labels), labels)

    def missing(self, labels: Mapping[str, str], key: str) -> list[str]:
        """The labels of the key that the alert does not have."""
        if not key.endswith("=") and "=," not in key:
            return []
        return [name for name in self.correlation_by(labels) if label_or_fallback(labels, name) is None]

    def scope(self, labels: Mapping[str, str], of: str) -> str:
        """The key of those alerts among which values of the label `of` are counted: they agree in everything else by which they
        belong together, so that services are counted within an environment, and instances within a service."""
        others = tuple(name for name in self.correlation_by(labels) if name != of)
        return correlation_key(others, labels) or EVERYWHERE

    def rule_for(self, labels: Mapping[str, str], severity: Severity | None) -> DecisionRule:
        """The first rule that matches; the defaults come last and match everything."""
        for rule in self._decisions.matching(labels):
            if rule.severities is None or severity in rule.severities:
                return rule
        raise AssertionError("the last default matches everything")

    @cached_property
    def _correlations(self) -> Index[CorrelationRule]:
        return Index(self.correlation_rules)

    @cached_property
    def _decisions(self) -> Index[DecisionRule]:
        return Index((*self.rules, *DEFAULTS))

    @cached_property
    def severities(self) -> Index[SeverityRule]:
        return Index(self.severity_rules)

    @cached_property
    def slos_for(self) -> Index[Slo]:
        return Index(self.slos)

    @cached_property
    def depends(self) -> Dependencies:
        return Dependencies(self.dependencies)

    @cached_property
    def refire_reach(self) -> timedelta:
        """How long after its resolution an incident can still be reopened by an alert."""
        return max(self.refire_window, self.history.stable_period)

    @cached_property
    def memory(self) -> timedelta:
        """How far back lies what a decision may look at, incidents that are still open apart."""
        history, breadths = self.history, [rule.breadth for rule in self.severity_rules]
        spans = [
            *(self.flapping.within, self.guard.within, self.quiet_period, self.triage_quiet_period, self.refire_reach),
            *((history.repeat_within or timedelta(0)) + history.stable_period, self.promotion.persists),
            *(rule.persists for rule in self.severity_rules),
            *(breadth.within for breadth in (*breadths, self.promotion.breadth, history.combine) if breadth is not None),
        ]
        return max(span for span in spans if span is not None)
