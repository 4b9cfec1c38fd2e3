"""What ingest counts. Its labels are closed sets: nothing from outside becomes one.

Plain numbers that become metrics when somebody asks: the library's own counters take a lock at each step, and five of them
would be a tenth of all the work on a webhook. Only the event loop's thread counts.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Literal

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Outcome = Literal[
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
]
"""`accepted` (also when some alerts were rejected), `disconnected`, `failed` (our fault), else the problem's code."""
OUTCOMES: tuple[Outcome, ...] = Outcome.__args__  # type: ignore[attr-defined]


class SourceMetrics:
    """The numbers of one source."""

    def __init__(self) -> None:
        self.webhooks: dict[str, int] = dict.fromkeys(OUTCOMES, 0)
        self.alerts: dict[str, int] = dict.fromkeys(("accepted", "rejected"), 0)
        self.bytes = 0
        self.in_flight = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(SECONDS) + 1)

    def durable(self, seconds: float) -> None:
        """A webhook's alerts are durable, `seconds` after it arrived."""
        self.seconds += seconds
        self.buckets[bisect_left(SECONDS, seconds)] += 1


class IngestMetrics(Collector):
    """The catalogue; every series is there from the first scrape on."""

    def __init__(self, registry: CollectorRegistry, sources: Iterable[str]) -> None:
        self._sources = {name: SourceMetrics() for name in sources}
        registry.register(self)

    def of(self, source: str) -> SourceMetrics:
        return self._sources[source]

    def collect(self) -> Iterator[Metric]:
        webhooks = CounterMetricFamily("tocsin_ingest_webhooks", "Webhooks by how they ended.", labels=["source", "outcome"])
        alerts = CounterMetricFamily("tocsin_ingest_alerts", "Alerts, durable or rejected.", labels=["source", "outcome"])
        size = CounterMetricFamily("tocsin_ingest_bytes", "Bytes of the bodies read.", labels=["source"])
        in_flight = GaugeMetricFamily("tocsin_ingest_webhooks_in_flight", "Webhooks being handled.", labels=["source"])
        text = "Time from a webhook's arrival until its alerts are durable."
        seconds = HistogramMetricFamily("tocsin_ingest_webhook_seconds", text, labels=["source"])
        for name, source in self._sources.items():
            for outcome, count in source.webhooks.items():
                webhooks.add_metric([name, outcome], count)
            for outcome, count in source.alerts.items():
                alerts.add_metric([name, outcome], count)
            size.add_metric([name], source.bytes)
            in_flight.add_metric([name], source.in_flight)
            limits = (*map(str, SECONDS), "+Inf")
            seconds.add_metric([name], list(zip(limits, accumulate(source.buckets), strict=True)), source.seconds)
        yield from (webhooks, alerts, size, in_flight, seconds)
