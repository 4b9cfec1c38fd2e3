"""Values with good defaults, for all tests."""

from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.alerts import AlertReceived
from schemas.ids import fingerprint_of
from schemas.incidents import Actor
from schemas.vocabulary import ActorKind, AlertStatus
from services.config import DEFAULT_MAP
from services.orchestrator.domain.policy.policy import Policy

NOW = datetime(2026, 11, 23, 3, 12, tzinfo=UTC)
POLICY = Policy(version="sha256:test", severity_map=DEFAULT_MAP)
ANN = Actor(kind=ActorKind.PERSON, name="ann")


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def an_alert(
    name: str = "ErrorRateHigh",
    *,
    severity: str | None = "s1",
    service: str | None = "web",
    env: str | None = "gprd",
    status: AlertStatus = AlertStatus.FIRING,
    starts_at: datetime = NOW,
    ends_at: datetime | None = None,
    received_at: datetime | None = None,
    annotations: dict[str, str] | None = None,
    **labels: str,
) -> AlertReceived:
    """An alert as ingest publishes it; `None` leaves a label out."""
    given = {"alertname": name, "severity": severity, "service": service, "env": env, **labels}
    known = {key: value for key, value in given.items() if value is not None}
    return AlertReceived(
        fingerprint=fingerprint_of(known),
        status=status,
        labels=known,
        annotations=annotations or {},
        starts_at=starts_at,
        ends_at=ends_at if status is AlertStatus.RESOLVED else None,
        received_at=received_at or starts_at,
    )


def resolved(alert: AlertReceived, ends_at: datetime) -> AlertReceived:
    """The same alert, over."""
    return alert.model_copy(update={"status": AlertStatus.RESOLVED, "ends_at": ends_at, "received_at": ends_at})


def webhook(*alerts: AlertReceived, **more: Any) -> dict[str, Any]:
    """The body that Alertmanager would post for these alerts."""
    firing = any(alert.status is AlertStatus.FIRING for alert in alerts)
    body = {
        "version": "4",
        "groupKey": '{}:{alertname="x"}',
        "truncatedAlerts": 0,
        "status": "firing" if firing else "resolved",
        "receiver": "tocsin",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093",
        "alerts": [_wire(alert) for alert in alerts],
    }
    return body | more


def _wire(alert: AlertReceived) -> dict[str, Any]:
    return {
        "status": alert.status,
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": alert.starts_at.isoformat(),
        "endsAt": alert.ends_at.isoformat() if alert.ends_at else "0001-01-01T00:00:00Z",
        "generatorURL": alert.generator_url,
        "fingerprint": alert.fingerprint,
    }
