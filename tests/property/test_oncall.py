"""Who is on call, over years: against an oracle that writes every hand-over out by dateutil, and against itself."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from functools import cache
from itertools import pairwise
from time import perf_counter
from zoneinfo import ZoneInfo

from dateutil.rrule import DAILY, HOURLY, WEEKLY, rrule
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from icalendar import Calendar as ICalendar

from schemas.vocabulary import Role
from services.orchestrator.adapters.ics import exported
from services.orchestrator.domain.duty.calendars import Entry, Whom, calendar_of
from services.orchestrator.domain.duty.hours import Hours
from services.orchestrator.domain.duty.layers import Layer
from services.orchestrator.domain.duty.members import Member
from services.orchestrator.domain.duty.oncall import gaps, next_handover, on_call, shifts
from services.orchestrator.domain.duty.rotation import Override, Rotation
from services.orchestrator.domain.duty.spans import FAR
from tests.builders import NOW
from tests.property.test_windows import first_shown

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
BEGIN, END = datetime.fromisoformat("2018-07-01"), datetime.fromisoformat("2021-05-01")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EVERY = (HOUR, 5 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY)

many = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])

times = st.sampled_from([(2, 30), (2, 0), (1, 59), (3, 0), (0, 0), (9, 0), (17, 45)])
walls = st.builds(
    lambda day, time: datetime.combine(day, clock(*time)), st.dates(BEGIN.date(), END.date() - timedelta(days=120)), times
)
moments = st.datetimes(BEGIN + timedelta(days=30), END - timedelta(days=60)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)
near_changes = st.builds(
    lambda day, minutes: datetime.combine(date(*day), clock(), UTC) + MINUTE * minutes,
    st.sampled_from([(2019, 3, 31), (2019, 10, 27), (2020, 3, 29), (2019, 3, 10), (2019, 11, 3), (2020, 10, 3), (2020, 4, 4)]),
    st.integers(-600, 1_440),
)
people = st.lists(st.sampled_from(["ann", "bob", "cid", "dan"]), min_size=1, max_size=4).map(lambda names: [*map(Member, names)])
office = st.builds(
    lambda days, opens, lasts: Hours(frozenset(days), opens, opens + lasts),
    st.sets(st.integers(0, 6), min_size=1),
    st.sampled_from([0, 120, 150, 540, 1_320]),
    st.sampled_from([15, 60, 480, 1_440]),
)


def layers(hours: st.SearchStrategy[tuple[Hours, ...]]) -> st.SearchStrategy[Layer]:
    return st.builds(
        lambda zone, starts, every, members, hours, lasts: Layer(
            "x", ZoneInfo(zone), starts, every, tuple(members), lasts and starts + lasts, hours
        ),
        st.sampled_from(ZONES),
        walls,
        st.sampled_from(EVERY),
        people,
        hours,
        st.sampled_from([None, None, 3 * HOUR, 100 * DAY]),
    )


some_hours = st.lists(office, max_size=3).map(tuple)
rotations = st.lists(layers(some_hours), min_size=1, max_size=3).map(
    lambda found: Rotation("r", Role.EOC, ZoneInfo("UTC"), (), tuple(found))
)


@st.composite
def standing(draw: st.DrawFn) -> list[Override]:
    """Overrides that do not overlap, as none are let in that do."""
    cuts = sorted(draw(st.sets(moments, max_size=8)))
    pairs = zip(cuts[::2], cuts[1::2], strict=False)
    found = [(low, min(high, low + 31 * DAY)) for low, high in pairs]
    return [an_override(number, low, high) for number, (low, high) in enumerate(found, 1)]


def an_override(number: int, starts: datetime, ends: datetime) -> Override:
    return Override(f"OV-{number}", number, "r", Role.EOC, "eve", starts, ends, "ill", "ann", NOW)


@cache
def hand_overs(starts: datetime, every: timedelta, zone: str) -> Sequence[datetime]:
    """Every one of those years, written out by dateutil and looked up on the wall."""
    weeks, rest = divmod(every, 7 * DAY)
    days, hours = divmod(rest, DAY)
    until = min(END, starts + 400 * every)
    if weeks:
        found = rrule(WEEKLY, dtstart=starts, interval=weeks, until=until)
    elif days:
        found = rrule(DAILY, dtstart=starts, interval=days, until=until)
    else:
        found = rrule(HOURLY, dtstart=starts, interval=hours // HOUR, until=until)
    return [first_shown(wall, zone) for wall in found]


def by_the_oracle(layer: Layer, at: datetime) -> str | None:
    zone = layer.zone.key
    begun = [moment for moment in hand_overs(layer.starts, layer.every, zone) if moment <= at]
    over = layer.until is not None and first_shown(layer.until, zone) <= at
    if not begun or over or not _open(layer, at):
        return None
    return layer.members[(len(begun) - 1) % len(layer.members)].person


def _open(layer: Layer, at: datetime) -> bool:
    today, zone = at.astimezone(layer.zone).replace(tzinfo=None, hour=0, minute=0, second=0), layer.zone.key
    return not layer.hours or any(
        first_shown(midnight + MINUTE * each.opens, zone) <= at < first_shown(midnight + MINUTE * each.closes, zone)
        for each in layer.hours
        for midnight in (today - DAY, today)
        if midnight.weekday() in each.days
    )


def in_reach(layer: Layer, at: datetime) -> bool:
    """The oracle writes so many hand-overs out and no more."""
    return at < layer.starts.replace(tzinfo=UTC) + 399 * layer.every


@many
@given(st.lists(layers(some_hours), min_size=1, max_size=3), moments | near_changes)
def test_whoever_is_on_call_is_so_by_the_oracle(found: list[Layer], at: datetime) -> None:
    assume(all(in_reach(layer, at) for layer in found))
    rotation = Rotation("r", Role.EOC, ZoneInfo("UTC"), (), tuple(found))
    expected = next((person for layer in reversed(found) if (person := by_the_oracle(layer, at))), None)
    assert on_call(rotation, [], at).person == expected


@many
@given(rotations, standing(), moments | near_changes, st.sampled_from([HOUR, DAY, 9 * DAY, 40 * DAY]))
def test_every_moment_is_in_one_shift(rotation: Rotation, overrides: list[Override], start: datetime, lasts: timedelta) -> None:
    found = shifts(rotation, overrides, start, start + lasts)
    assert (found[0].start, found[-1].end) == (start, start + lasts)
    assert all(before.end == after.start for before, after in pairwise(found))
    assert all(shift.start < shift.end for shift in found)
    assert gaps(rotation, overrides, start, start + lasts) == [shift for shift in found if shift.person is None]


@many
@given(rotations, standing(), moments | near_changes)
def test_a_shift_is_the_same_however_it_is_asked_for(rotation: Rotation, overrides: list[Override], start: datetime) -> None:
    for shift in shifts(rotation, overrides, start, start + 9 * DAY)[1:-1]:
        for at in (shift.start, shift.start + (shift.end - shift.start) / 2, shift.end - MINUTE / 60):
            whole = on_call(rotation, overrides, at)
            if whole.person is None:
                assert max(whole.start, at - FAR) <= shift.start and shift.end <= min(whole.end, at + FAR)
            else:
                assert whole == shift


@many
@given(rotations, standing(), moments | near_changes)
def test_the_next_hand_over_is_the_first_to_somebody_else(rotation: Rotation, overrides: list[Override], at: datetime) -> None:
    found, person = next_handover(rotation, overrides, at), on_call(rotation, overrides, at).person
    horizon = found.start if found else at + 60 * DAY
    assert {shift.person for shift in shifts(rotation, overrides, at, horizon)} == {person}
    assert found is None or (found.person != person and found == on_call(rotation, overrides, found.start))


@many
@given(st.sampled_from(ZONES), st.dates(BEGIN.date(), date(2019, 1, 1)), times, st.sampled_from([DAY, 7 * DAY]))
def test_hand_overs_keep_their_time_on_the_wall_for_years(zone: str, day: date, time: tuple[int, int], every: timedelta) -> None:
    place, starts = ZoneInfo(zone), datetime.combine(day, clock(*time))
    rotation = Rotation("r", Role.EOC, place, (), (Layer("x", place, starts, every, (Member("ann"), Member("bob"))),))
    begin = datetime(2019, 1, 2, tzinfo=UTC)
    found = shifts(rotation, [], begin, begin + 730 * DAY)[1:]
    on_the_wall = [shift.start.astimezone(place) for shift in found]
    odd = [moment for moment in on_the_wall if (moment.hour, moment.minute) != time]
    assert all(moment.fold == 0 for moment in on_the_wall)
    assert len(odd) <= 2, odd
    for moment in odd:  # the clocks jumped over the time, and it is the moment of the jump
        assert moment.utcoffset() != (moment.astimezone(UTC) - MINUTE).astimezone(place).utcoffset()
    assert [shift.person for shift in found[:6]] in (["ann", "bob"] * 3, ["bob", "ann"] * 3)


@many
@given(rotations, moments, st.timedeltas(MINUTE, 31 * DAY), moments)
def test_an_override_wins_and_ends_exactly(rotation: Rotation, starts: datetime, lasts: timedelta, other: datetime) -> None:
    override = an_override(1, starts, starts + lasts)
    second = timedelta(seconds=1)
    assert {on_call(rotation, [override], at).person for at in (starts, starts + lasts / 2, starts + lasts - second)} == {"eve"}
    for at in (starts - second, starts + lasts, other):
        if not starts <= at < starts + lasts:
            assert on_call(rotation, [override], at).person == on_call(rotation, [], at).person
    (shift,) = [each for each in shifts(rotation, [override], starts - DAY, starts + 40 * DAY) if each.person == "eve"]
    assert (shift.start, shift.end, shift.layer) == (starts, starts + lasts, "OV-1")


@many
@given(layers(st.just(())), walls, st.sampled_from(["ann", "eve"]), moments)
def test_who_joins_later_moves_nothing_that_was(layer: Layer, since: datetime, person: str, at: datetime) -> None:
    grown = Layer(layer.name, layer.zone, layer.starts, layer.every, (*layer.members, Member(person, since)), layer.until)
    before, after = (Rotation("r", Role.EOC, ZoneInfo("UTC"), (), (each,)) for each in (layer, grown))
    if at < first_shown(since, layer.zone.key):
        assert on_call(before, [], at).person == on_call(after, [], at).person


@many
@given(rotations, standing(), moments)
def test_what_is_exported_reads_back_as_the_same_shifts(rotation: Rotation, overrides: list[Override], start: datetime) -> None:
    mine = [each for each in shifts(rotation, overrides, start, start + 20 * DAY) if each.person is not None]
    read = ICalendar.from_ical(exported(rotation, mine, {}, NOW))
    events = [(str(each["SUMMARY"]), each.decoded("DTSTART"), each.decoded("DTEND")) for each in read.walk("VEVENT")]
    assert events == [(f"{each.person} is EOC (r)", each.start, each.end) for each in mine]
    uids = [str(each["UID"]) for each in read.walk("VEVENT")]
    again = ICalendar.from_ical(exported(rotation, mine, {}, NOW + DAY))
    assert len(set(uids)) == len(uids) and uids == [str(each["UID"]) for each in again.walk("VEVENT")]


entries = st.lists(
    st.builds(
        lambda start, lasts, person, uid: Entry(start, start + lasts, str(uid), person),
        moments,
        st.timedeltas(timedelta(), 400 * DAY),
        st.sampled_from(["ann", "bob", "stranger"]),
        st.integers(0, 5),
    ),
    max_size=30,
)


@many
@given(entries, moments)
def test_of_several_entries_at_once_the_one_that_begins_last_counts(found: list[Entry], at: datetime) -> None:
    whom = Whom.of({}, [("ann", "Ann", None), ("bob", "Bob", None)])
    calendar = calendar_of(found, whom)
    there = [each for each in found if each.start <= at < each.end]
    last = max(there, key=lambda each: (each.start, -each.end.timestamp(), each.uid), default=None)
    rotation = Rotation("r", Role.EOC, ZoneInfo("UTC"), (), (), calendar)
    assert on_call(rotation, [], at).person == (whom.meant(last) if last else None)
    known = calendar.known.known
    assert all(before.end <= after.start for before, after in pairwise(known))


def best_of(times: int, what: Callable[[], object]) -> float:
    """Seconds: the best of several, for others work on the machine too."""
    found = []
    for _ in range(times):
        begun = perf_counter()
        what()
        found.append(perf_counter() - begun)
    return min(found)


def test_ten_years_after_its_start_a_rotation_is_asked_in_a_millisecond() -> None:
    hours = (Hours(frozenset(range(5)), 540, 1_020),)
    started = NOW.replace(year=NOW.year - 10, tzinfo=None)
    shape = [("Europe/Berlin", ()), ("Asia/Tokyo", hours), ("Europe/Berlin", hours), ("America/New_York", hours)]
    found = [Layer(zone, ZoneInfo(zone), started, 7 * DAY, (Member("ann"), Member("bob")), None, each) for zone, each in shape]
    rotation = Rotation("r", Role.EOC, ZoneInfo("UTC"), (), tuple(found))
    assert best_of(50, lambda: on_call(rotation, [], NOW)) < 0.001
    assert best_of(20, lambda: shifts(rotation, [], NOW, NOW + 28 * DAY)) < 0.01
