"""From a webhook body to messages: all at once when all is well, alert by alert when something is not."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TypedDict

from pydantic import ValidationError

from schemas.alerts import AlertReceived
from schemas.ids import fingerprint_of
from services.ingest.accept import Intake, Refused, Rejected, alert_message
from services.ingest.domain.bounds import (
    MAX_ALERTS,
    MAX_NAME,
    Fault,
    Unfit,
    bounded_annotations,
    check_labels,
    cut,
    ended,
    link,
    started,
)
from services.ingest.sources.alertmanager.payload import ALERT, PAYLOAD, Frame, WireAlert
from services.runtime.bus.port import Message

SOURCE = "ingest/alertmanager"


def parse(body: bytes, now: datetime) -> Intake:
    """Raises `Refused` when the body is not a webhook of version 4."""
    try:
        payload = PAYLOAD.validate_json(body)
        common = _common(payload, now)
        return Intake([_message(alert, common) for alert in payload["alerts"]])
    except (ValidationError, Unfit):
        return _one_by_one(body, now)


class Common(TypedDict):
    """The fields that all alerts of a body share."""

    group_key: str
    receiver: str
    external_url: str
    received_at: datetime


def _common(frame: Frame, now: datetime) -> Common:
    return {
        "group_key": cut(frame.get("groupKey") or "", MAX_NAME),
        "receiver": cut(frame.get("receiver") or "", MAX_NAME),
        "external_url": link(frame.get("externalURL") or ""),
        "received_at": now,
    }


def _message(alert: WireAlert, common: Common) -> Message:
    """Raises `Unfit`."""
    labels, status, now = alert["labels"], alert["status"], common["received_at"]
    check_labels(labels)
    start = started(alert["startsAt"], now)
    fields = {
        "fingerprint": alert.get("fingerprint") or fingerprint_of(labels),
        "status": status,
        "labels": labels,
        "annotations": bounded_annotations(alert.get("annotations") or {}),
        "starts_at": start,
        "ends_at": ended(status, start, alert.get("endsAt"), now),
        "generator_url": link(alert.get("generatorURL") or ""),
        **common,
    }
    return alert_message(AlertReceived.model_validate(fields), SOURCE)


def _one_by_one(body: bytes, now: datetime) -> Intake:
    document = _document(body)
    common = _common(_frame(document), now)
    intake = Intake()
    for index, alert in enumerate(_alerts(document)):
        raw = _json(alert)
        try:
            intake.messages.append(_message(ALERT.validate_json(raw), common))
        except ValidationError as error:
            intake.rejected.append(Rejected(_shape_fault(index, error), raw))
        except Unfit as error:
            place = f"/alerts/{index}{error.fault.pointer}"
            intake.rejected.append(Rejected(replace(error.fault, pointer=place), raw))
    return intake


def _document(body: bytes) -> dict[str, object]:
    """Raises `Refused` unless the body is an object of version 4."""
    try:
        document = json.loads(body.decode())
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise _refused("", f"the body is not JSON: {str(error)[:200]}", "a JSON object") from None
    if not isinstance(document, dict):
        raise _refused("", "the body is not an object", "a JSON object")
    if document.get("version") != "4":
        raise _refused("/version", "this is not a webhook of version 4", '"4"')
    return document


def _json(alert: object) -> bytes:
    try:
        return json.dumps(alert, separators=(",", ":")).encode()
    except RecursionError:
        raise _too_deep() from None


def _frame(document: Mapping[str, object]) -> Frame:
    """What merely describes and is of a wrong type counts as absent."""

    def text(name: str) -> str | None:
        value = document.get(name)
        # Python's parser lets lone surrogates through, which are no text.
        return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None

    return {"groupKey": text("groupKey"), "receiver": text("receiver"), "externalURL": text("externalURL")}


def _alerts(document: Mapping[str, object]) -> list[object]:
    alerts = document.get("alerts")
    if not isinstance(alerts, list):
        raise _refused("/alerts", "there is no list of alerts", "a list")
    if len(alerts) > MAX_ALERTS:
        raise _refused("/alerts", f"{len(alerts):,} alerts", f"at most {MAX_ALERTS:,} alerts")
    return alerts


def _shape_fault(index: int, error: ValidationError) -> Fault:
    """The first error, without the input: names come from outside, so they are shortened and escaped."""
    first = error.errors(include_url=False, include_input=False)[0]
    parts = [ascii(str(part)[:60])[1:-1].replace("~", "~0").replace("/", "~1") for part in first["loc"]]
    expected = str(first.get("ctx", {}).get("expected", ""))
    return Fault("/".join(("/alerts", str(index), *parts)), first["msg"], expected)


def _refused(pointer: str, message: str, expected: str) -> Refused:
    return Refused("The body is not a webhook of Alertmanager.", [Fault(pointer, message, expected)])


def _too_deep() -> Refused:
    return _refused("", "the body is nested too deeply", "a webhook of Alertmanager")
