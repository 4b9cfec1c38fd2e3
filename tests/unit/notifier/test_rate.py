"""How fast a destination may be written to."""

from datetime import timedelta

from services.notifier.domain.delivery import Place
from services.notifier.domain.rate import Limits, Pace
from tests.unit.notifier.events import START

LIMITS = Limits(post_burst=3, edit_burst=2, per_second=1.0)
SLACK = Place("INC-1", "slack", "#incidents")


def at(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def slots(pace: Pace, count: int, call: str = "post", seconds: float = 0.0) -> list[float]:
    found = [pace.slot(SLACK, LIMITS, f"{call}-{n}", call, START + at(seconds)) for n in range(count)]  # type: ignore[arg-type]
    return [(slot - START).total_seconds() for slot in found]


def test_a_burst_goes_at_once_then_one_a_second() -> None:
    assert slots(Pace(), 5) == [0, 0, 0, 1, 2]


def test_posts_and_edits_are_counted_apart() -> None:
    pace = Pace()
    assert slots(pace, 4) == [0, 0, 0, 1]
    assert slots(pace, 3, "edit") == [0, 0, 1]


def test_who_waits_keeps_the_promised_slot() -> None:
    pace = Pace()
    assert slots(pace, 5) == [0, 0, 0, 1, 2]
    early = pace.slot(SLACK, LIMITS, "post-4", "post", START + at(0.5))
    in_time = pace.slot(SLACK, LIMITS, "post-4", "post", START + at(2.1))
    assert (START + at(2), START + at(2)) == (early, in_time)


def test_saved_up_calls_come_back_with_time() -> None:
    pace = Pace()
    assert slots(pace, 3) == [0, 0, 0]
    assert slots(pace, 4, seconds=60) == [60, 60, 60, 61]


def test_a_closed_destination_is_silent_for_all_and_goes_on_slowly() -> None:
    pace = Pace()
    assert slots(pace, 4) == [0, 0, 0, 1]
    pace.close(SLACK, LIMITS, START + at(30))
    assert slots(pace, 4) == [30, 31, 32, 33]
    assert slots(pace, 2, "edit") == [30, 31]


def test_a_shorter_pause_does_not_shorten_a_longer_one() -> None:
    pace = Pace()
    pace.close(SLACK, LIMITS, START + at(30))
    pace.close(SLACK, LIMITS, START + at(5))
    assert slots(pace, 1) == [30]


def test_other_destinations_and_those_without_limits_go_on() -> None:
    pace = Pace()
    pace.close(SLACK, LIMITS, START + at(30))
    assert pace.slot(Place("INC-1", "slack", "#other"), LIMITS, "a", "post", START) == START
    assert pace.slot(Place("INC-1", "board", "board"), None, "a", "post", START) == START


def test_a_slot_that_nobody_comes_for_is_forgotten() -> None:
    """Another replica took the piece of work; it never comes back here."""
    pace = Pace()
    slots(pace, 500)
    pace.slot(SLACK, LIMITS, "one more", "post", START + at(600))
    for n in range(4):
        pace.slot(SLACK, LIMITS, f"later-{n}", "post", START + at(700))
    [line] = pace._lines.values()
    assert len(line.promised) <= 4
