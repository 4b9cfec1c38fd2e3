"""A delivery: one message for one destination, from the moment it is planned to its end."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.notifier.domain.content import Content, Kind

PATIENCE = timedelta(hours=24)
"""For so long a delivery is tried before it has failed."""


class State(StrEnum):
    """Where a delivery is in its life. After a try whose outcome nobody knows it is `unknown` and will be looked up."""

    PENDING = "pending"
    SENDING = "sending"
    UNKNOWN = "unknown"
    SENT = "sent"
    SUPERSEDED = "superseded"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Nothing more happens by itself."""
        return self in FINAL


FINAL = (State.SENT, State.SUPERSEDED, State.FAILED)
SUPERSEDED = "a newer state of the summary exists"
MERGED = "the incident was merged, and its last message says where it goes on"


@dataclass(frozen=True)
class Destination:
    """A place that one channel reaches."""

    channel: str
    name: str


@dataclass(frozen=True)
class Place:
    """An incident at a destination: what has one summary, one thread, one order."""

    incident: str
    channel: str
    destination: str

    def __str__(self) -> str:
        return f"{self.incident}|{self.channel}|{self.destination}"


@dataclass(frozen=True)
class Delivery:
    """As it is stored. `doubt`: a try may have left a message that nobody has seen yet. `attempts` counts the tries."""

    id: str
    place: Place
    kind: Kind
    version: int
    content: Content
    state: State
    attempts: int
    doubt: bool
    created_at: datetime
    give_up_at: datetime
    caused_at: datetime | None


def work_key(id: str, place: Place, kind: Kind) -> str:
    """The key of its piece of work: all summaries of a place share one, so the newest takes the place of the others."""
    return f"{place}|summary" if kind == "summary" else id
