"""The text of a rule: what it means, and what it may not say."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from services.windows import Window, WindowError
from services.windows.rule import parse_rule

STARTS = datetime.fromisoformat("2026-12-01T22:00")  # a Tuesday


def days(rrule: str, count: int) -> list[str]:
    """The first occurrences of a rule, as month-day."""
    window, at = Window(STARTS, timedelta(minutes=1), "UTC", rrule), STARTS.replace(tzinfo=UTC) - timedelta(seconds=1)
    found: list[str] = []
    while len(found) < count and (begins := window.next(at)):
        found.append(f"{begins:%m-%d}")
        at = begins
    return found


@pytest.mark.parametrize(
    ("rrule", "expected"),
    [
        ("FREQ=DAILY;INTERVAL=10", ["12-01", "12-11", "12-21", "12-31", "01-10"]),
        ("FREQ=WEEKLY", ["12-01", "12-08", "12-15"]),
        ("FREQ=WEEKLY;BYDAY=MO,WE", ["12-02", "12-07", "12-09"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,TU", ["12-01", "12-06", "12-15", "12-20"]),
        ("FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=SU,TU", ["12-01", "12-13", "12-15", "12-27"]),
        ("FREQ=MONTHLY", ["12-01", "01-01", "02-01"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31", ["12-31", "01-31", "03-31"]),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", ["12-31", "01-31", "02-28"]),
        ("FREQ=MONTHLY;BYDAY=2TU,-1FR", ["12-08", "12-25", "01-12", "01-29"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", ["12-31", "01-29", "02-26"]),
        ("FREQ=YEARLY", ["12-01", "12-01"]),
        ("FREQ=YEARLY;BYMONTH=1,7", ["01-01", "07-01", "01-01"]),
        ("FREQ=YEARLY;BYYEARDAY=-1", ["12-31", "12-31"]),
        ("FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", ["11-25", "11-23"]),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=27,28", ["02-27", "02-28", "02-27"]),
        ("FREQ=DAILY;BYHOUR=6,18;BYMINUTE=30", ["12-02", "12-02", "12-03"]),
        ("FREQ=HOURLY;INTERVAL=36", ["12-01", "12-03", "12-04"]),
        ("FREQ=HOURLY;BYDAY=WE;BYHOUR=23", ["12-02", "12-09"]),
    ],
)
def test_a_rule_comes_on_its_days(rrule: str, expected: list[str]) -> None:
    assert days(rrule, len(expected)) == expected


def test_every_so_many_hours_is_counted_by_the_clock() -> None:
    rule = parse_rule("FREQ=HOURLY;INTERVAL=5", STARTS)
    walls = rule.walls(rule.block_of(STARTS))
    assert (walls[0], len(walls)) == (STARTS, (30 * 24 + 2 + 4) // 5)
    assert {later - earlier for earlier, later in pairwise(walls)} == {timedelta(hours=5)}


@pytest.mark.parametrize(
    ("rrule", "said"),
    [
        ("", "expected NAME=VALUE"),
        ("every tuesday", "expected NAME=VALUE"),
        ("BYDAY=TU", "FREQ is missing"),
        ("FREQ=FORTNIGHTLY", "expected YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY"),
        ("FREQ=MINUTELY", "too often; expected HOURLY"),
        ("FREQ=DAILY;FREQ=DAILY", "FREQ is given twice"),
        ("FREQ=DAILY;BYHOURS=1", "did you mean BYHOUR?"),
        ("FREQ=YEARLY;BYWEEKNO=20", "'BYWEEKNO' is not supported"),
        ("DTSTART:20261201T220000\nRRULE:FREQ=DAILY", "not supported"),
        ("FREQ=DAILY;INTERVAL=0", "from 1 to 1000"),
        ("FREQ=DAILY;INTERVAL=-1", "from 1 to 1000"),
        ("FREQ=DAILY;INTERVAL=99999999999999999999", "from 1 to 1000"),
        ("FREQ=DAILY;COUNT=0", "from 1 to 10000"),
        ("FREQ=DAILY;COUNT=5;UNTIL=20271201", "expected one of them"),
        ("FREQ=DAILY;UNTIL=2027-12-01", "expected a moment like 20261231"),
        ("FREQ=DAILY;UNTIL=20270231", "expected a moment like 20261231"),
        ("FREQ=DAILY;UNTIL=00010101", "expected a moment like 20261231"),
        ("FREQ=DAILY;UNTIL=", "expected a moment like 20261231"),
        ("FREQ=WEEKLY;BYDAY=XX", "expected a weekday like SU"),
        ("FREQ=WEEKLY;BYDAY=0MO", "expected a weekday like SU"),
        ("FREQ=WEEKLY;BYDAY=", "expected a weekday like SU"),
        ("FREQ=WEEKLY;BYDAY=1MO", "expected MONTHLY or YEARLY"),
        ("FREQ=MONTHLY;BYDAY=MO,1TU", "with each weekday or with none"),
        ("FREQ=MONTHLY;BYDAY=6MO", "expected at most 5 here"),
        ("FREQ=YEARLY;BYMONTH=3;BYDAY=-6MO", "expected at most 5 here"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "other than 0"),
        ("FREQ=MONTHLY;BYMONTHDAY=1,32", "from -31 to 31"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "expected FREQ=YEARLY or MONTHLY or DAILY or HOURLY"),
        ("FREQ=MONTHLY;BYYEARDAY=1", "expected FREQ=YEARLY"),
        ("FREQ=DAILY;BYDAY=MO;BYSETPOS=1", "expected FREQ=YEARLY or MONTHLY"),
        ("FREQ=MONTHLY;BYSETPOS=1", "nothing to choose from"),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=1;BYHOUR=1,2", "expected one time of the day"),
        ("FREQ=DAILY;WKST=MONDAY", "expected MO, TU"),
        ("FREQ=DAILY;BYHOUR=24", "from 0 to 23"),
        ("FREQ=DAILY;BYSECOND=60", "from 0 to 59"),
        ("FREQ=HOURLY;BYMINUTE=0,30", "48 times a day; expected at most 24"),
        ("FREQ=DAILY;BYHOUR=" + ",".join(["1"] * 300), "at most 500 characters"),
    ],
)
def test_what_no_rule_may_say_is_refused_with_what_was_expected(rrule: str, said: str) -> None:
    with pytest.raises(WindowError) as refused:
        parse_rule(rrule, STARTS)
    assert refused.value.field == "rrule"
    assert said in str(refused.value)
    assert len(str(refused.value)) < 400
