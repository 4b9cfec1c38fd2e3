"""The text of a recurrence rule (RRULE of RFC 5545), taken apart and checked value by value."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time
from difflib import get_close_matches
from enum import IntEnum
from functools import partial
from typing import Any

from services.windows.errors import WindowError, shown

LONGEST_RULE = 500
MOST_INTERVALS, MOST_OCCURRENCES = 1000, 10_000
FIRST_YEAR, NEVER = 1970, 9000

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_DAY = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}")
_MOMENTS = {8: "%Y%m%d", 15: "%Y%m%dT%H%M%S", 16: "%Y%m%dT%H%M%SZ"}
"""How a moment is written, by its length."""


class Freq(IntEnum):
    """How often a rule comes round, from seldom to often."""

    YEARLY = 0
    MONTHLY = 1
    WEEKLY = 2
    DAILY = 3
    HOURLY = 4


def refuse(sentence: str) -> WindowError:
    return WindowError("rrule", sentence)


def read(text: object) -> Mapping[str, Any]:
    """The parts of a rule by their names, each as a value. Raises `WindowError` for what no rule may say."""
    if not isinstance(text, str) or len(text) > LONGEST_RULE:
        raise refuse(f"expected a text of at most {LONGEST_RULE} characters like 'FREQ=WEEKLY;BYDAY=SU'")
    parts: dict[str, Any] = {}
    for part in re.sub("^RRULE:", "", text.strip().upper()).split(";"):
        name, equals, value = part.partition("=")
        if not equals:
            raise refuse(f"{shown(part)} is no part of a rule; expected NAME=VALUE, as in 'FREQ=WEEKLY;BYDAY=SU'")
        if name in parts:
            raise refuse(f"{name} is given twice")
        parts[name] = _reader(name)(name, value)
    if "FREQ" not in parts:
        raise refuse("FREQ is missing; expected it to say how often, as in 'FREQ=WEEKLY;BYDAY=SU'")
    if "COUNT" in parts and "UNTIL" in parts:
        raise refuse("COUNT and UNTIL both say when it ends; expected one of them")
    return parts


def _reader(name: str) -> Callable[[str, str], Any]:
    reader = _READERS.get(name)
    if reader is None:
        near = get_close_matches(name[:20], _READERS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise refuse(f"{shown(name)} is not supported; expected any of {', '.join(_READERS)}{hint}")
    return reader


def _freq(name: str, value: str) -> Freq:
    if value in {"SECONDLY", "MINUTELY"}:
        raise refuse(f"{name}={value} is too often; expected HOURLY or more seldom")
    try:
        return Freq[value]
    except KeyError:
        raise refuse(f"{name}={shown(value)}; expected {', '.join(freq.name for freq in Freq)}") from None


def _number(name: str, value: str, low: int, high: int) -> int:
    number = int(value) if _NUMBER.fullmatch(value) else None
    if number is None or not low <= number <= high or (number == 0 and low < 0):
        zero = " other than 0" if low < 0 else ""
        raise refuse(f"{name}={shown(value)}; expected a number from {low} to {high}{zero}")
    return number


def _numbers(name: str, value: str, low: int, high: int) -> tuple[int, ...]:
    return tuple(sorted({_number(name, item, low, high) for item in value.split(",")}))


def _weekday(name: str, value: str) -> int:
    if value not in WEEKDAYS:
        raise refuse(f"{name}={shown(value)}; expected {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(value)


def _days(name: str, value: str) -> tuple[tuple[int, int | None], ...]:
    """Weekdays (0 is Monday), each with its number in the month or the year where one is given."""
    found: set[tuple[int, int | None]] = set()
    for item in value.split(","):
        match = _DAY.fullmatch(item)
        number = int(match[1]) if match and match[1] else None
        if match is None or number == 0:
            raise refuse(f"{name}={shown(item)}; expected a weekday like SU, 1SU (the first) or -1SU (the last)")
        found.add((WEEKDAYS.index(match[2]), number))
    if len({number is None for _, number in found}) > 1:
        raise refuse(f"{name}={shown(value)}; expected a number with each weekday or with none")
    return tuple(sorted(found, key=lambda day: (day[0], day[1] or 0)))


def _until(name: str, value: str) -> datetime | None:
    """In UTC with a `Z`, else by the window's own clock; a date alone means the whole day. So far away, it is none."""
    try:
        moment = datetime.strptime(value, _MOMENTS.get(len(value), "?"))  # noqa: DTZ007  wall clock
    except ValueError:
        moment = None
    if moment is None or moment.year < FIRST_YEAR:
        expected = "20261231, 20261231T220000 (wall clock) or 20261231T220000Z (UTC)"
        raise refuse(f"{name}={shown(value)}; expected a moment like {expected}")
    if moment.year >= NEVER:
        return None
    if len(value) == len("20261231"):
        return datetime.combine(moment, time(23, 59, 59))
    return moment.replace(tzinfo=UTC) if value.endswith("Z") else moment


_READERS: Mapping[str, Callable[[str, str], Any]] = {
    "FREQ": _freq,
    "INTERVAL": partial(_number, low=1, high=MOST_INTERVALS),
    "COUNT": partial(_number, low=1, high=MOST_OCCURRENCES),
    "UNTIL": _until,
    "WKST": _weekday,
    "BYMONTH": partial(_numbers, low=1, high=12),
    "BYMONTHDAY": partial(_numbers, low=-31, high=31),
    "BYYEARDAY": partial(_numbers, low=-366, high=366),
    "BYDAY": _days,
    "BYHOUR": partial(_numbers, low=0, high=23),
    "BYMINUTE": partial(_numbers, low=0, high=59),
    "BYSECOND": partial(_numbers, low=0, high=59),
    "BYSETPOS": partial(_numbers, low=-366, high=366),
}
