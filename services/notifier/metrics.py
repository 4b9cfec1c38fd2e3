"""What the notifier counts."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.notifier.domain.delivery import FINAL, State
from services.notifier.domain.trouble import Trouble

KINDS = ("summary", "reply")
_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 86400.0)


class NotifierMetrics:
    """Zero-initialised for every channel of the table."""

    def __init__(self, registry: CollectorRegistry, channels: Iterable[str]) -> None:
        self.deliveries = Counter(
            "tocsin_deliveries_total", "Deliveries that came to an end.", ["channel", "kind", "state"], registry=registry
        )
        self.attempts_failed = Counter(
            "tocsin_delivery_attempts_failed_total", "Calls to a channel that failed.", ["channel", "trouble"], registry=registry
        )
        self.seconds = Histogram(
            "tocsin_receipt_to_delivery_seconds",
            "Time from the receipt of what caused a message to its delivery.",
            ["channel"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._ready = Gauge(
            "tocsin_channel_ready", "1 when a configured channel can be used, else 0.", ["channel"], registry=registry
        )
        for channel in channels:
            self._declare(channel)

    def _declare(self, channel: str) -> None:
        self.seconds.labels(channel)
        for trouble in Trouble:
            self.attempts_failed.labels(channel, trouble)
        for kind in KINDS:
            for state in FINAL:
                self.deliveries.labels(channel, kind, state)

    def channel_ready(self, channel: str, ready: bool | None) -> None:
        """None when it is not configured: then there is nothing to be ready, and nothing is shown."""
        if ready is not None:
            self._ready.labels(channel).set(ready)
        else:
            self._ready.remove_by_labels({"channel": channel})

    def ended(self, channel: str, kind: str, state: State, count: int = 1) -> None:
        self.deliveries.labels(channel, kind, state).inc(count)
