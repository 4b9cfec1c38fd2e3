"""What the orchestrator counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schemas.vocabulary import Action, Severity
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
