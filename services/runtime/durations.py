"""Durations as Prometheus writes them: `30s`, `5m`, `1h30m`, `2d`."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile("".join(f"(?:([0-9]{{1,6}}){unit})?" for unit in _UNITS))
_SCHEMA = {
    "type": "string",
    "pattern": rf"^\s*(?=[0-9]){''.join(f'([0-9]{{1,6}}{unit})?' for unit in _UNITS)}\s*$",
    "examples": ["30s", "5m", "1h30m", "2d"],
}


def parse_duration(value: object) -> timedelta:
    """A duration like `5m` or `1h30m`; raises ValueError with what was expected."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) and value.strip() else None
    if match is None:
        raise ValueError("expected a duration like 30s, 5m, 1h30m or 2d")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def format_duration(value: timedelta) -> str:
    """As `parse_duration` reads it; parts of a second are left out."""
    rest, parts = int(value.total_seconds()), []
    for unit, seconds in _UNITS.items():
        count, rest = divmod(rest, seconds)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


def between(low: str, high: str) -> AfterValidator:
    """The bounds of a duration, both included."""
    least, most = parse_duration(low), parse_duration(high)

    def bounded(value: timedelta) -> timedelta:
        if not least <= value <= most:
            raise ValueError(f"expected a duration between {low} and {high}")
        return value

    return AfterValidator(bounded)


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema(_SCHEMA),
]
