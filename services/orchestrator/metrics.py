"""What the orchestrator counts."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schemas.vocabulary import Action, FiringState, Severity
from services.orchestrator.domain.evidence.evidence import Cause
from services.orchestrator.domain.trying.shadowing import Compared
from services.runtime.metrics import LATENCY_BUCKETS

OPEN_STATES = tuple(state for state in FiringState if state is not FiringState.RESOLVED)
"""Those of alerts that are not over."""


class OrchestratorMetrics:
    """Zero-initialised."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.decisions = Counter(
            "tocsin_decisions_total", "Decisions about firings, by what was decided.", ["action"], registry=registry
        )
        self.open_incidents = Gauge("tocsin_incidents_open", "Incidents that are open now.", ["severity"], registry=registry)
        self.open_alerts = Gauge("tocsin_alerts_open", "Alerts that are not over now.", ["state"], registry=registry)
        self.reconciled = Counter(
            "tocsin_alertmanager_reconcile_total",
            "Rounds in which Alertmanager was asked for what fires, by how many of its peers answered.",
            ["outcome"],
            registry=registry,
        )
        self.last_answer = Gauge(
            "tocsin_alertmanager_last_answer_timestamp_seconds",
            "When all Alertmanagers were last asked and answered.",
            registry=registry,
        )
        self.commands = Counter("tocsin_commands_total", "Commands of people, by outcome.", ["outcome"], registry=registry)
        self.receipt_to_decision = Histogram(
            "tocsin_receipt_to_decision_seconds",
            "From receiving a webhook to the stored decision.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.slo_level = Gauge(
            "tocsin_slo_level", "Service levels: 0 ok, 1 degraded, 2 outage, -1 unknown.", ["slo"], registry=registry
        )
        self.prometheus_queries = Counter(
            "tocsin_prometheus_queries_total", "Queries to Prometheus, by outcome.", ["outcome"], registry=registry
        )
        self.feed_age = Gauge(
            "tocsin_oncall_feed_age_seconds",
            "How long ago the source of a rotation's calendar last answered; +Inf when it never did.",
            ["rotation"],
            registry=registry,
        )
        self.gap_seconds = Gauge(
            "tocsin_oncall_gap_seconds",
            "For how long nobody is on call within the next 7 days.",
            ["rotation"],
            registry=registry,
        )
        for cause in ("ok", *Cause):
            self.prometheus_queries.labels(cause)
        for action in Action:
            self.decisions.labels(action)
        for severity in Severity:
            self.open_incidents.labels(severity)
        for state in OPEN_STATES:
            self.open_alerts.labels(state)
        for outcome in ("complete", "partial", "failed"):
            self.reconciled.labels(outcome)
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
