"""Rotations for tests, in a few words."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from schemas.vocabulary import Role
from services.orchestrator.domain.duty.calendars import Calendar, Entry, Whom, calendar_of
from services.orchestrator.domain.duty.hours import Hours
from services.orchestrator.domain.duty.layers import Layer
from services.orchestrator.domain.duty.members import Member
from services.orchestrator.domain.duty.rotation import Override, Rotation, Shift
from tests.builders import NOW

BERLIN, UTC = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
WEEK, DAY, HOUR = timedelta(weeks=1), timedelta(days=1), timedelta(hours=1)
WORKDAYS = frozenset(range(5))
PEOPLE = Whom.of({}, [("ann", "Ann Smith", "ann@example.com"), ("bob", "Bob Jones", "bob@example.com"), ("cid", "Cid Ng", None)])


def at(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    """A moment by the clocks of a zone."""
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def a_layer(
    people: str = "ann bob",
    starts: str = "2026-01-05T09:00",
    every: timedelta = WEEK,
    *,
    name: str = "layer",
    zone: ZoneInfo = BERLIN,
    until: str | None = None,
    hours: Sequence[Hours] = (),
) -> Layer:
    """People who change on Mondays at nine."""
    members = tuple(map(Member, people.split()))
    over = None if until is None else datetime.fromisoformat(until)
    return Layer(name, zone, datetime.fromisoformat(starts), every, members, over, tuple(hours))


def office(opens: int = 9, closes: int = 17, days: frozenset[int] = WORKDAYS) -> Hours:
    """Whole hours of the day."""
    return Hours(days, opens * 60, closes * 60)


def a_rotation(
    *layers: Layer,
    name: str = "eoc",
    role: Role = Role.EOC,
    services: Sequence[str] = (),
    calendar: Calendar | None = None,
    zone: ZoneInfo = BERLIN,
) -> Rotation:
    """Of bob and ann, unless layers or a calendar are given; the week of the 23rd of November is bob's."""
    given = layers or (() if calendar else (a_layer("bob ann"),))
    return Rotation(name, role, zone, tuple(services), given, calendar)


def a_calendar(*entries: tuple[str, str, str], whom: Whom = PEOPLE) -> Calendar:
    """From when, until when, and what it is called."""
    return calendar_of([Entry(at(start), at(end), summary, summary) for start, end, summary in entries], whom)


def an_override(
    person: str, starts: datetime, ends: datetime, *, number: int = 1, rotation: str = "eoc", ended_at: datetime | None = None
) -> Override:
    """Wanted by ann, since somebody is ill."""
    name = f"OV-{number}"
    return Override(name, number, rotation, Role.EOC, person, starts, ends, "ill", "ann", NOW, ended_at)


def told(shifts: Sequence[Shift], zone: ZoneInfo = BERLIN) -> list[str]:
    """Each shift in a few words, as it begins: `05 09:00 ann`."""
    return [f"{shift.start.astimezone(zone):%d %H:%M} {shift.person or '-'}" for shift in shifts]
