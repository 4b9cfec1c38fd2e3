"""Planned work: alerts that are expected, and when."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from services.config.matching import Match, Matched
from services.config.values import Name, Text, WallClock, either, wall
from services.runtime.durations import Duration, parse_duration
from services.windows import Window, WindowError


class Maintenance(Matched):
    """A window, once or recurring. What fires in it is recorded and opens nothing, unless it outlives the window.

    Either `duration` or `ends` is given.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": either("duration", "ends", "string")})

    match: Match = Field(min_length=1)
    """Which alerts are expected."""
    starts: WallClock
    """When the first one begins, by the clock on the wall in `zone`."""
    duration: Duration | None = None
    """How long each lasts; at most 31d."""
    ends: WallClock | None = None
    """When the first one ends, by the same clock."""
    zone: Name = "UTC"
    """A time zone of the IANA database, like `Europe/Berlin`."""
    rrule: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    """How it recurs, as in calendars (RFC 5545), like `FREQ=WEEKLY;BYDAY=TU`; once without it."""
    reason: Text = ""
    """Why, in words."""

    @cached_property
    def window(self) -> Window:
        """Raises `WindowError` when the parts do not make one, which a file that was read cannot say."""
        return Window.parse(starts=self.starts, duration=self.duration, ends=self.ends, zone=self.zone, rrule=self.rrule)


def window_faults(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with the window of an entry: under which key, and what was expected.

    Each part is tried with those that are good, so that no fault hides another.
    """
    good: dict[str, Any] = {"starts": "2026-01-01T00:00", "duration": timedelta(hours=1)}
    for part in _parts(entry):
        try:
            Window.parse(**good | part)
        except WindowError as error:
            yield error.field, str(error)
        else:
            good |= part


def _parts(entry: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What the file says of the window, part by part; what is of the wrong kind is left out."""
    for key in ("zone", "starts", "rrule"):
        if isinstance(value := wall(entry.get(key)), str):
            yield {key: value}
    ends = wall(entry.get("ends"))
    try:
        duration = None if entry.get("duration") is None else parse_duration(entry["duration"])
    except ValueError:
        return
    if ends is None or isinstance(ends, str):
        yield {"duration": duration, "ends": ends}
