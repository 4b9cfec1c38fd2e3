"""Standing in for somebody: what is understood, and what is refused in words."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from schemas.vocabulary import Role
from services.orchestrator.domain.duty.overriding import (
    Asked,
    Invalid,
    Swap,
    Wrong,
    chosen,
    known_person,
    overlap,
    swapped,
    wanted_time,
)
from services.orchestrator.domain.duty.roster import Roster
from services.orchestrator.domain.duty.rotation import Rotation, Shift
from services.orchestrator.domain.incident.incident import Refusal
from tests.support.duty import DAY, HOUR, a_layer, a_rotation, an_override, at, office

NOON = at("2026-11-23T12:00")
EOC = a_rotation()


def wanted(**given: Any) -> tuple[Any, Any] | list[str]:
    found = wanted_time(Asked("ann", **given), EOC, NOON)
    return [f"{wrong.pointer} {wrong.message}" for wrong in found.errors] if isinstance(found, Invalid) else found


class TestTime:
    """From when until when."""

    def test_it_begins_now_unless_something_else_is_said(self) -> None:
        assert wanted(lasts=4 * HOUR) == (NOON, NOON + 4 * HOUR)

    def test_what_has_no_offset_is_by_the_clocks_of_the_rotation(self) -> None:
        given = wanted(starts="2026-11-24T09:00", ends="2026-11-24T18:00:00+00:00")
        assert given == (at("2026-11-24T09:00"), at("2026-11-24T19:00"))

    def test_half_past_two_on_the_night_when_the_clocks_jump_is_the_jump(self) -> None:
        assert wanted(starts="2027-03-28T02:30", lasts=HOUR) == (at("2027-03-28T03:00"), at("2027-03-28T04:00"))

    def test_it_takes_a_while_to_type(self) -> None:
        assert wanted(starts="2026-11-23T11:59", lasts=HOUR) == (NOON - timedelta(minutes=1), NOON + timedelta(minutes=59))

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({}, "/ends expected either an end or for how long"),
            ({"ends": "2026-11-24T09:00", "lasts": HOUR}, "/ends expected either an end or for how long"),
            ({"ends": "2026-11-23T11:00"}, "/ends it ends at 2026-11-23 10:00 UTC, before it begins at 2026-11-23 11:00 UTC"),
            ({"lasts": 0 * HOUR}, "/for it ends at"),
            ({"starts": "2026-11-22T09:00", "lasts": HOUR}, "/starts it begins at 2026-11-22 08:00 UTC, which is over; expected"),
            ({"lasts": 31 * DAY + HOUR}, "/for it lasts longer than 31 days; expected a change of the rotation instead"),
            ({"starts": "soon", "lasts": HOUR}, "/starts 'soon' is no date and time; expected one like 2026-12-24T20:00"),
            ({"ends": "9999-01-01T00:00"}, "/ends '9999-01-01T00:00' is too far away; expected a year from 1970 to 2199"),
        ],
    )
    def test_what_cannot_be_is_told_at_its_place(self, given: dict[str, Any], said: str) -> None:
        (line, *more) = wanted(**given)
        assert line.startswith(said) and not more

    def test_everything_that_is_wrong_is_told_at_once(self) -> None:
        assert [line.split()[0] for line in wanted(starts="x", ends="y", lasts=HOUR)] == ["/starts", "/ends", "/ends"]


class TestRotation:
    """Which one is meant."""

    def chosen(self, name: str | None, *rotations: Rotation) -> str:
        found = chosen(rotations, Role.EOC, name)
        if isinstance(found, Rotation):
            return found.name
        return found.detail if isinstance(found, Refusal) else found.errors[0].message

    def test_the_only_one_or_the_one_for_all_others_is_meant(self) -> None:
        db = a_rotation(name="db", services=["db"])
        assert self.chosen(None, EOC, db) == "eoc"
        assert self.chosen(None, db) == "db"
        assert self.chosen("db", EOC, db) == "db"

    def test_where_several_could_be_meant_their_names_are_told(self) -> None:
        db, web = (a_rotation(name=name, services=[name]) for name in ("db", "web"))
        assert self.chosen(None, db, web) == "several rotations are for the role eoc; expected db or web"
        assert self.chosen("dbb", db, web) == "there is no rotation 'dbb' for the role eoc; expected db or web"
        assert self.chosen(None, a_rotation(role=Role.IMOC)) == "No rotation is for the role eoc."


def test_a_person_whom_nobody_knows_is_told_with_the_nearest() -> None:
    found = known_person("/person", "anne", ["ann", "bob"])
    assert found == [Wrong("/person", "there is no 'anne' under people; did you mean 'ann'?")]
    assert known_person("/person", "ann", ["ann", "bob"]) == []


class TestOverlap:
    """Only one stands in at a time."""

    @pytest.mark.parametrize(
        ("starts", "ends", "free"), [(-2, 0, True), (-2, 1, False), (2, 3, False), (0, 24, False), (24, 30, True)]
    )
    def test_what_touches_does_not_overlap(self, starts: int, ends: int, free: bool) -> None:
        other = an_override("bob", NOON, NOON + DAY)
        assert (overlap([other], NOON + starts * HOUR, NOON + ends * HOUR) is None) is free

    def test_the_other_one_is_named(self) -> None:
        found = overlap([an_override("bob", NOON, NOON + DAY, number=7)], NOON, NOON + HOUR)
        time = "from 2026-11-23 11:00 UTC to 2026-11-24 11:00 UTC"
        assert found == Refusal("overlap", f"OV-7 has bob {time} in eoc; end it first.")

    def test_one_that_was_ended_leaves_its_time_free(self) -> None:
        ended = an_override("bob", NOON, NOON + DAY, ended_at=NOON + HOUR)
        assert overlap([ended], NOON + HOUR, NOON + DAY) is None
        assert overlap([ended], NOON, NOON + DAY) is not None
        called_off = an_override("bob", NOON, NOON + DAY, ended_at=NOON - HOUR)
        assert overlap([called_off], NOON, NOON + DAY) is None


class TestSwap:
    """Each has the other's shift."""

    def swapped(self, rotation: Rotation = EOC, /, **given: str) -> tuple[Shift, Shift] | Refusal | Invalid:
        return swapped(Swap(**({"person": "bob", "other": "ann"} | given)), Roster([rotation]), rotation, NOON)

    def shifts(self, **given: str) -> list[tuple[str | None, datetime]]:
        found = self.swapped(**given)
        assert isinstance(found, tuple)
        return [(shift.person, shift.start) for shift in found]

    def refusal(self, rotation: Rotation = EOC, /, **given: str) -> str:
        found = self.swapped(rotation, **given)
        assert not isinstance(found, tuple)
        return found.detail if isinstance(found, Refusal) else f"{found.errors[0].pointer} {found.errors[0].message}"

    def test_the_present_or_next_shift_of_each_is_meant(self) -> None:
        assert self.shifts() == [("bob", at("2026-11-23T09:00")), ("ann", at("2026-11-30T09:00"))]

    def test_other_shifts_are_named_by_a_moment_of_theirs(self) -> None:
        found = self.shifts(at="2026-12-09T00:00", other_at="2026-12-16T20:00")
        assert found == [("bob", at("2026-12-07T09:00")), ("ann", at("2026-12-14T09:00"))]

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"other": "bob"}, "/with bob has no need to swap with themselves; expected somebody else"),
            ({"other": "cid"}, "cid has no shift in eoc within 62 days."),
            ({"at": "2026-11-30T10:00"}, "bob has no shift then: ann is on call in eoc at 2026-11-30 09:00 UTC."),
            ({"at": "2026-11-10T10:00"}, "/at that shift was over at 2026-11-16 08:00 UTC; expected one that is still to come"),
            ({"other_at": "x"}, "/with_at 'x' is no date and time; expected one like 2026-12-24T20:00"),
        ],
    )
    def test_what_cannot_be_is_told(self, given: dict[str, str], said: str) -> None:
        assert self.refusal(**given) == said

    def test_a_moment_when_nobody_is_there_is_told(self) -> None:
        found = self.refusal(a_rotation(a_layer("bob ann", hours=[office()])), at="2026-11-23T20:00")
        assert found == "bob has no shift then: nobody is on call in eoc at 2026-11-23 19:00 UTC."
