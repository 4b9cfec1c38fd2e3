"""Who is on call, and when."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema
from pydantic.config import JsonDict

from schemas.vocabulary import Role
from services.config.values import Flag, Name, WallClock, Zone
from services.runtime.durations import Duration, between, parse_duration
from services.runtime.yamlfile import Section

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ANY_DAY = "|".join(WEEKDAYS)
_DAYS = re.compile(rf"({_ANY_DAY})(?:-({_ANY_DAY}))?")
_CLOCK = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])")
_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_INTERVAL = re.compile(r"([1-9][0-9]{0,3})(h|d|w)")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
LONGEST = timedelta(weeks=26)
FIRST_YEAR, LAST_YEAR = 1970, 2199


def parse_interval(value: object) -> timedelta:
    """How often people change, like `1w`, `1d` or `12h`; raises ValueError with what was expected."""
    if isinstance(value, timedelta):
        return value
    match = _INTERVAL.fullmatch(value.strip()) if isinstance(value, str) else None
    interval = int(match[1]) * _UNITS[match[2]] if match else timedelta()
    if not timedelta() < interval <= LONGEST:
        raise ValueError("expected an interval like 12h, 1d or 1w; at most 26w")
    return interval


def written_interval(interval: timedelta) -> str:
    """As `parse_interval` reads it, in the largest unit of which it has whole ones."""
    unit = next(unit for unit in ("w", "d", "h") if not interval % _UNITS[unit])
    return f"{interval // _UNITS[unit]}{unit}"


Interval = Annotated[
    timedelta,
    BeforeValidator(parse_interval),
    PlainSerializer(written_interval, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": rf"^\s*{_INTERVAL.pattern}\s*$", "examples": ["1w", "1d", "12h"]}),
]


def days_of(text: str) -> frozenset[int]:
    """The weekdays (0 is Monday) of `mon`, `mon-fri` or `sat-mon`; raises ValueError."""
    match = _DAYS.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(f"{text!r} is no weekday; expected any of {', '.join(WEEKDAYS)}, or from one to another like mon-fri")
    first, last = WEEKDAYS.index(match[1]), WEEKDAYS.index(match[2] or match[1])
    return frozenset((first + step) % 7 for step in range((last - first) % 7 + 1))


def minutes_of(value: object) -> int:
    """The minute of the day of `09:00`; raises ValueError. YAML reads 17:00 without quotes as the number 1020, which is that."""
    if isinstance(value, int) and not isinstance(value, bool) and 60 <= value <= 24 * 60:
        return value
    match = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    minutes = int(match[1]) * 60 + int(match[2]) if match else 24 * 60 + 1
    if minutes > 24 * 60:
        raise ValueError('expected a time of the day like "09:00", at most "24:00"')
    return minutes


def wall_moment(value: object) -> datetime:
    """A moment as the clock on the wall shows it, like `2026-01-05T09:00`; raises ValueError."""
    try:
        moment = datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is not None or not FIRST_YEAR <= moment.year <= LAST_YEAR:
        years = f"a year from {FIRST_YEAR} to {LAST_YEAR}"
        raise ValueError(f"{value!r} is no time on a wall; expected one like 2026-01-05T09:00, without an offset, in {years}")
    return moment.replace(microsecond=0)


def _on_the_wall(text: str) -> str:
    return wall_moment(text).isoformat()


def _clock(value: object) -> str:
    hours, minutes = divmod(minutes_of(value), 60)
    return f"{hours:02}:{minutes:02}"


def _weekdays(text: str) -> str:
    days_of(text)
    return text


def _slug(name: str) -> str:
    if not _SLUG.fullmatch(name):
        raise ValueError("expected letters, digits and any of _ . - without spaces, since it stands in addresses")
    return name


def _address(url: str) -> str:
    """Nothing of it is repeated: it may hold a secret."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        good = False
    if not good or " " in url:
        raise ValueError("expected an address that begins with https:// or http://; for webcal:// write https://")
    if parts.username or parts.password:
        raise ValueError("expected an address without user or password")
    return url


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Moment = Annotated[WallClock, AfterValidator(_on_the_wall)]
_TIME: JsonDict = {"type": "string", "pattern": rf"^\s*{_CLOCK.pattern}\s*$", "examples": ["09:00", "24:00"]}
Clock = Annotated[str, BeforeValidator(_clock), WithJsonSchema(_TIME)]
Days = Annotated[str, AfterValidator(_weekdays)]
_DAY: JsonDict = {"type": "string", "pattern": rf"^\s*{_DAYS.pattern}\s*$", "examples": ["mon-fri", *WEEKDAYS]}
_ONE_OR_MORE: JsonDict = {"anyOf": [_DAY, {"type": "array", "items": _DAY, "minItems": 1}]}
Slug = Annotated[str, AfterValidator(_slug), Field(max_length=100, json_schema_extra={"pattern": f"^{_SLUG.pattern}$"})]
FeedUrl = Annotated[str, AfterValidator(_address), Field(json_schema_extra={"pattern": r"^https?://\S+$"})]


class Member(Section):
    """Somebody who takes turns: those that begin at `from` or later, and before `until`."""

    person: Name
    """The id of the person."""
    since: Moment | None = Field(default=None, alias="from")
    """The first hand-over from then on, by the clock on the wall, is the first at which they can have their turn. Without it
    they are taken for somebody who has been there from the start: adding such a one moves everybody's turns, past and to come."""
    until: Moment | None = None
    """Turns that begin from then on are not theirs any more."""


class Hours(Section):
    """When a layer is there."""

    days: Annotated[list[Days], BeforeValidator(_listed), WithJsonSchema(_ONE_OR_MORE)] = Field(
        default_factory=lambda: ["mon-sun"], min_length=1
    )
    """On which weekdays, like `mon-fri` or `[sat, sun]`; all of them without it."""
    opens: Clock = Field(alias="from")
    """From when, by the clock on the wall in the layer's zone."""
    closes: Clock = Field(alias="to")
    """Until when; `24:00` is the end of the day."""
    overnight: Flag = False
    """It ends on the next day, at a time that is not later than `from`."""


def _member(value: object) -> object:
    return {"person": value} if isinstance(value, str) else value


def _either_way(schema: JsonDict) -> None:
    """For editors: an id alone, or with more."""
    items = schema["items"]
    schema["items"] = {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 100, "description": "A person's id."}, items]}


class Layer(Section):
    """People who take turns."""

    name: Name | None = None
    """How lists call it; `layer 1` and so on without one."""
    people: Annotated[list[Annotated[Member, BeforeValidator(_member)]], Field(json_schema_extra=_either_way)]
    """Their ids, in the order in which they have their turns. One that comes later: `{person: cid, from: 2026-06-01}`."""
    starts: Moment
    """The first hand-over, by the clock on the wall. All others follow from it, so it does not change when people do."""
    every: Interval = parse_interval("1w")
    """How often they change, like `1w`, `1d` or `12h`; at the time of the day that `starts` says."""
    until: Moment | None = None
    """When the layer ends, by the same clock."""
    zone: Zone | None = None
    """Whose clocks; those of the rotation without it."""
    hours: list[Hours] = Field(default_factory=list)
    """When the layer is there; always without it."""


class Feed(Section):
    """A calendar in iCalendar format that says who is on call. Either `url`, `url_file` or `file` is given."""

    url: FeedUrl | None = Field(default=None, repr=False)
    """Its address, beginning with http:// or https://. It may hold no secret: the configuration is no place for one."""
    url_file: Path | None = None
    """A file whose first line is the address, for one that holds a secret."""
    file: Path | None = None
    """A calendar on this machine."""
    refresh: Annotated[Duration, between("1m", "1d")] = parse_duration("15m")
    """How often it is asked for; 1m to 1d."""
    people: dict[Annotated[str, Field(min_length=1, max_length=500)], Name] = Field(default_factory=dict)
    """Whom its words mean, like `"Smith, Ann": ann`. Addresses, names and ids of people are known without it."""


class Rotation(Section):
    """Who is on call for a role. Later layers win over earlier ones where both have somebody, and the feed wins over all."""

    name: Slug
    """How lists, metrics and addresses call it; each name once."""
    role: Role
    """`eoc`, `imoc` or `cmoc`."""
    services: list[Name] = Field(default_factory=list)
    """The services that it is for; without any, all that no other rotation of the role is for."""
    zone: Zone = "UTC"
    """Whose clocks hand over."""
    layers: list[Layer] = Field(default_factory=list)
    """Who takes turns."""
    feed: Feed | None = None
    """A calendar that knows who it is."""


def _host(value: str) -> str:
    if re.search(r"[/@\s\[\]]|://", value):
        raise ValueError(f"{value!r} is no host; expected a name or an address alone, like calendar.internal")
    return value


class FeedsSection(Section):
    """What holds for all calendars."""

    allow: list[Annotated[Name, AfterValidator(_host)]] = Field(default_factory=list)
    """Hosts that may be asked though they are at a private, loopback or link-local address."""
