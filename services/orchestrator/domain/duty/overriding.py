"""Standing in for somebody: what may be asked for, and what is refused in words."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches

from schemas.vocabulary import Role
from services.orchestrator.domain.duty.moments import minute, read_moment
from services.orchestrator.domain.duty.oncall import on_call, shifts
from services.orchestrator.domain.duty.roster import Roster
from services.orchestrator.domain.duty.rotation import Override, Rotation, Shift
from services.orchestrator.domain.duty.spans import FAR
from services.orchestrator.domain.incident.incident import Refusal

LONGEST = timedelta(days=31)
LATE = timedelta(minutes=1)
"""So long ago a start may lie; it takes a while to type."""


@dataclass(frozen=True)
class Wrong:
    """One place of what was asked."""

    pointer: str
    message: str


@dataclass(frozen=True)
class Invalid:
    """What was asked for cannot be, whatever else there is."""

    errors: tuple[Wrong, ...]


@dataclass(frozen=True)
class Asked:
    """Somebody is to stand in from `starts` (now without it) until `ends`, or for so long."""

    person: str
    starts: str | None = None
    ends: str | None = None
    lasts: timedelta | None = None
    rotation: str | None = None


def override_id(number: int) -> str:
    return f"OV-{number}"


def chosen(rotations: Iterable[Rotation], role: Role, name: str | None) -> Rotation | Refusal | Invalid:
    """The rotation that is meant: the one named, the only one of the role, or the one that is for no service."""
    mine = {rotation.name: rotation for rotation in rotations if rotation.role is role}
    if not mine:
        return Refusal("not_found", f"No rotation is for the role {role}.")
    if name is not None:
        told = f"there is no rotation {name!r} for the role {role}; expected {' or '.join(mine)}"
        return mine.get(name) or Invalid((Wrong("/rotation", told),))
    general = [rotation for rotation in mine.values() if not rotation.services] or list(mine.values())
    if len(general) > 1:
        return Invalid((Wrong("/rotation", f"several rotations are for the role {role}; expected {' or '.join(mine)}"),))
    return general[0]


def wanted_time(asked: Asked, rotation: Rotation, now: datetime) -> tuple[datetime, datetime] | Invalid:
    """From when until when, by the clocks of the rotation's zone where nothing else is said."""
    starts, wrong = _read("/starts", asked.starts, rotation, now.replace(microsecond=0))
    ends, more = _read("/ends", asked.ends, rotation, None)
    wrong += more
    if (asked.ends is None) == (asked.lasts is None):
        wrong.append(Wrong("/ends", "expected either an end or for how long"))
    if starts is not None and asked.lasts is not None:
        ends = starts + asked.lasts
    if starts is not None and ends is not None and not wrong:
        wrong += _bounds(starts, ends, "/for" if asked.ends is None else "/ends", now)
    if wrong or starts is None or ends is None:
        return Invalid(tuple(wrong))
    return starts, ends


def _read(pointer: str, text: str | None, rotation: Rotation, default: datetime | None) -> tuple[datetime | None, list[Wrong]]:
    if text is None:
        return default, []
    try:
        return read_moment(text, rotation.zone), []
    except ValueError as error:
        return None, [Wrong(pointer, str(error))]


def _bounds(starts: datetime, ends: datetime, pointer: str, now: datetime) -> list[Wrong]:
    if ends <= starts:
        return [Wrong(pointer, f"it ends at {minute(ends)}, before it begins at {minute(starts)}; expected a later end")]
    if ends - starts > LONGEST:
        return [Wrong(pointer, f"it lasts longer than {LONGEST.days} days; expected a change of the rotation instead")]
    if starts < now - LATE:
        hint = "expected a time that is still to come, or none for now"
        return [Wrong("/starts", f"it begins at {minute(starts)}, which is over; {hint}")]
    return []


def known_person(pointer: str, person: str, people: Collection[str]) -> list[Wrong]:
    """Nobody stands in whom the configuration does not know."""
    if person in people:
        return []
    near = get_close_matches(person[:100], people, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return [Wrong(pointer, f"there is no {person[:100]!r} under people{hint}")]


def overlap(overrides: Iterable[Override], starts: datetime, ends: datetime) -> Refusal | None:
    """The first override that has some of this time already."""
    for other in sorted(overrides, key=lambda each: each.starts):
        if max(starts, other.starts) < min(ends, other.end):
            time = f"from {minute(other.starts)} to {minute(other.end)}"
            return Refusal("overlap", f"{other.id} has {other.person} {time} in {other.rotation}; end it first.")
    return None


@dataclass(frozen=True)
class Swap:
    """Two people change shifts: the ones at these moments, or without one the next."""

    person: str
    other: str
    at: str | None = None
    other_at: str | None = None
    rotation: str | None = None


def swapped(swap: Swap, roster: Roster, rotation: Rotation, now: datetime) -> tuple[Shift, Shift] | Refusal | Invalid:
    """The two shifts, as far as they are still to come: the first is that of `person`."""
    if swap.person == swap.other:
        return Invalid((Wrong("/with", f"{swap.person} has no need to swap with themselves; expected somebody else"),))
    mine = _shift("/at", swap.person, swap.at, roster, rotation, now)
    if not isinstance(mine, Shift):
        return mine
    theirs = _shift("/with_at", swap.other, swap.other_at, roster, rotation, now)
    if not isinstance(theirs, Shift):
        return theirs
    return mine, theirs


def _shift(
    pointer: str, person: str, at: str | None, roster: Roster, rotation: Rotation, now: datetime
) -> Shift | Refusal | Invalid:
    overrides = roster.of(rotation)
    moment, wrong = _read(pointer, at, rotation, None)
    if wrong:
        return Invalid(tuple(wrong))
    if moment is None:
        found = _next(person, overrides, rotation, now)
        return found or Refusal("no_shift", f"{person} has no shift in {rotation.name} within {FAR.days} days.")
    found = on_call(rotation, overrides, moment)
    if found.person != person:
        instead = f"{found.person or 'nobody'} is on call in {rotation.name} at {minute(moment)}"
        return Refusal("no_shift", f"{person} has no shift then: {instead}.")
    if found.end <= now:
        over = f"that shift was over at {minute(found.end)}; expected one that is still to come"
        return Invalid((Wrong(pointer, over),))
    return found


def _next(person: str, overrides: Sequence[Override], rotation: Rotation, now: datetime) -> Shift | None:
    """The present one, or the next."""
    mine = (shift for shift in shifts(rotation, overrides, now, now + FAR) if shift.person == person)
    first = next(mine, None)
    return on_call(rotation, overrides, first.start) if first else None
