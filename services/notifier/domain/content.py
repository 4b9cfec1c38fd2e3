"""What a message says, before any channel renders it.

Every string may come from an alert or a person and is hostile until a channel has rendered it for its own destination.
"""

from typing import Literal

from schemas.base import Contract, Instant
from schemas.vocabulary import Severity

Kind = Literal["summary", "reply"]
"""`summary` is the one living message of an incident, edited in place; `reply` is said once, in its thread."""

Mood = Literal["open", "calm", "over"]


class Fact(Contract):
    """One named value of a summary, like `Services: web, api`."""

    name: str
    value: str


class Link(Contract):
    """A place to look. Channels make it clickable for http and https only and show anything else as text."""

    label: str
    url: str


class Content(Contract):
    """A message. `headline` is one line; `text` may have several; `mood` lets a channel choose a colour or a sign."""

    incident: str
    headline: str
    severity: Severity | None = None
    mood: Mood = "open"
    text: str = ""
    facts: tuple[Fact, ...] = ()
    links: tuple[Link, ...] = ()
    at: Instant
