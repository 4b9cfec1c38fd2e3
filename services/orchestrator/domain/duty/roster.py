"""All rotations together: who has a role for an incident."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from schemas.vocabulary import Role
from services.orchestrator.domain.duty.oncall import next_handover, on_call
from services.orchestrator.domain.duty.rotation import Kind, Override, Rotation, Shift


@dataclass(frozen=True)
class Duty:
    """Who has a role: nobody without a rotation for it, or when none of its rotations has anybody. `until` is the next
    hand-over to somebody else, None when there is none in sight."""

    person: str | None
    rotation: str | None
    until: datetime | None
    why: str


@dataclass(frozen=True)
class Roster:
    """The rotations with who stands in, by the name of the rotation."""

    rotations: Sequence[Rotation] = ()
    overrides: Mapping[str, Sequence[Override]] = field(default_factory=dict)

    def of(self, rotation: Rotation) -> Sequence[Override]:
        return self.overrides.get(rotation.name, ())

    def duty(self, role: Role, services: Collection[str], at: datetime) -> Duty:
        """Of a rotation for one of the services when there is one that has somebody, else of the one for all others."""
        asked = list(self._meant(role, services))
        if not asked:
            return Duty(None, None, None, f"no rotation is for the role {role}")
        missing: list[str] = []
        for rotation in asked:
            shift = on_call(rotation, self.of(rotation), at)
            if shift.person is not None:
                return Duty(shift.person, rotation.name, self._until(rotation, at), "; ".join([*missing, why(shift)]))
            missing.append(why(shift))
        ends = [until for rotation in asked if (until := self._until(rotation, at))]
        return Duty(None, asked[0].name, min(ends, default=None), "; ".join(missing))

    def falls_to(self, rotation: Rotation) -> Rotation | None:
        """The one that is asked when a rotation for some services has nobody."""
        general = (each for each in self.rotations if each.role is rotation.role and not each.services)
        return next(general, None) if rotation.services else None

    def missing(self, rotation: Rotation, timelines: Mapping[str, Sequence[Shift]]) -> list[Shift]:
        """When nobody is on call, also not in the rotation that it falls to. `timelines` are the shifts of the same time."""
        mine, general = _gaps(timelines[rotation.name]), self.falls_to(rotation)
        if general is None:
            return mine
        both = [(one, other) for one in mine for other in _gaps(timelines[general.name])]
        return [
            replace(one, start=max(one.start, other.start), end=min(one.end, other.end))
            for one, other in both
            if max(one.start, other.start) < min(one.end, other.end)
        ]

    def _until(self, rotation: Rotation, at: datetime) -> datetime | None:
        handover = next_handover(rotation, self.of(rotation), at)
        return handover.start if handover else None

    def _meant(self, role: Role, services: Collection[str]) -> Iterator[Rotation]:
        mine = [rotation for rotation in self.rotations if rotation.role is role]
        yield from (rotation for rotation in mine if not set(rotation.services).isdisjoint(services))
        yield from (rotation for rotation in mine if not rotation.services)


def _gaps(timeline: Sequence[Shift]) -> list[Shift]:
    return [shift for shift in timeline if shift.person is None]


def why(shift: Shift) -> str:
    """In words, why it is this person or nobody."""
    if shift.person is None:
        return f"nobody is on call in {shift.rotation}"
    by = {
        Kind.LAYER: f"by {shift.layer}",
        Kind.FEED: "by its calendar",
        Kind.OVERRIDE: f"by the override {shift.layer}",
    }
    return f"{shift.person} is on call in {shift.rotation} {by[shift.source]}"
