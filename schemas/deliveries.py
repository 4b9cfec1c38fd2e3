"""What the notifier says of its own work: outcomes that matter, not each successful edit."""

from typing import ClassVar, Literal

from pydantic import Field

from schemas.base import Contract, Instant


class DeliveryOutcome(Contract):
    """A delivery that others should know of: the first message of an incident at a destination, or a failure."""

    TYPE: ClassVar[str] = "tocsin.delivery.outcome.v1"
    delivery: str
    incident: str
    channel: str
    destination: str
    kind: str
    state: Literal["sent", "failed"]
    reason: str = Field(default="", max_length=4000)
    url: str | None = None
    at: Instant
