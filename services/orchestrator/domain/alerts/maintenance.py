"""Planned work: alerts that are expected, and until when."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from services.matching import Selector
from services.windows import Window


@dataclass(frozen=True)
class Maintenance:
    """What the selector matches is expected while the window lasts. `id` is `MW-7`, or `file:` and its name in the file."""

    id: str
    name: str
    selector: Selector
    window: Window
    reason: str = ""
    by: str = ""


@dataclass(frozen=True)
class Planned:
    """A maintenance planned by hand, and whether and why it was ended before its time."""

    maintenance: Maintenance
    number: int
    created_at: datetime
    ended_at: datetime | None = None
    ended_by: str | None = None
    end_reason: str | None = None

    def holds(self, moment: datetime) -> bool:
        """Whether it was planned at that moment, and not ended yet; when its window lies is another matter."""
        return self.created_at <= moment and (self.ended_at is None or moment < self.ended_at)

    def over_at(self) -> datetime | None:
        """From when on nothing is expected because of it any more; None when there is no end."""
        return self.ended_at or self.maintenance.window.over_at


def maintenance_id(number: int) -> str:
    return f"MW-{number}"


def covering(maintenances: Iterable[Maintenance], labels: Mapping[str, str], at: datetime) -> tuple[Maintenance, datetime] | None:
    """The maintenance in which an alert with these labels is expected, with its end; of several the one that lasts longest."""
    longest: tuple[Maintenance, datetime] | None = None
    for maintenance in maintenances:
        if maintenance.selector.matches(labels):
            until = maintenance.window.until(at)
            if until is not None and (longest is None or until > longest[1]):
                longest = maintenance, until
    return longest
