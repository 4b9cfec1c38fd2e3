"""Windows by the clock on the wall: what is covered, what comes next, and what cannot be."""

import statistics
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from services.windows import Window, WindowError

HOUR = timedelta(hours=1)
BERLIN = "Europe/Berlin"
USUAL: dict[str, Any] = {"starts": "2026-12-01T22:00", "duration": HOUR, "rrule": "FREQ=DAILY"}


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


def daily(starts: str, duration: timedelta = HOUR, zone: str = BERLIN, rrule: str = "FREQ=DAILY") -> Window:
    return Window.parse(starts=starts, duration=duration, zone=zone, rrule=rrule)


def test_one_that_comes_once_covers_its_time_and_nothing_else() -> None:
    window = Window.parse(starts="2026-12-01T22:00", duration=2 * HOUR, zone=BERLIN)
    assert window == Window(wall("2026-12-01T22:00"), 2 * HOUR, BERLIN)
    end = utc("2026-12-01T23:00")
    assert [window.until(utc(f"2026-12-01T{at}")) for at in ("20:59:59", "21:00", "22:59:59", "23:00")] == [None, end, end, None]
    assert window.next(utc("2026-12-01T20:59")) == utc("2026-12-01T21:00")
    assert window.next(utc("2026-12-01T21:00")) is None
    assert window.over_at == end


def test_the_end_may_be_given_instead_of_the_duration() -> None:
    assert Window.parse(starts="2026-12-01 22:00", ends="2026-12-02 00:30").duration == timedelta(hours=2, minutes=30)
    over_the_jump = Window.parse(starts="2026-03-28T22:00", ends="2026-03-29T06:00", zone=BERLIN)
    assert over_the_jump.duration == 7 * HOUR


def test_a_moment_with_an_offset_is_taken_to_the_zone() -> None:
    east = timezone(timedelta(hours=9))
    window = Window.parse(starts=datetime(2026, 12, 2, 6, 0, 0, 999, tzinfo=east), ends="2026-12-01T23:00Z", zone=BERLIN)
    assert window == Window(wall("2026-12-01T22:00"), 2 * HOUR, BERLIN)


def test_it_begins_at_the_same_wall_clock_time_in_summer_and_winter() -> None:
    window = daily("2026-03-01T22:00")
    assert window.next(utc("2026-03-28T12:00")) == utc("2026-03-28T21:00")
    assert window.next(utc("2026-03-29T12:00")) == utc("2026-03-29T20:00")


def test_the_duration_is_elapsed_time_whatever_clocks_do_meanwhile() -> None:
    for night in ("2026-03-28T21:00", "2026-10-24T20:00"):
        assert daily("2026-03-01T22:00", 8 * HOUR).until(utc(night)) == utc(night) + 8 * HOUR


def test_a_time_that_does_not_exist_begins_at_the_jump() -> None:
    window = daily("2026-03-01T02:30")
    assert window.next(utc("2026-03-28T12:00")) == utc("2026-03-29T01:00")
    assert window.next(utc("2026-03-29T01:00")) == utc("2026-03-30T00:30")
    assert Window.parse(starts="2026-03-29T02:30", duration=HOUR, zone=BERLIN).over_at == utc("2026-03-29T02:00")


def test_a_time_that_exists_twice_begins_the_first_time() -> None:
    window = daily("2026-03-01T02:30")
    assert window.next(utc("2026-10-24T12:00")) == utc("2026-10-25T00:30")
    assert window.until(utc("2026-10-25T01:30")) is None


def test_a_day_that_does_not_exist_begins_at_the_jump_over_it() -> None:
    window = daily("2011-12-01T10:00", zone="Pacific/Apia")
    begins = [window.next(utc(at)) for at in ("2011-12-29T20:30", "2011-12-30T10:00")]
    assert begins == [utc("2011-12-30T10:00"), utc("2011-12-30T20:00")]


def test_the_second_showing_of_an_hour_can_be_meant_by_a_moment_with_an_offset() -> None:
    window = Window.parse(starts="2026-10-25T01:30Z", duration=HOUR, zone=BERLIN)
    assert window.next(utc("2026-10-24T00:00")) == utc("2026-10-25T01:30")
    assert window.over_at == utc("2026-10-25T02:30")


def test_occurrences_that_touch_or_overlap_count_as_one() -> None:
    touching = Window.parse(starts="2026-12-01T00:00", duration=24 * HOUR, rrule="FREQ=DAILY;COUNT=90")
    assert touching.until(utc("2026-12-05T12:00")) == utc("2027-03-01T00:00")
    overlapping = Window.parse(starts="2026-12-01T00:00", duration=timedelta(days=31), rrule="FREQ=MONTHLY;UNTIL=20270401")
    assert overlapping.until(utc("2026-12-01T00:00")) == utc("2027-05-02T00:00")
    assert overlapping.next(utc("2026-12-05T00:00")) == utc("2027-01-01T00:00")


def test_one_without_a_gap_and_without_an_end_is_followed_for_at_least_a_year() -> None:
    at = utc("2026-12-05T12:00")
    end = Window.parse(starts="2016-12-01T00:00", duration=timedelta(days=8), rrule="FREQ=WEEKLY").until(at)
    assert end is not None
    assert end > at + timedelta(days=365)


@pytest.mark.parametrize(
    ("rrule", "last"),
    [
        ("FREQ=DAILY;COUNT=3", "2026-12-03T21:00"),
        ("FREQ=DAILY;UNTIL=20261203", "2026-12-03T21:00"),
        ("FREQ=DAILY;UNTIL=20261203T220000", "2026-12-03T21:00"),
        ("FREQ=DAILY;UNTIL=20261203T215959", "2026-12-02T21:00"),
        ("FREQ=DAILY;UNTIL=20261203T210000Z", "2026-12-03T21:00"),
        ("FREQ=DAILY;UNTIL=20261203T205959Z", "2026-12-02T21:00"),
        ("rrule:freq=daily;count=1", "2026-12-01T21:00"),
    ],
)
def test_a_rule_ends_where_it_says(rrule: str, last: str) -> None:
    window = daily("2026-12-01T22:00", rrule=rrule)
    assert window.next(utc(last) - HOUR) == utc(last)
    assert window.next(utc(last)) is None
    assert window.over_at is not None
    assert window.over_at >= utc(last) + HOUR


@pytest.mark.parametrize("rrule", ["FREQ=DAILY", "FREQ=DAILY;UNTIL=99991231", "FREQ=DAILY;UNTIL=99991231T235959Z"])
def test_one_without_an_end_is_never_over(rrule: str) -> None:
    window = daily("2026-12-01T22:00", zone="America/New_York", rrule=rrule)
    assert window.over_at is None
    assert window.next(utc("2199-12-31T00:00")) == utc("2199-12-31T03:00")


def test_the_first_occurrence_is_the_first_that_fits_not_the_start() -> None:
    window = daily("2026-12-01T22:00", rrule="FREQ=WEEKLY;BYDAY=SU")
    assert window.until(utc("2026-12-01T21:30")) is None
    assert window.next(utc("2026-11-01T00:00")) == utc("2026-12-06T21:00")


def test_the_rarest_rule_that_ever_comes_is_found() -> None:
    window = daily("2072-02-29T22:00", rrule="FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO")
    assert window.next(utc("2072-03-01T00:00")) == utc("2112-02-29T21:00")


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({"zone": "Europe/Berln"}, "zone", "did you mean 'Europe/Berlin'"),
        ({"starts": "tomorrow"}, "starts", "expected one like 2026-12-01T22:00"),
        ({"starts": 5}, "starts", "expected one like 2026-12-01T22:00"),
        ({"starts": "1969-12-31T23:00"}, "starts", "expected a year from 1970 to 2199"),
        ({"starts": "9999-12-31T23:00-12:00"}, "starts", "expected a year from 1970 to 2199"),
        ({"duration": None}, "duration", "expected a duration or an end"),
        ({"ends": "2026-12-02T22:00"}, "ends", "expected one of them"),
        ({"duration": None, "ends": "2026-12-01T22:00"}, "ends", "after the start"),
        ({"duration": None, "ends": "2026-11-30T22:00"}, "ends", "after the start"),
        ({"duration": None, "ends": "2027-01-02T22:00"}, "ends", "by at most 31 days"),
        ({"duration": None, "ends": "later"}, "ends", "expected one like"),
        ({"duration": timedelta(0)}, "duration", "more than 0 and at most 31 days"),
        ({"duration": -HOUR}, "duration", "more than 0 and at most 31 days"),
        ({"duration": timedelta(days=31, seconds=1)}, "duration", "more than 0 and at most 31 days"),
        ({"rrule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"}, "rrule", "never comes"),
        ({"rrule": "FREQ=DAILY;INTERVAL=7;BYDAY=MO"}, "rrule", "never comes"),
        ({"rrule": "FREQ=DAILY;UNTIL=20261130"}, "rrule", "never comes"),
        ({"rrule": "FREQ=YEARLY;COUNT=60"}, "rrule", "expected a smaller one"),
        ({"rrule": "FREQ=SECONDLY"}, "rrule", "expected HOURLY"),
    ],
)
def test_what_cannot_be_is_refused_with_what_was_expected(given: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(WindowError) as refused:
        Window.parse(**(USUAL | given))
    assert refused.value.field == field
    assert said in str(refused.value)


@pytest.mark.parametrize("starts", [utc("2026-12-01T22:00"), wall("2026-12-01T22:00:00.000001"), wall("0001-01-01")])
def test_a_window_cannot_be_made_around_the_checks(starts: datetime) -> None:
    with pytest.raises(WindowError) as refused:
        Window(starts, HOUR, "UTC")
    assert refused.value.field == "starts"


@pytest.mark.parametrize("rrule", ["FREQ=DAILY", "FREQ=WEEKLY;BYDAY=TU", "FREQ=MONTHLY;BYDAY=-1FR", "FREQ=HOURLY;INTERVAL=4"])
def test_a_window_that_began_ten_years_ago_is_asked_within_a_millisecond(rrule: str) -> None:
    window, at, took = daily("2016-12-01T22:00", rrule=rrule), utc("2026-12-01T21:30"), []
    for _ in range(501):
        began = time.perf_counter()
        window.until(at)
        took.append(time.perf_counter() - began)
        at += timedelta(hours=7)
    assert statistics.median(took) < 0.001


def test_a_rule_that_never_comes_is_given_up_soon() -> None:
    began = time.perf_counter()
    for rrule in (
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=9",
        "FREQ=HOURLY;BYMONTH=4;BYMONTHDAY=31",
    ):
        with pytest.raises(WindowError):
            daily("2026-12-01T22:00", rrule=rrule)
    assert time.perf_counter() - began < 2
