"""What could not be read becomes a message, in one form whoever refused it."""

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from schemas.catalogue import encode
from schemas.deadletters import DeadLetter
from schemas.topics import DEADLETTERS
from services.runtime.bus.port import Message

MAX_BODY = 128 * 1024
"""Bytes of what was refused that are kept: whole, the largest records would not fit into a message any more."""
MAX_KEY, MAX_DETAIL = 1000, 3500
"""Characters; the contract leaves room for the remark that the body is cut."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where it stood: a topic with its partition and offset, or a webhook. `key` is the record's."""

    origin: str
    partition: int | None = None
    offset: int | None = None
    key: str = ""


def dead_letter(
    place: Place,
    body: bytes,
    *,
    id: str,
    reason: Literal["invalid", "unsupported", "rejected"],
    detail: str,
    refused_by: str,
    source: str,
    subject: str,
    at: datetime,
) -> Message:
    """The letter about `body`, which comes from outside as everything about it: whatever it holds, the letter can be written."""
    kept, remark = body[:MAX_BODY], ""
    if len(kept) < len(body):
        remark = f" (the body is cut: {len(kept):,} of {len(body):,} bytes are kept)"
    letter = DeadLetter(
        origin=place.origin,
        partition=place.partition,
        offset=place.offset,
        key=_plain(place.key, MAX_KEY),
        reason=reason,
        detail=_plain(detail, MAX_DETAIL) + remark,
        body=base64.b64encode(kept).decode(),
        refused_by=refused_by,
        at=at,
    )
    value = encode(DeadLetter.TYPE, letter, id=id, source=source, subject=_plain(subject, 255))
    return Message(DEADLETTERS, place.origin, value)


def _plain(text: str, limit: int) -> str:
    """Text that JSON and our own decoder take: halves of characters and NULs are written out."""
    return text[:limit].replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()[:limit]
