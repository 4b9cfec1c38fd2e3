"""A rotation: who is on call for a role, by layers and a calendar, and who stands in for them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from schemas.vocabulary import Role
from services.orchestrator.domain.duty.calendars import Calendar
from services.orchestrator.domain.duty.layers import Layer
from services.orchestrator.domain.duty.spans import Fixed, Source, Span, flattened


class Kind(StrEnum):
    """Why it is this person."""

    LAYER = "layer"
    FEED = "feed"
    OVERRIDE = "override"
    NOBODY = "nobody"


@dataclass(frozen=True)
class Shift:
    """Somebody is on call from `start` up to `end`, or nobody. `layer` is that of the rotation, or the id of the override."""

    person: str | None
    start: datetime
    end: datetime
    rotation: str
    layer: str | None = None
    source: Kind = Kind.NOBODY


@dataclass(frozen=True)
class Override:
    """Somebody stands in for whoever it would be. One that was ended before its time counts up to then."""

    id: str
    number: int
    rotation: str
    role: Role
    person: str
    starts: datetime
    ends: datetime
    reason: str
    by: str
    created_at: datetime
    ended_at: datetime | None = None
    ended_by: str | None = None
    end_reason: str | None = None

    @property
    def end(self) -> datetime:
        """When it is over. It never began when that is not after its start."""
        return self.ends if self.ended_at is None else min(self.ends, self.ended_at)


@dataclass(frozen=True)
class Rotation:
    """Who is on call for a role, for these services or, without any, for all that no other rotation is for.

    Where several layers have somebody the later one wins; the calendar wins over all of them, and an override over everything.
    People think of it by the clocks of `zone`.
    """

    name: str
    role: Role
    zone: ZoneInfo
    services: tuple[str, ...] = ()
    layers: tuple[Layer, ...] = ()
    calendar: Calendar | None = None

    def sources(self, overrides: Iterable[Override]) -> list[tuple[Kind, Source]]:
        """What says who it is, the last word first."""
        standing = [Span(each.starts, each.end, each.person, each.id) for each in overrides if each.starts < each.end]
        calendar = [] if self.calendar is None else [(Kind.FEED, self.calendar.known)]
        layers = [(Kind.LAYER, layer) for layer in reversed(self.layers)]
        return [(Kind.OVERRIDE, Fixed(tuple(flattened(standing)))), *calendar, *layers]
