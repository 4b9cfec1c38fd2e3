"""The kinds of values that several sections hold."""

from datetime import date, datetime
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic.config import JsonValue

from services.runtime.durations import Duration, between
from services.windows import WindowError, zone_of

Name = Annotated[str, Field(min_length=1, max_length=100)]
Text = Annotated[str, Field(max_length=1_000)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
Several = Annotated[int, Field(strict=True, ge=2, le=100)]

Delay = Annotated[Duration, between("0s", "7d")]
"""How long to wait; not at all is a good answer."""
Span = Annotated[Duration, between("1s", "30d")]
"""How far to look back."""
Beat = Annotated[Duration, between("1s", "1h")]
"""How often something is asked for."""
Patience = Annotated[Duration, between("1s", "1m")]
"""How long an answer may take."""


def wall(value: object) -> object:
    """YAML reads what looks like a moment as one."""
    return value.isoformat() if isinstance(value, datetime | date) else value


_WALL = {"type": "string", "pattern": r"^\s*[0-9]{4}-?[0-9]{2}-?[0-9]{2}", "examples": ["2026-12-01T22:00"]}

WallClock = Annotated[str, BeforeValidator(wall), WithJsonSchema(_WALL)]
"""A moment as the clock on the wall shows it."""


def _zone(name: str) -> str:
    try:
        return zone_of(name).key
    except WindowError as error:
        raise ValueError(str(error)) from None


Zone = Annotated[str, AfterValidator(_zone), Field(json_schema_extra={"examples": ["Europe/Berlin"]})]
"""A time zone of the IANA database."""

Url = Annotated[str, Field(pattern=r"^https?://\S+$")]


def _base(value: str) -> str:
    try:
        parts = urlsplit(value)
        good = bool(parts.hostname) and parts.port != 0 and not (parts.username or parts.password)
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment:
        raise ValueError("expected an address like http://prometheus:9090, without user, password or query")
    return value


BaseUrl = Annotated[Url, AfterValidator(_base)]
"""The address of a server, to which paths are added."""


def either(one: str, other: str, kind: str) -> list[JsonValue]:
    """For editors: exactly one of the two keys has a value."""
    return [
        {"required": [given], "properties": {given: {"type": kind}, left_out: {"type": "null"}}}
        for given, left_out in ((one, other), (other, one))
    ]
