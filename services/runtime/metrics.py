"""Metrics: one registry per process, made by the composition root; the plumbing's own catalogue is here."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from schemas.topics import TOPICS

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0)


def new_registry() -> CollectorRegistry:
    """A registry with the process's own figures (memory, descriptors, CPU)."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


def render(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """The exposition in the format that the scraper accepts, and its content type."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class RuntimeMetrics:
    """What the plumbing counts, for one service (the `service` label). Labels are zero-initialised."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.consumed = Counter(
            "tocsin_bus_records_handled_total", "Records handled in a committed batch.", ["service", "topic"], registry=registry
        )
        self.refused = Counter(
            "tocsin_bus_records_refused_total",
            "Records that do not fit the contract and went to the dead letters.",
            ["service", "topic", "reason"],
            registry=registry,
        )
        self.batch_failures = Counter(
            "tocsin_bus_batch_failures_total",
            "Batches that failed and are tried again in place.",
            ["service", "cause"],
            registry=registry,
        )
        self.lag = Gauge("tocsin_bus_lag_records", "Records not yet fetched.", ["service", "topic"], registry=registry)
        self.paused = Gauge(
            "tocsin_bus_partitions_paused",
            "Partitions paused since too many records were refused.",
            ["service"],
            registry=registry,
        )
        self.batch_seconds = Histogram(
            "tocsin_bus_batch_seconds",
            "Time from fetching a batch to its commit.",
            ["service"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.outbox_published = Counter(
            "tocsin_outbox_published_total", "Messages published from the outbox.", ["service"], registry=registry
        )
        self.outbox_failures = Counter(
            "tocsin_outbox_failures_total", "Rounds of the outbox relay that failed.", ["service"], registry=registry
        )
        self.outbox_pending = Gauge(
            "tocsin_outbox_pending", "Messages committed and not yet published.", ["service"], registry=registry
        )
        self.work_overdue = Gauge(
            "tocsin_work_oldest_overdue_seconds",
            "How late the most overdue piece of work is.",
            ["service", "queue"],
            registry=registry,
        )
        self.work_pending = Gauge("tocsin_work_pending", "Pieces of work not yet done.", ["service", "queue"], registry=registry)
        self.work_failures = Counter(
            "tocsin_work_failures_total", "Pieces of work that failed unexpectedly.", ["service", "queue"], registry=registry
        )
        self.loop_failures = Counter(
            "tocsin_loop_failures_total",
            "Unexpected errors caught at the edge of a background loop.",
            ["loop"],
            registry=registry,
        )

    def declare(self, service: str, topics: tuple[str, ...], queues: tuple[str, ...]) -> None:
        """Show zeros for everything this service can count, from its first scrape on."""
        known = {topic.name for topic in TOPICS}
        for topic in topics:
            assert topic in known, topic
            self.consumed.labels(service, topic)
            self.lag.labels(service, topic)
            for reason in ("invalid", "unsupported"):
                self.refused.labels(service, topic, reason)
        for cause in ("bus", "database", "stale", "unexpected"):
            self.batch_failures.labels(service, cause)
        for queue in queues:
            self.work_pending.labels(service, queue)
            self.work_overdue.labels(service, queue)
            self.work_failures.labels(service, queue)
        for metric in (self.outbox_published, self.outbox_failures, self.outbox_pending, self.paused, self.batch_seconds):
            metric.labels(service)
