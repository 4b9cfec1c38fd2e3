"""Windows against an oracle: every occurrence written out by dateutil from the beginning, then looked through."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import takewhile
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.windows import Window, WindowError

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
BEGINNING, END = datetime.fromisoformat("2018-06-01"), datetime.fromisoformat("2021-06-01")
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)

generous = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


@cache
def offsets(zone: str) -> frozenset[timedelta]:
    """Every offset that the zone's clocks have in those years."""
    noons = (BEGINNING.replace(tzinfo=UTC) + DAY * number for number in range((END - BEGINNING).days))
    found = {noon.astimezone(ZoneInfo(zone)).utcoffset() for noon in noons}
    return frozenset(offset for offset in found if offset is not None)


def shown(moment: datetime, zone: str) -> datetime:
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def first_shown(wall: datetime, zone: str) -> datetime:
    """Try each offset; where no clock ever shows this, go on second by second from the last time before it."""
    candidates = sorted(wall.replace(tzinfo=UTC) - offset for offset in offsets(zone))
    exact = [moment for moment in candidates if shown(moment, zone) == wall]
    if exact:
        return exact[0]
    moment = candidates[0].replace(second=0)
    while shown(moment, zone) < wall:
        moment += MINUTE
    return moment


def written_out(starts: datetime, zone: str, rrule: str) -> list[datetime]:
    try:
        walls = list(takewhile(lambda wall: wall < END, rrulestr(rrule, dtstart=starts)))
    except ValueError:  # hours that are never reached
        return []
    return sorted({first_shown(wall, zone) for wall in walls})


def end_of(begins: Sequence[datetime], duration: timedelta, at: datetime) -> datetime | None:
    end = None
    for moment in begins:
        if (end is None and moment <= at < moment + duration) or (end is not None and moment <= end):
            end = moment + duration
    return end


def listed(low: int, high: int, most: int = 3) -> st.SearchStrategy[str]:
    return st.lists(st.integers(low, high), min_size=1, max_size=most, unique=True).map(lambda found: ",".join(map(str, found)))


def weekdays(numbers: Sequence[str] = ("",)) -> st.SearchStrategy[str]:
    named = st.builds(str.__add__, st.sampled_from(numbers), st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]))
    return st.lists(named, min_size=1, max_size=3, unique=True).map(",".join)


TIMES = {"BYHOUR": st.sampled_from(["2", "1,2,3", "0,12,23"]), "BYMINUTE": st.sampled_from(["0", "30", "15,45"])}
MONTHS = {"BYMONTH": st.sampled_from(["3", "10", "3,4,10,11", "1,2,3,4,5,6,7,8,9,10,11,12"])}
PARTS: dict[str, dict[str, st.SearchStrategy[str]]] = {
    "YEARLY": MONTHS | TIMES | {"BYDAY": weekdays(["1", "-1", "2"])},
    "MONTHLY": TIMES | {"INTERVAL": st.sampled_from(["1", "2", "5"]), "BYMONTHDAY": listed(-28, -1) | listed(1, 31)},
    "WEEKLY": TIMES | {"INTERVAL": st.sampled_from(["1", "2", "3"]), "WKST": st.sampled_from(["MO", "SU"]), "BYDAY": weekdays()},
    "DAILY": MONTHS | TIMES | {"INTERVAL": st.sampled_from(["1", "2", "5"])},
    "HOURLY": MONTHS | {"INTERVAL": st.sampled_from(["1", "5", "7", "25"]), "BYDAY": weekdays(), "BYHOUR": TIMES["BYHOUR"]},
}  # fmt: skip
MONTHLY_BY_WEEKDAY = st.fixed_dictionaries(
    {"FREQ": st.just("MONTHLY"), "BYDAY": weekdays()},
    optional={"BYSETPOS": st.sampled_from(["1", "-1", "2", "1,-1"]), "INTERVAL": st.sampled_from(["1", "3"])},
)
MONTHLY_BY_NUMBERED_WEEKDAY = st.fixed_dictionaries({"FREQ": st.just("MONTHLY"), "BYDAY": weekdays(["1", "-1", "4"])})
ENDS: st.SearchStrategy[dict[str, str]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"COUNT": st.sampled_from(["1", "2", "40"])}),
    st.fixed_dictionaries({"UNTIL": st.datetimes(BEGINNING, END).map("{:%Y%m%dT%H%M%S}".format)}),
)
RULES = st.one_of(
    *(st.fixed_dictionaries({"FREQ": st.just(freq)}, optional=parts) for freq, parts in PARTS.items()),
    MONTHLY_BY_WEEKDAY,
    MONTHLY_BY_NUMBERED_WEEKDAY,
)
STARTS = st.datetimes(BEGINNING, BEGINNING + DAY * 400).map(lambda at: at.replace(second=0, microsecond=0))
DURATIONS = st.sampled_from([MINUTE, timedelta(hours=1), timedelta(hours=25), timedelta(days=3), timedelta(days=31)])
CHANGES = st.sampled_from(["2019-03-31T02:30", "2019-10-27T02:30", "2019-03-10T02:30", "2019-11-03T01:30", "2019-10-06T02:15"])


@generous
@given(
    rule=RULES,
    ends=ENDS,
    starts=STARTS | CHANGES.map(datetime.fromisoformat),
    zone=st.sampled_from(ZONES),
    duration=DURATIONS,
    data=st.data(),
)
def test_a_window_covers_what_the_oracle_writes_out(
    rule: dict[str, str], ends: dict[str, str], starts: datetime, zone: str, duration: timedelta, data: st.DataObject
) -> None:
    rrule = ";".join(f"{name}={value}" for name, value in (rule | ends).items())
    begins = written_out(starts, zone, rrule)
    try:
        window = Window(starts, duration, zone, rrule)
    except WindowError:
        assert len(begins) < int(ends.get("COUNT", "1")), "refused, although it comes so often within the years looked at"
        return
    near = st.sampled_from(begins[:2000] or [starts.replace(tzinfo=UTC)])
    steps = st.sampled_from([-MINUTE, timedelta(0), MINUTE, duration - MINUTE, duration, duration + DAY])
    for _ in range(5):
        at = data.draw(st.builds(datetime.__add__, near, steps), label="at")
        if at > END.replace(tzinfo=UTC) - DAY * 430:
            continue
        expected = end_of(begins, duration, at)
        found = window.until(at)
        assert found == expected or (found and expected and min(found, expected) > at + timedelta(days=365))
        coming = window.next(at)
        written = next((moment for moment in begins if moment > at), None)
        assert coming == written or (written is None and coming and shown(coming, zone) >= END)


@generous
@given(rule=RULES, starts=STARTS, zone=st.sampled_from(ZONES), duration=DURATIONS, at=st.datetimes(BEGINNING, END))
def test_what_until_and_next_say_of_each_other(
    rule: dict[str, str], starts: datetime, zone: str, duration: timedelta, at: datetime
) -> None:
    try:
        window = Window(starts, duration, zone, ";".join(f"{name}={value}" for name, value in rule.items()))
    except WindowError:
        return
    now = at.replace(tzinfo=UTC)
    end, begins = window.until(now), window.next(now)
    assert end is None or end > now
    assert begins is not None
    assert begins > now
    assert (window.until(begins) or begins) >= begins + duration
    if end is None:
        assert window.until(begins - timedelta(microseconds=1)) is None
    elif end < now + timedelta(days=300):
        assert window.until(end - timedelta(microseconds=1)) == end
        assert window.until(end) is None


@given(st.datetimes(BEGINNING, END), st.sampled_from(ZONES), st.timedeltas(MINUTE, timedelta(days=31)))
def test_a_moment_in_utc_begins_exactly_then_in_any_zone(begins: datetime, zone: str, duration: timedelta) -> None:
    at = begins.replace(microsecond=0, tzinfo=UTC)
    window = Window.parse(starts=at, duration=duration, zone=zone)
    assert window.next(at - MINUTE) == at
    assert window.over_at == at + duration


@given(
    st.text()
    | st.lists(st.sampled_from(["FREQ=", "DAILY", "YEARLY", ";", "BYDAY=", "1MO", ",", "UNTIL=", "2026", "=", "9"])).map("".join)
)
def test_any_text_is_a_rule_or_is_refused_in_words(text: str) -> None:
    try:
        Window.parse(starts="2026-12-01T22:00", duration=DAY, rrule=text)
    except WindowError as refused:
        assert refused.field == "rrule"
        assert "expected" in str(refused) or "twice" in str(refused)


@given(st.text(), st.text(), st.text())
def test_any_text_is_a_moment_and_a_zone_or_is_refused_in_words(starts: str, ends: str, zone: str) -> None:
    for given_zone in (zone, "UTC"):
        try:
            Window.parse(starts=starts, ends=ends, zone=given_zone)
        except WindowError as refused:
            assert "expected" in str(refused)
