"""A calendar, taken apart in a process of its own: what others write into one may take for ever, and only a process can be ended.

It stands alone: `python -I icalchild.py` is given a line of JSON and the calendar, and answers with JSON.
"""

import json
import resource
import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import icalendar
import recurring_ical_events

MEMORY = 1024 * 1024 * 1024
"""Bytes that the process may have."""
PIECE = timedelta(days=31)
LONGEST_TEXT = 500
MOST_MAILS = 20


class Refused(Exception):
    """The calendar cannot be used; says in words why."""


def events(body: bytes, start: datetime, end: datetime, most: int) -> list[dict[str, Any]]:
    """The events of about that time, each as often as it comes; a little more, for the library misses some at the border of
    daylight saving. Times are as they are written: dates, or moments with an offset or without one. Raises `Refused`.
    """
    query = recurring_ical_events.of(_calendar(body, most))
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    at = start - timedelta(days=1)
    while at < end + timedelta(days=1):
        for event in query.between(at, at + PIECE):
            if str(event.get("STATUS", "")).upper() != "CANCELLED":
                told = _told(event)
                found[told["uid"], told["start"], told["end"]] = told
        if len(found) > most:
            raise Refused(f"it has more than {most:,} events in that time")
        at += PIECE
    return list(found.values())


def _calendar(body: bytes, most: int) -> icalendar.Calendar:
    if b"BEGIN:VCALENDAR" not in body[:1024].upper():
        raise Refused("it is no calendar: it does not begin with BEGIN:VCALENDAR")
    if body.upper().count(b"BEGIN:VEVENT") > most:
        raise Refused(f"it has more than {most:,} events")
    try:
        calendar = icalendar.Calendar.from_ical(body)
    except ValueError as error:
        raise Refused(f"it is no calendar that can be read: {error}") from None
    assert isinstance(calendar, icalendar.Calendar)
    return calendar


def _told(event: Any) -> dict[str, Any]:
    return {
        "uid": str(event.get("UID", ""))[:LONGEST_TEXT],
        "summary": str(event.get("SUMMARY", ""))[:LONGEST_TEXT],
        "mails": list(_mails(event))[:MOST_MAILS],
        "start": _written(event["DTSTART"].dt),
        "end": _written(event["DTEND"].dt),
    }


def _mails(event: Any) -> Iterator[str]:
    """Of who takes part and has not declined."""
    given = event.get("ATTENDEE", [])
    for attendee in given if isinstance(given, list) else [given]:
        if str(getattr(attendee, "params", {}).get("PARTSTAT", "")).upper() != "DECLINED":
            yield str(attendee).lower().removeprefix("mailto:")[:LONGEST_TEXT]


def _written(value: date) -> str:
    return value.isoformat()


def main(arguments: Sequence[str]) -> None:
    """Read, answer, and end. `arguments` are the seconds of computing that it may take."""
    seconds = int(arguments[0])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    asked = json.loads(sys.stdin.buffer.readline())
    start, end = (datetime.fromisoformat(asked[name]) for name in ("start", "end"))
    try:
        answer: dict[str, Any] = {"events": events(sys.stdin.buffer.read(), start, end, asked["most"])}
    except Refused as error:
        answer = {"refused": str(error)}
    except MemoryError:
        answer = {"refused": "it takes more memory than it may"}
    except Exception as error:  # noqa: BLE001  the edge of the process: whatever the libraries make of a broken calendar
        answer = {"refused": f"it cannot be read: {type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1:])
