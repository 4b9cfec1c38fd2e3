"""Who is on call, as people and programs are shown it: now, next, gaps, double bookings, and how old calendars are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.orchestrator.domain.duty.bookings import DoubleBooking, double_bookings
from services.orchestrator.domain.duty.moments import minute
from services.orchestrator.domain.duty.oncall import next_handover, on_call, shifts
from services.orchestrator.domain.duty.roster import Roster, why
from services.orchestrator.domain.duty.rotation import Kind, Override, Rotation, Shift
from services.orchestrator.domain.duty.spans import FAR
from services.orchestrator.handlers.oncall import OnCall, Plan
from services.orchestrator.store import overrides as store
from services.orchestrator.store.feeds import Copy
from services.runtime.clock import Clock

AHEAD = timedelta(weeks=4)
"""How far gaps and double bookings are looked for."""
EXPORTED_PAST, EXPORTED_AHEAD = timedelta(weeks=4), timedelta(weeks=26)
"""What a calendar of ours holds."""


@dataclass(frozen=True)
class Rota:
    """Looks at all rotations together."""

    oncall: OnCall
    clock: Clock

    async def view(self, at: datetime, until: datetime | None) -> dict[str, Any]:
        """As of a moment. With `until` every shift up to then is told."""
        end = until or at + AHEAD
        async with self.oncall.database.read() as connection:
            roster = await self.oncall.roster(connection, at, end)
            copies = await self.oncall.copies(connection)
            void = _void(await store.between(connection, at, end), roster)
        plan, now = self.oncall.plan(), self.clock.now()
        timelines = {each.name: shifts(each, roster.of(each), at, end) for each in roster.rotations}
        items = [_Item(each, roster, timelines, plan) for each in roster.rotations]
        return {
            "at": at,
            "until": end,
            "items": [item.told(at, until is not None) | {"feed": self._feed(item.rotation, copies, now)} for item in items],
            "double_bookings": [_booking(each) for each in double_bookings(roster.rotations, timelines, at, end)],
            "warnings": [*void, *(line for each in roster.rotations for line in self._troubles(each, copies, at))],
        }

    async def exported(self, name: str) -> tuple[Rotation, list[Shift]] | None:
        """A rotation with its shifts of some time, whole ones; None when there is none of this name."""
        now = self.clock.now()
        async with self.oncall.database.read() as connection:
            roster = await self.oncall.roster(connection, now - EXPORTED_PAST - FAR, now + EXPORTED_AHEAD)
        rotation = next((each for each in roster.rotations if each.name == name), None)
        if rotation is None:
            return None
        first = on_call(rotation, roster.of(rotation), now - EXPORTED_PAST).start
        last = on_call(rotation, roster.of(rotation), now + EXPORTED_AHEAD).end
        return rotation, [each for each in shifts(rotation, roster.of(rotation), first, last) if each.person is not None]

    def _feed(self, rotation: Rotation, copies: Mapping[str, Copy], now: datetime) -> dict[str, Any] | None:
        if rotation.name not in self.oncall.plan().feeds:
            return None
        copy, calendar = copies.get(rotation.name), self.oncall.calendar(rotation.name)
        age = (now - copy.fetched_at).total_seconds() if copy and copy.fetched_at else None
        return {
            "fetched_at": copy and copy.fetched_at,
            "age_seconds": age if age is None else int(max(0.0, age)),
            "failing_since": copy and copy.failing_since,
            "reason": copy.reason if copy else "not asked for yet",
            "known_from": copy and copy.known_from,
            "known_until": copy and copy.known_until,
            "unknown": list(calendar.unknown) if calendar else [],
        }

    def _troubles(self, rotation: Rotation, copies: Mapping[str, Copy], at: datetime) -> list[str]:
        """What is wrong with the calendar of a rotation, in words."""
        if rotation.name not in self.oncall.plan().feeds:
            return []
        copy, calendar = copies.get(rotation.name), self.oncall.calendar(rotation.name)
        if copy is None or copy.fetched_at is None:
            why = f": {copy.reason}" if copy and copy.reason else ""
            return [f"the calendar of {rotation.name} has not been read yet{why}"]
        found = []
        if copy.failing_since is not None:
            since = f"since {minute(copy.failing_since)}, the copy of {minute(copy.fetched_at)} is used"
            found.append(f"the calendar of {rotation.name} fails {since}: {copy.reason}")
        if calendar and calendar.unknown:
            found.append(f"the calendar of {rotation.name} names people whom nobody knows: {', '.join(calendar.unknown)}")
        if copy.known_from and copy.known_until and not copy.known_from <= at < copy.known_until:
            found.append(f"the calendar of {rotation.name} is known from {minute(copy.known_from)} to {minute(copy.known_until)}")
        return found


@dataclass(frozen=True)
class _Item:
    rotation: Rotation
    roster: Roster
    timelines: Mapping[str, Sequence[Shift]]
    plan: Plan

    def told(self, at: datetime, everything: bool) -> dict[str, Any]:
        rotation, overrides = self.rotation, self.roster.of(self.rotation)
        present, following = on_call(rotation, overrides, at), next_handover(rotation, overrides, at)
        general = self.roster.falls_to(rotation)
        until = {"until": following.start if following else None, "why": why(present)}
        item = {
            "role": rotation.role,
            "rotation": rotation.name,
            "services": list(rotation.services),
            "falls_to": general.name if general else None,
            "zone": rotation.zone.key,
            "now": self._shift(present) | until,
            "next": self._shift(following) if following else None,
            "gaps": [{"starts": each.start, "ends": each.end} for each in self.roster.missing(rotation, self.timelines)],
        }
        return item | ({"shifts": [self._shift(each) for each in self.timelines[rotation.name]]} if everything else {})

    def _shift(self, shift: Shift) -> dict[str, Any]:
        contact = self.plan.people.get(shift.person or "")
        return {
            "person": shift.person,
            "name": contact.name if contact else None,
            "starts": shift.start,
            "ends": shift.end,
            "layer": shift.layer,
            "source": None if shift.source is Kind.NOBODY else shift.source,
        }


def _booking(found: DoubleBooking) -> dict[str, Any]:
    return {
        "starts": found.start,
        "ends": found.end,
        "people": list(found.people),
        "rotations": list(found.rotations),
        "text": found.sentence,
    }


def _void(standing: Sequence[Override], roster: Roster) -> list[str]:
    """The overrides that mean nothing any more, in words."""
    counted = {each.id for those in roster.overrides.values() for each in those}
    gone = [each for each in standing if each.id not in counted]
    return [f"{each.id} counts no more: {each.person} or the rotation {each.rotation} is not configured" for each in gone]
