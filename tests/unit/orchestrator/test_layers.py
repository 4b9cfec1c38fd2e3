"""People who take turns: when they change, and who is next."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.orchestrator.domain.duty.hours import Hours, OfficeHours
from services.orchestrator.domain.duty.layers import Layer
from services.orchestrator.domain.duty.members import Member, Order
from services.orchestrator.domain.duty.oncall import on_call, shifts
from tests.support.duty import BERLIN, DAY, HOUR, WEEK, a_layer, a_rotation, at, office, told

NEW_YORK, APIA = ZoneInfo("America/New_York"), ZoneInfo("Pacific/Apia")
ANY_DAY = frozenset(range(7))


def turns(layer: Layer, start: str, end: str) -> list[str]:
    found = shifts(a_rotation(layer), [], at(start, layer.zone), at(end, layer.zone))
    return told(found, layer.zone)


class TestHandOvers:
    """They follow the first one, by the clock on the wall."""

    def test_a_week_is_a_week_on_the_wall_through_both_changes_of_the_clocks(self) -> None:
        layer = a_layer("ann bob")
        assert turns(layer, "2026-03-23T09:00", "2026-04-13T00:00") == [
            "23 09:00 bob",
            "30 09:00 ann",
            "06 09:00 bob",
        ]
        assert turns(layer, "2026-10-19T09:00", "2026-11-08T00:00") == [
            "19 09:00 bob",
            "26 09:00 ann",
            "02 09:00 bob",
        ]

    def test_twelve_hours_are_twice_a_day_on_the_wall(self) -> None:
        layer = a_layer("ann bob", every=12 * HOUR)
        assert turns(layer, "2026-03-28T21:00", "2026-03-30T00:00") == [
            "28 21:00 bob",
            "29 09:00 ann",
            "29 21:00 bob",
        ]

    def test_a_time_that_the_clocks_jump_over_is_the_moment_of_the_jump(self) -> None:
        layer = a_layer("ann bob", "2026-03-01T02:30", DAY)
        rotation = a_rotation(layer)
        jump = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
        assert on_call(rotation, [], jump - timedelta(seconds=1)).end == jump
        assert on_call(rotation, [], jump).start == jump
        assert turns(layer, "2026-03-28T12:00", "2026-03-31T00:00") == [
            "28 12:00 bob",
            "29 03:00 ann",
            "30 02:30 bob",
        ]

    def test_a_time_that_they_show_twice_is_the_first(self) -> None:
        rotation = a_rotation(a_layer("ann bob", "2026-10-01T02:30", DAY))
        first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
        assert on_call(rotation, [], first).start == first
        assert on_call(rotation, [], first + HOUR).start == first

    def test_two_hand_overs_in_the_time_that_is_jumped_over_are_one(self) -> None:
        layer = a_layer("ann bob cid", "2026-03-29T00:00", HOUR)
        assert turns(layer, "2026-03-29T01:00", "2026-03-29T05:00") == [
            "29 01:00 bob", "29 03:00 ann", "29 04:00 bob",
        ]  # fmt: skip

    def test_a_day_that_a_zone_leaves_out_is_nobodys(self) -> None:
        layer = a_layer("ann bob cid", "2011-12-28T09:00", DAY, zone=APIA)
        assert turns(layer, "2011-12-28T09:00", "2012-01-01T09:00") == [
            "28 09:00 ann", "29 09:00 bob", "31 00:00 cid", "31 09:00 ann",
        ]  # fmt: skip

    def test_before_its_start_and_after_its_end_nobody_is_there(self) -> None:
        layer = a_layer("ann", "2026-02-02T09:00", until="2026-02-10T18:00")
        assert turns(layer, "2026-02-02T08:00", "2026-02-11T00:00") == [
            "02 08:00 -", "02 09:00 ann", "09 09:00 ann", "10 18:00 -",
        ]  # fmt: skip

    def test_an_hour_ten_years_later_is_still_counted_from_the_start(self) -> None:
        rotation = a_rotation(a_layer("ann bob cid", "2016-01-04T09:00"))
        weeks = (at("2026-11-23T09:00") - at("2016-01-04T09:00")) // WEEK
        assert on_call(rotation, [], at("2026-11-25T03:00")).person == ["ann", "bob", "cid"][weeks % 3]


class TestHours:
    """Layers that are there only at some times."""

    def test_office_hours_are_those_of_the_layers_zone(self) -> None:
        layer = a_layer("ann", zone=NEW_YORK, hours=[office()])
        assert turns(layer, "2026-03-06T00:00", "2026-03-09T12:00") == [
            "06 00:00 -", "06 09:00 ann", "06 17:00 -", "09 09:00 ann",
        ]  # fmt: skip

    def test_a_night_ends_on_the_next_day(self) -> None:
        layer = a_layer("ann", hours=[office(22, 30, frozenset({4}))])
        assert turns(layer, "2026-11-20T12:00", "2026-11-22T12:00") == ["20 12:00 -", "20 22:00 ann", "21 06:00 -"]

    def test_hours_that_touch_or_overlap_are_one(self) -> None:
        hours = [office(9, 12), office(12, 17), office(16, 18)]
        assert turns(a_layer("ann", hours=hours), "2026-11-23T00:00", "2026-11-24T00:00") == [
            "23 00:00 -", "23 09:00 ann", "23 18:00 -",
        ]  # fmt: skip

    def test_people_change_within_the_hours(self) -> None:
        layer = a_layer("ann bob", "2026-01-05T12:00", DAY, hours=[office()])
        assert turns(layer, "2026-11-23T09:00", "2026-11-24T10:00") == [
            "23 09:00 bob", "23 12:00 ann", "23 17:00 -", "24 09:00 ann",
        ]  # fmt: skip

    def test_what_is_jumped_over_is_not_there(self) -> None:
        layer = a_layer("ann", hours=[Hours(ANY_DAY, 125, 175)])
        assert turns(layer, "2026-03-28T12:00", "2026-03-30T00:00") == ["28 12:00 -"]

    @pytest.mark.parametrize(
        ("hours", "always"),
        [
            ([Hours(ANY_DAY, 0, 1_440)], True),
            ([Hours(ANY_DAY, 540, 1_980)], True),
            ([office(0, 24), office(0, 24, frozenset({5, 6}))], True),
            ([office(22, 46, frozenset({0, 2, 4, 6})), office(0, 24)], False),
            ([office(22, 46, frozenset({6})), office(22, 46, frozenset({5})), office(0, 24, frozenset(range(6)))], True),
            ([Hours(ANY_DAY, 0, 1_439)], False),
        ],
    )
    def test_hours_that_leave_nothing_out_are_known_as_such(self, hours: list[Hours], always: bool) -> None:
        assert OfficeHours(tuple(hours), BERLIN).always is always

    def test_hours_of_almost_a_week_are_one_opening(self) -> None:
        layer = a_layer("ann", "2026-01-01T00:00", 26 * WEEK, hours=[office(0, 24, frozenset(range(6)))])
        shift = on_call(a_rotation(layer), [], at("2026-11-28T23:00"))
        assert (shift.start, shift.end) == (at("2026-11-23T00:00"), at("2026-11-29T00:00"))


class TestMembers:
    """Whoever joins later moves nobody's past turns."""

    def order(self, *members: Member) -> str:
        order = Order(members, datetime.fromisoformat("2026-01-05T09:00"), WEEK)
        return " ".join(order.person(turn) or "-" for turn in range(10))

    def day(self, text: str) -> datetime:
        return datetime.fromisoformat(text)

    def test_everybody_has_a_turn_after_the_other(self) -> None:
        assert self.order(*map(Member, "abc")) == "a b c a b c a b c a"

    def test_one_who_joins_has_their_place_in_the_list(self) -> None:
        cid = Member("c", since=self.day("2026-01-26"))
        assert self.order(Member("a"), Member("b"), cid) == "a b a b c a b c a b"
        assert self.order(cid, Member("a"), Member("b")) == "a b a b c a b c a b"
        assert self.order(Member("a"), cid, Member("b")) == "a b a c b a c b a c"

    def test_one_who_leaves_has_no_more_turns(self) -> None:
        bob = Member("b", until=self.day("2026-01-26"))
        assert self.order(Member("a"), bob, Member("c")) == "a b c a c a c a c a"

    def test_a_turn_that_has_begun_is_ended_by_the_one_who_leaves(self) -> None:
        bob = Member("b", until=self.day("2026-01-13"))
        assert self.order(Member("a"), bob) == "a b a a a a a a a a"

    def test_when_all_have_left_nobody_is_there_until_somebody_joins(self) -> None:
        gone = Member("a", until=self.day("2026-01-19"))
        assert self.order(gone, Member("b", since=self.day("2026-02-16"))) == "a a - - - - b b b b"

    def test_one_may_have_two_places(self) -> None:
        assert self.order(Member("a"), Member("a"), Member("b")) == "a a b a a b a a b a"

    def test_nobody_there_shows_as_a_gap(self) -> None:
        members = (Member("ann", until=self.day("2026-01-12")), Member("bob", since=self.day("2026-01-19T09:00")))
        layer = Layer("x", BERLIN, self.day("2026-01-05T09:00"), WEEK, members)
        assert turns(layer, "2026-01-05T09:00", "2026-01-20T00:00") == ["05 09:00 ann", "12 09:00 -", "19 09:00 bob"]
