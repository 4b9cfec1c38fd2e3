"""People who are booked twice: one person for two roles, or two people for one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain

from schemas.vocabulary import Role
from services.orchestrator.domain.duty.rotation import Rotation, Shift


@dataclass(frozen=True)
class DoubleBooking:
    """One person in two rotations of different roles, or two people at once in the calendar of one."""

    start: datetime
    end: datetime
    people: tuple[str, ...]
    rotations: tuple[str, ...]

    @property
    def sentence(self) -> str:
        if len(self.people) == 1:
            return f"{self.people[0]} is on call in {' and '.join(self.rotations)} at once"
        return f"the calendar of {self.rotations[0]} has {' and '.join(self.people)} at once"


def double_bookings(
    rotations: Sequence[Rotation], timelines: Mapping[str, Sequence[Shift]], start: datetime, end: datetime
) -> list[DoubleBooking]:
    """All of them in that time, in order. `timelines` are the shifts of that time by the name of the rotation."""
    roles = {rotation.name: rotation.role for rotation in rotations}
    booked: dict[str, list[Shift]] = {}
    for shift in chain.from_iterable(timelines.values()):
        if shift.person is not None:
            booked.setdefault(shift.person, []).append(shift)
    of_people = [found for mine in booked.values() for found in _joined(_twice(mine, roles))]
    of_calendars = [found for rotation in rotations for found in _clashes(rotation, start, end)]
    return sorted([*of_people, *of_calendars], key=lambda found: (found.start, found.people, found.rotations))


def _twice(booked: Iterable[Shift], roles: Mapping[str, Role]) -> Iterator[DoubleBooking]:
    """One person's shifts of different roles that have time in common."""
    alive: list[Shift] = []
    for shift in sorted(booked, key=lambda shift: (shift.start, shift.rotation)):
        alive = [other for other in alive if other.end > shift.start]
        for other in alive:
            if roles[other.rotation] is not roles[shift.rotation]:
                both = tuple(sorted((other.rotation, shift.rotation)))
                yield DoubleBooking(shift.start, min(shift.end, other.end), (str(shift.person),), both)
        alive.append(shift)


def _joined(found: Iterable[DoubleBooking]) -> Iterator[DoubleBooking]:
    """What follows each other without a pause is one."""
    last: dict[tuple[str, ...], DoubleBooking] = {}
    for booking in found:
        before = last.get(booking.rotations)
        if before is not None and before.end == booking.start:
            last[booking.rotations] = replace(before, end=booking.end)
            continue
        if before is not None:
            yield before
        last[booking.rotations] = booking
    yield from last.values()


def _clashes(rotation: Rotation, start: datetime, end: datetime) -> Iterator[DoubleBooking]:
    for clash in rotation.calendar.clashes if rotation.calendar else ():
        if clash.start < end and clash.end > start:
            yield DoubleBooking(max(clash.start, start), min(clash.end, end), clash.people, (rotation.name,))
