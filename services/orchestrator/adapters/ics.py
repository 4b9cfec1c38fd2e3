"""A rotation as a calendar in iCalendar format, for the calendars of people and for other programs."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from icalendar import Calendar, Event, vCalAddress

from schemas.ids import digest
from services.orchestrator.domain.duty.rotation import Rotation, Shift
from services.orchestrator.handlers.oncall import Contact

REFRESH = timedelta(minutes=15)


def exported(rotation: Rotation, shifts: Iterable[Shift], people: Mapping[str, Contact], now: datetime) -> bytes:
    """One event for each shift. The same shift has the same UID each time, so that programs see what has changed."""
    calendar = Calendar()
    calendar.add("prodid", "-//Tocsin//on call//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", f"On call: {rotation.name}")
    calendar.add("x-published-ttl", f"PT{REFRESH // timedelta(minutes=1)}M")
    calendar.add("refresh-interval", REFRESH, parameters={"VALUE": "DURATION"})
    for shift in shifts:
        calendar.add_component(_event(rotation, shift, people, now))
    body: bytes = calendar.to_ical()
    return body


def _event(rotation: Rotation, shift: Shift, people: Mapping[str, Contact], now: datetime) -> Event:
    contact = people.get(str(shift.person), Contact(str(shift.person)))
    event = Event()
    event.add("uid", f"{digest('shift', rotation.name, shift.start.isoformat())}@tocsin")
    event.add("dtstamp", now)
    event.add("dtstart", shift.start)
    event.add("dtend", shift.end)
    event.add("summary", f"{contact.name} is {rotation.role.upper()} ({rotation.name})")
    event.add("description", f"By {shift.source} {shift.layer or ''}".strip())
    event.add("transp", "TRANSPARENT")
    if contact.email:
        address = vCalAddress(f"mailto:{contact.email}")
        address.params["CN"] = contact.name
        event.add("attendee", address, encode=False)
    return event
