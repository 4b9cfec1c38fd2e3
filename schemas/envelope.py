"""The envelope of every message on the bus: CloudEvents 1.0, structured JSON mode."""

from typing import Any

from pydantic import Field

from schemas.base import Contract, Instant


class Envelope(Contract):
    """One message. `data` is decoded by the model that `schemas.catalogue` names for `type`.

    `time` is when the fact happened, not when it was sent. `id` is made by the writer from the content where that is
    possible, so a repeated send is recognised by its readers.
    """

    specversion: str = Field(default="1.0", pattern=r"^1\.\d+$")
    id: str = Field(min_length=1, max_length=255)
    source: str = Field(min_length=1, max_length=255)
    type: str = Field(min_length=1, max_length=255)
    subject: str = Field(max_length=255)
    time: Instant
    datacontenttype: str = "application/json"
    data: dict[str, Any]
