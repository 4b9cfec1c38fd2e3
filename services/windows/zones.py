"""Zones: finding them by name, and the moments at which their clocks show a time."""

from datetime import UTC, datetime, timedelta, tzinfo
from difflib import get_close_matches
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

from services.windows.errors import WindowError, shown

LONGEST_NAME = 100
_SECOND = timedelta(seconds=1)


def zone_of(name: object) -> ZoneInfo:
    """The zone of this name in the IANA database; raises `WindowError` with the nearest name."""
    if isinstance(name, str) and name in _names():
        return ZoneInfo(name)
    near = _nearest(name) if isinstance(name, str) else None
    hint = f"; did you mean {near!r}?" if near else ""
    raise WindowError("zone", f"{shown(name)} is no time zone; expected a name like 'Europe/Berlin' or 'UTC'{hint}")


@cache
def _names() -> frozenset[str]:
    """Without those that mean no place."""
    return frozenset(available_timezones()) - {"localtime", "Factory"}


def _nearest(name: str) -> str | None:
    """People leave the continent out, and write as they speak: `new york` is America/New_York.

    `Etc/GMT+2` is never proposed: it is two hours behind UTC, which is not what anybody means by GMT+2.
    """
    wanted = name[:LONGEST_NAME].strip().lower().replace(" ", "_")
    places = {known.lower(): known for known in sorted(_names()) if "/" in known and not known.startswith("Etc/")}
    cities = {lower.rpartition("/")[2]: known for lower, known in places.items()}
    for words in (places | {"utc": "UTC"}, cities):
        if near := get_close_matches(wanted, words, n=1, cutoff=0.8):
            return words[near[0]]
    return None


@lru_cache(maxsize=8192)
def moment_of(wall: datetime, zone: tzinfo) -> datetime:
    """When the zone's clocks show this time, in UTC: the first time if they do so twice, and if never, when they jump over it."""
    moment = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == wall:
        return moment
    return _jump(wall, zone)


def _jump(wall: datetime, zone: tzinfo) -> datetime:
    """The moment at which the zone's clocks are put forward past a time that they never show.

    Reading that time by the offset after the jump gives a moment before it, by the offset before the jump one after it.
    """
    before = wall.replace(tzinfo=zone, fold=0).utcoffset()
    low, high = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (1, 0))
    while high - low > _SECOND:
        middle = low + (high - low) // _SECOND // 2 * _SECOND
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high
