"""Planned work: alerts that are expected, and when."""

from datetime import date, datetime
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from services.config.values import Match, Name, Text
from services.runtime.durations import Duration
from services.runtime.yamlfile import Section


def _wall(value: object) -> object:
    """YAML reads what looks like a moment as one."""
    return value.isoformat() if isinstance(value, datetime | date) else value


_WALL = {
    "type": "string",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?$",
    "examples": ["2026-12-01T22:00"],
}
WallClock = Annotated[str, BeforeValidator(_wall), WithJsonSchema(_WALL)]


class Maintenance(Section):
    """A window, once or recurring. What fires in it is recorded and opens nothing, unless it outlives the window.

    Either `duration` or `ends` is given.
    """

    name: Name
    """How decisions and lists call it."""
    match: Match = Field(min_length=1)
    """Which alerts are expected."""
    starts: WallClock
    """When the first one begins, by the clock on the wall in `zone`."""
    duration: Duration | None = None
    """How long each lasts."""
    ends: WallClock | None = None
    """When the first one ends, by the same clock."""
    zone: Name = "UTC"
    """A time zone of the IANA database, like `Europe/Berlin`."""
    rrule: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    """How it recurs, as in calendars (RFC 5545), like `FREQ=WEEKLY;BYDAY=TU`; once without it."""
    reason: Text = ""
    """Why, in words."""
