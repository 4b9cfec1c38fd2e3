"""What the orchestrator counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schemas.vocabulary import Action, FiringState, Severity
from services.orchestrator.domain.evidence import Cause
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
