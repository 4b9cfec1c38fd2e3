"""From the configuration to the policy: the sections of the file as the values that decisions are made with."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from schemas.vocabulary import Severity
from services import config as file
from services.matching import selector
from services.orchestrator.domain.alerts.maintenance import Maintenance
from services.orchestrator.domain.evidence.evidence import Level, Slo, Threshold
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.policy.rules import (
    Breadth,
    CorrelationRule,
    DecisionRule,
    History,
    Promotion,
    Rate,
    SeverityRule,
)


def policy_of(config: file.Config, version: str) -> Policy:
    """The policy that a configuration holds. `version` is its hash."""
    return Policy(
        version=version,
        severity_label=config.severity.label,
        severity_map=dict(config.severity.map),
        floor=config.severity.floor,
        severity_rules=tuple(map(_severity_rule, config.severity.rules)),
        history=_history(config.severity.history),
        correlation=tuple(config.correlation.by),
        correlation_rules=tuple(_correlation_rule(rule) for rule in config.correlation.rules),
        rules=tuple(map(_decision_rule, config.rules)),
        promotion=_promotion(config.triage.promote),
        flapping=Rate(config.flapping.count, config.flapping.within),
        guard=Rate(config.guard.openings, config.guard.within),
        dependencies={service: tuple(targets) for service, targets in config.dependencies.items()},
        maintenance=tuple(map(_maintenance, config.maintenance)),
        slos=tuple(map(slo_of, config.slos)),
        quiet_period=config.timers.quiet_period,
        triage_quiet_period=config.triage.quiet_period,
        refire_window=config.timers.refire_window,
    )


def _severity_rule(rule: file.SeverityRule) -> SeverityRule:
    return SeverityRule(rule.name, selector(rule.match), rule.severity, _breadth(rule.breadth), rule.persists)


def _correlation_rule(rule: file.CorrelationRule) -> CorrelationRule:
    return CorrelationRule(rule.name, selector(rule.match), tuple(rule.by))


def _decision_rule(rule: file.Rule) -> DecisionRule:
    return DecisionRule(rule.name, selector(rule.match), rule.action, _severities(rule.severity))


def _severities(words: Sequence[str] | None) -> frozenset[Severity | None] | None:
    if words is None:
        return None
    return frozenset(None if word == "unknown" else Severity(word) for word in words)


def _breadth(section: file.Breadth | None) -> Breadth | None:
    return Breadth(section.of, section.at_least, section.within) if section else None


def _history(section: file.History) -> History:
    combine = Rate(section.combine.at_least, section.combine.within) if section.combine else None
    return History(section.repeat_within, section.stable_period, combine)


def _promotion(section: file.Promote) -> Promotion:
    return Promotion(section.severity, _breadth(section.breadth), section.persists)


def _maintenance(section: file.Maintenance) -> Maintenance:
    name = section.name
    return Maintenance(f"file:{name}", name, section.selector, section.window, section.reason, "configuration")


def slo_of(section: file.Slo) -> Slo:
    """What is to be asked of Prometheus, and what it means."""
    return Slo(
        name=section.name,
        selector=selector(section.match),
        query=section.query,
        degraded=_threshold(section.degraded),
        outage=_threshold(section.outage),
        sustained=section.sustained,
        severity={Level.DEGRADED: section.severity.degraded, Level.OUTAGE: section.severity.outage},
        dashboard=section.dashboard,
    )


def _threshold(section: file.Threshold) -> Threshold:
    return Threshold(section.above, section.below)


@dataclass
class PolicyInForce:
    """Reads the file's policy anew only when the file has changed."""

    file: file.ConfigFile
    _policy: Policy | None = field(default=None, init=False)

    def __call__(self) -> Policy:
        if self._policy is None or self._policy.version != self.file.hash:
            self._policy = policy_of(self.file.config, self.file.hash)
        return self._policy
