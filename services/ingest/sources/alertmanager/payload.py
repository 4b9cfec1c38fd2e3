"""The webhook body as Alertmanager 0.25 to 0.34 sends it (its `notify/webhook` and `template` packages).

Only what we use is named; all other keys are ignored. Null counts as absent: senders written in Go do that.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.vocabulary import AlertStatus
from services.ingest.domain.bounds import MAX_ALERTS

Texts = Annotated[dict[str, str], Field(fail_fast=True)]
"""Stops at the first wrong value: millions of them must not become millions of error objects."""


class Wire(BaseModel):
    """Strict, so that a number is never taken for a text."""

    model_config = ConfigDict(strict=True, extra="ignore")


class WireAlert(Wire):
    """One alert. `fingerprint` was missing in old versions."""

    status: AlertStatus
    labels: Texts
    annotations: Texts | None = None
    starts_at: datetime = Field(alias="startsAt")
    ends_at: datetime | None = Field(None, alias="endsAt")
    generator_url: str | None = Field(None, alias="generatorURL")
    fingerprint: Annotated[str, Field(pattern=r"^[0-9A-Za-z_.:-]{0,64}$")] | None = None


class Frame(Wire):
    """What is said once for all alerts of the body."""

    version: Literal["4"]
    group_key: str | None = Field(None, alias="groupKey")
    receiver: str | None = None
    external_url: str | None = Field(None, alias="externalURL")


class Payload(Frame):
    """The whole body, when all of it is right."""

    alerts: Annotated[list[WireAlert], Field(max_length=MAX_ALERTS, fail_fast=True)]
