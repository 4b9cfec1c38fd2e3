"""Who is on call when several things say who it is, and what of it does not fit together."""

from datetime import timedelta

import pytest

from schemas.vocabulary import Role
from services.orchestrator.domain.duty.bookings import DoubleBooking, double_bookings
from services.orchestrator.domain.duty.oncall import gaps, next_handover, on_call, shifts
from services.orchestrator.domain.duty.roster import Duty, Roster
from services.orchestrator.domain.duty.rotation import Kind, Override, Rotation
from services.orchestrator.domain.duty.spans import FAR
from tests.support.duty import DAY, HOUR, WEEK, a_calendar, a_layer, a_rotation, an_override, at, office, told

MONDAY = at("2026-11-23T09:00")
LAYERS = (a_layer("bob ann", name="primary"), a_layer("dan", name="office", hours=[office()]))


def booked(*rotations: Rotation, overrides: dict[str, list[Override]] | None = None) -> list[DoubleBooking]:
    start, end = MONDAY, MONDAY + WEEK
    timelines = {each.name: shifts(each, (overrides or {}).get(each.name, ()), start, end) for each in rotations}
    return double_bookings(rotations, timelines, start, end)


class TestWhoWins:
    """The later layer, over it the calendar, over it an override."""

    def test_a_later_layer_wins_where_both_have_somebody(self) -> None:
        assert told(shifts(a_rotation(*LAYERS), [], MONDAY, MONDAY + 2 * DAY)) == [
            "23 09:00 dan", "23 17:00 bob", "24 09:00 dan", "24 17:00 bob",
        ]  # fmt: skip

    def test_the_calendar_wins_over_layers_which_stand_in_for_it(self) -> None:
        calendar = a_calendar(("2026-11-23T12:00", "2026-11-23T18:00", "Cid Ng"), ("2026-11-23T18:00", "2026-11-23T20:00", "Zoe"))
        found = shifts(a_rotation(*LAYERS, calendar=calendar), [], MONDAY, MONDAY + DAY)
        assert told(found) == ["23 09:00 dan", "23 12:00 cid", "23 18:00 bob"]
        assert [shift.source for shift in found] == [Kind.LAYER, Kind.FEED, Kind.LAYER]
        assert [shift.layer for shift in found] == ["office", None, "primary"]

    def test_an_override_wins_over_everything_and_is_one_shift_whatever_is_below_it(self) -> None:
        override = an_override("eve", at("2026-11-23T15:00"), at("2026-11-24T10:00"))
        found = shifts(a_rotation(*LAYERS), [override], MONDAY, MONDAY + DAY + 2 * HOUR)
        assert told(found) == ["23 09:00 dan", "23 15:00 eve", "24 10:00 dan"]
        assert (found[1].source, found[1].layer) == (Kind.OVERRIDE, "OV-1")

    def test_an_override_that_was_ended_counts_up_to_then(self) -> None:
        override = an_override("eve", MONDAY, MONDAY + DAY, ended_at=MONDAY + HOUR)
        assert told(shifts(a_rotation(), [override], MONDAY, MONDAY + DAY)) == ["23 09:00 eve", "23 10:00 bob"]

    def test_an_override_that_was_called_off_never_counts(self) -> None:
        override = an_override("eve", MONDAY, MONDAY + DAY, ended_at=MONDAY - HOUR)
        assert told(shifts(a_rotation(), [override], MONDAY, MONDAY + DAY)) == ["23 09:00 bob"]

    def test_without_layers_and_calendar_an_override_is_all_there_is(self) -> None:
        rotation = a_rotation(calendar=a_calendar())
        override = an_override("eve", MONDAY, MONDAY + HOUR)
        assert told(shifts(rotation, [override], MONDAY - HOUR, MONDAY + DAY)) == ["23 08:00 -", "23 09:00 eve", "23 10:00 -"]

    def test_no_time_has_no_shifts(self) -> None:
        assert shifts(a_rotation(), [], MONDAY, MONDAY) == []


class TestAtAMoment:
    """The whole shift, and what comes after it."""

    def test_the_shift_is_whole_and_ends_where_something_else_begins(self) -> None:
        shift = on_call(a_rotation(*LAYERS), [], at("2026-11-24T03:00"))
        assert (shift.person, shift.start, shift.end) == ("bob", at("2026-11-23T17:00"), at("2026-11-24T09:00"))

    def test_the_moment_of_a_hand_over_belongs_to_the_one_who_takes_over(self) -> None:
        assert [on_call(a_rotation(), [], MONDAY + step).person for step in (-timedelta(seconds=1), timedelta())] == [
            "ann",
            "bob",
        ]

    def test_a_gap_is_told_as_far_as_it_is_looked(self) -> None:
        rotation = a_rotation(a_layer("ann", "2026-11-30T09:00"))
        shift = on_call(rotation, [], MONDAY)
        assert (shift.person, shift.start, shift.end) == (None, MONDAY - FAR, at("2026-11-30T09:00"))

    def test_the_next_hand_over_is_to_somebody_else(self) -> None:
        found = next_handover(a_rotation(a_layer("ann ann bob")), [], at("2026-01-06T00:00"))
        assert found is not None and (found.person, found.start) == ("bob", at("2026-01-19T09:00"))

    def test_one_person_alone_never_hands_over(self) -> None:
        assert next_handover(a_rotation(a_layer("ann")), [], MONDAY) is None

    def test_a_hand_over_may_be_to_nobody(self) -> None:
        found = next_handover(a_rotation(a_layer("ann", until="2027-06-01T00:00")), [], MONDAY)
        assert found is not None and (found.person, found.start) == (None, at("2027-06-01T00:00"))

    def test_gaps_are_when_nobody_is_there(self) -> None:
        rotation = a_rotation(a_layer("ann", hours=[office()]))
        assert told(gaps(rotation, [], MONDAY, MONDAY + 5 * DAY)) == [f"{day} 17:00 -" for day in range(23, 28)]


class TestBookedTwice:
    """One person for two roles, or two for one."""

    def test_one_person_in_two_roles_is_told_once_for_all_of_the_time(self) -> None:
        eoc, imoc = a_rotation(), a_rotation(a_layer("bob", every=DAY), name="imoc", role=Role.IMOC)
        (found,) = booked(eoc, imoc)
        assert (found.start, found.end, found.people, found.rotations) == (MONDAY, MONDAY + WEEK, ("bob",), ("eoc", "imoc"))
        assert found.sentence == "bob is on call in eoc and imoc at once"

    def test_one_person_for_two_services_in_one_role_is_meant_so(self) -> None:
        assert booked(a_rotation(), a_rotation(name="eoc-db", services=["db"])) == []

    def test_an_override_may_book_somebody_twice(self) -> None:
        eoc, imoc = a_rotation(), a_rotation(a_layer("cid"), name="imoc", role=Role.IMOC)
        override = an_override("cid", MONDAY + DAY, MONDAY + 2 * DAY)
        (found,) = booked(eoc, imoc, overrides={"eoc": [override]})
        assert (found.start, found.end, found.people) == (MONDAY + DAY, MONDAY + 2 * DAY, ("cid",))

    def test_two_at_once_in_a_calendar_are_told(self) -> None:
        calendar = a_calendar(("2026-11-23T00:00", "2026-11-25T00:00", "ann"), ("2026-11-24T00:00", "2026-11-26T00:00", "bob"))
        (found,) = booked(a_rotation(calendar=calendar))
        assert (found.start, found.end) == (at("2026-11-24T00:00"), at("2026-11-25T00:00"))
        assert found.sentence == "the calendar of eoc has ann and bob at once"

    def test_a_pause_makes_two_of_them(self) -> None:
        eoc, imoc = a_rotation(a_layer("ann", hours=[office()])), a_rotation(a_layer("ann"), name="imoc", role=Role.IMOC)
        assert [found.start for found in booked(eoc, imoc)] == [MONDAY + DAY * day for day in range(5)]


class TestDuty:
    """Who has a role for an incident."""

    def duty(self, *rotations: Rotation, services: str = "", role: Role = Role.EOC, **overrides: list[Override]) -> Duty:
        return Roster(rotations, overrides).duty(role, services.split(), at("2026-11-24T20:00"))

    def test_who_is_on_call_has_it_until_the_next_hand_over(self) -> None:
        assert self.duty(a_rotation()) == Duty("bob", "eoc", at("2026-11-30T09:00"), "bob is on call in eoc by layer")

    def test_a_rotation_for_the_service_is_asked_first(self) -> None:
        db = a_rotation(a_layer("dan"), name="db", services=["db", "cache"])
        assert self.duty(a_rotation(), db, services="web cache").person == "dan"
        assert self.duty(a_rotation(), db, services="web").person == "bob"
        assert self.duty(a_rotation(), db).person == "bob"

    def test_when_it_has_nobody_the_one_for_all_others_is_asked(self) -> None:
        db = a_rotation(a_layer("dan", hours=[office()]), name="db", services=["db"])
        found = self.duty(a_rotation(), db, services="db")
        assert (found.person, found.rotation) == ("bob", "eoc")
        assert found.why == "nobody is on call in db; bob is on call in eoc by layer"

    def test_nobody_anywhere_is_told_with_when_somebody_comes(self) -> None:
        found = self.duty(a_rotation(a_layer("dan", hours=[office()])))
        assert found == Duty(None, "eoc", at("2026-11-25T09:00"), "nobody is on call in eoc")

    def test_a_role_without_a_rotation_is_told(self) -> None:
        assert self.duty(a_rotation(), role=Role.CMOC) == Duty(None, None, None, "no rotation is for the role cmoc")

    def test_who_stands_in_has_it(self) -> None:
        override = an_override("eve", at("2026-11-24T19:00"), at("2026-11-24T21:00"), number=7)
        found = self.duty(a_rotation(), eoc=[override])
        assert found == Duty("eve", "eoc", override.ends, "eve is on call in eoc by the override OV-7")

    def test_a_calendar_is_named_as_the_reason(self) -> None:
        calendar = a_calendar(("2026-11-23T00:00", "2026-11-27T00:00", "ann"))
        assert self.duty(a_rotation(calendar=calendar)).why == "ann is on call in eoc by its calendar"

    def test_a_gap_of_some_services_is_none_while_somebody_is_there_for_all_others(self) -> None:
        eoc = a_rotation(a_layer("ann", hours=[office(9, 24), office(0, 6)]))
        db = a_rotation(a_layer("dan", hours=[office()]), name="db", services=["db"])
        roster = Roster([eoc, db])
        timelines = {each.name: shifts(each, [], MONDAY, MONDAY + 2 * DAY) for each in (eoc, db)}
        assert told(roster.missing(db, timelines)) == ["24 06:00 -", "25 06:00 -"]
        assert told(Roster([db]).missing(db, timelines)) == ["23 17:00 -", "24 17:00 -"]


@pytest.mark.parametrize("person", ["ann", None])
def test_two_rotations_never_share_their_overrides(person: str | None) -> None:
    override = an_override("eve", MONDAY, MONDAY + DAY, rotation="other")
    roster = Roster([a_rotation(a_layer("ann") if person else a_layer("ann", "2030-01-07T09:00"))], {"other": [override]})
    assert roster.duty(Role.EOC, [], MONDAY).person == person
