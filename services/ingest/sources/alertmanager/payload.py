"""The webhook body as Alertmanager 0.25 to 0.34 sends it (its `notify/webhook` and `template` packages).

Only what we use is named; all other keys are ignored. Null counts as absent: senders written in Go do that. These are
dictionaries and not models, since making the objects would take longer than reading the JSON.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from schemas.vocabulary import AlertStatus
from services.ingest.domain.bounds import MAX_ALERTS

STRICT = ConfigDict(strict=True, extra="ignore")
"""A number is never taken for a text."""

Texts = Annotated[dict[str, str], Field(fail_fast=True)]
"""Stops at the first wrong value: millions of them must not become millions of error objects."""


@with_config(STRICT)
class Described(TypedDict, total=False):
    """What may be absent of an alert. `fingerprint` was missing in old versions."""

    annotations: Texts | None
    endsAt: datetime | None
    generatorURL: str | None
    fingerprint: Annotated[str, Field(pattern=r"^[0-9A-Za-z_.:-]{0,64}$")] | None


@with_config(STRICT)
class WireAlert(Described):
    """One alert."""

    status: AlertStatus
    labels: Texts
    startsAt: datetime


@with_config(STRICT)
class Frame(TypedDict, total=False):
    """What is said once for all alerts of the body."""

    groupKey: str | None
    receiver: str | None
    externalURL: str | None


@with_config(STRICT)
class Payload(Frame):
    """The whole body, when all of it is right."""

    version: Literal["4"]
    alerts: Annotated[list[WireAlert], Field(max_length=MAX_ALERTS, fail_fast=True)]


PAYLOAD = TypeAdapter(Payload)
ALERT = TypeAdapter(WireAlert)
