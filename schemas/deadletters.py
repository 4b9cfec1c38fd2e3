"""What could not be read, kept so that nothing is lost."""

from typing import ClassVar, Literal

from pydantic import Field

from schemas.base import Contract, Instant


class DeadLetter(Contract):
    """Bytes that our decoder refused, with where they stood and why.

    `reason` is `invalid` (does not fit the contract), `unsupported` (a type or version this release does not know) or
    `rejected` (an alert that ingest refused). `origin` names the place: a topic, or the webhook. `body` is base64.
    """

    TYPE: ClassVar[str] = "tocsin.deadletter.v1"
    origin: str
    partition: int | None = None
    offset: int | None = None
    key: str = ""
    reason: Literal["invalid", "unsupported", "rejected"]
    detail: str = Field(max_length=4000)
    body: str
    refused_by: str
    at: Instant
