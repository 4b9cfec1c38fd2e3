"""What ingest counts. Its labels are closed sets: nothing from outside becomes one."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

OUTCOMES = (
    "accepted",
    "invalid",
    "unauthorized",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "too_large",
    "too_slow",
    "unavailable",
    "disconnected",
    "failed",
)
"""`accepted` (also when some alerts were rejected), `disconnected`, `failed` (our fault), else the problem's code."""


class IngestMetrics:
    """The catalogue; every series is there from the first scrape on."""

    def __init__(self, registry: CollectorRegistry, sources: Iterable[str]) -> None:
        webhooks = Counter(
            "tocsin_ingest_webhooks_total", "Webhooks by how they ended.", ["source", "outcome"], registry=registry
        )
        alerts = Counter(
            "tocsin_ingest_alerts_total", "Alerts, durable or refused.", ["source", "outcome"], registry=registry
        )
        seconds = Histogram(
            "tocsin_ingest_webhook_seconds",
            "Time from a webhook's arrival until its alerts are durable.",
            ["source"],
            buckets=SECONDS,
            registry=registry,
        )
        in_flight = Gauge("tocsin_ingest_webhooks_in_flight", "Webhooks being handled.", ["source"], registry=registry)
        size = Counter("tocsin_ingest_bytes_total", "Bytes of the bodies read.", ["source"], registry=registry)
        self._sources = {name: SourceMetrics(name, webhooks, alerts, seconds, in_flight, size) for name in sources}

    def of(self, source: str) -> "SourceMetrics":
        return self._sources[source]


class SourceMetrics:
    """The series of one source, looked up once."""

    def __init__(
        self, name: str, webhooks: Counter, alerts: Counter, seconds: Histogram, in_flight: Gauge, size: Counter
    ) -> None:
        self.webhooks = {outcome: webhooks.labels(name, outcome) for outcome in OUTCOMES}
        self.accepted, self.rejected = alerts.labels(name, "accepted"), alerts.labels(name, "rejected")
        self.seconds, self.bytes = seconds.labels(name), size.labels(name)
        self.in_flight = 0
        in_flight.labels(name).set_function(lambda: self.in_flight)
