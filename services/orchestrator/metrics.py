"""What the orchestrator counts."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schemas.vocabulary import Action, Severity
from services.orchestrator.domain.shadowing import Compared
from services.runtime.metrics import LATENCY_BUCKETS


class OrchestratorMetrics:
    """Zero-initialised."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.decisions = Counter(
            "tocsin_decisions_total", "Decisions about firings, by what was decided.", ["action"], registry=registry
        )
        self.open_incidents = Gauge("tocsin_incidents_open", "Incidents that are open now.", ["severity"], registry=registry)
        self.commands = Counter("tocsin_commands_total", "Commands of people, by outcome.", ["outcome"], registry=registry)
        self.receipt_to_decision = Histogram(
            "tocsin_receipt_to_decision_seconds",
            "From receiving a webhook to the stored decision.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        for action in Action:
            self.decisions.labels(action)
        for severity in Severity:
            self.open_incidents.labels(severity)
        for outcome in ("done", "unchanged", "refused"):
            self.commands.labels(outcome)


class ShadowMetrics:
    """Of a candidate that runs beside the policy. Without one nothing is wrong and nothing is behind."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.decisions = Counter(
            "tocsin_shadow_decisions_total",
            "Decisions compared with a candidate's, by whether both are the same.",
            ["same"],
            registry=registry,
        )
        self.differences = Counter(
            "tocsin_shadow_differences_total",
            "Decisions for which a candidate would do something else, by what was and would be done.",
            ["was", "would_be"],
            registry=registry,
        )
        self.lag = Gauge("tocsin_shadow_lag_decisions", "Decisions that a candidate has not yet made.", registry=registry)
        self.open_incidents = Gauge(
            "tocsin_shadow_incidents_open", "Incidents that a candidate would have open.", registry=registry
        )
        self.config_valid = Gauge(
            "tocsin_shadow_config_valid", "0 when the candidate's file is broken; 1 also without one.", registry=registry
        )
        self.config_valid.set(1)
        for same in ("true", "false"):
            self.decisions.labels(same)
        for was in Action:
            for would_be in Action:
                if was is not would_be:
                    self.differences.labels(was, would_be)

    def compared(self, decisions: Iterable[Compared]) -> None:
        for each in decisions:
            self.decisions.labels("true" if each.same else "false").inc()
            if each.was.action is not each.would_be.action:
                self.differences.labels(each.was.action, each.would_be.action).inc()

    def show(self, *, lag: int, incidents: int) -> None:
        self.lag.set(lag)
        self.open_incidents.set(incidents)
