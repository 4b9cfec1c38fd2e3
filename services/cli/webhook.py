"""Alerts as Alertmanager sends them: the body of its webhook, version 4."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schemas.ids import Fingerprint, fingerprint_of

PATH = "/webhooks/alertmanager"
NOT_ENDED = "0001-01-01T00:00:00Z"


@dataclass(frozen=True)
class Alert:
    """One alert; it fires until it has an end."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)
    starts_at: datetime = field(kw_only=True)
    ends_at: datetime | None = None

    @property
    def fingerprint(self) -> Fingerprint:
        return fingerprint_of(dict(self.labels))

    @property
    def status(self) -> str:
        return "firing" if self.ends_at is None else "resolved"

    def as_sent(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "startsAt": self.starts_at.isoformat(),
            "endsAt": self.ends_at.isoformat() if self.ends_at else NOT_ENDED,
            "generatorURL": "",
            "fingerprint": self.fingerprint,
        }


def body(alerts: Sequence[Alert]) -> dict[str, Any]:
    """One notification about one group of alerts."""
    common = dict(set.intersection(*(set(alert.labels.items()) for alert in alerts)))
    group = {"alertname": common["alertname"]} if "alertname" in common else {}
    return {
        "version": "4",
        "groupKey": "{}:{" + ", ".join(f'{name}="{value}"' for name, value in group.items()) + "}",
        "truncatedAlerts": 0,
        "status": "firing" if any(alert.ends_at is None for alert in alerts) else "resolved",
        "receiver": "tocsin",
        "groupLabels": group,
        "commonLabels": common,
        "commonAnnotations": {},
        "externalURL": "",
        "alerts": [alert.as_sent() for alert in alerts],
    }
