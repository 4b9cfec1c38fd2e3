"""How long an earlier try is looked for in vain."""

from datetime import timedelta

from services.notifier.domain.lookups import Lookups
from services.notifier.say import LONGEST_LOOK, LONGEST_TRY
from services.runtime.work import LEASE
from tests.unit.notifier.events import START


def at(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def test_a_try_ends_well_before_its_lease_and_a_lookup_leaves_time_to_speak() -> None:
    assert LEASE.total_seconds() >= LONGEST_TRY + 5
    assert 2 * LONGEST_LOOK < LONGEST_TRY


def test_the_third_failure_is_enough_and_the_next_repeat_needs_as_many_again() -> None:
    lookups = Lookups()
    assert [lookups.failed("a", START + at(n)) for n in range(6)] == [False, False, True, False, False, True]


def test_two_minutes_are_enough() -> None:
    lookups = Lookups()
    assert [lookups.failed("a", START), lookups.failed("a", START + at(120))] == [False, True]


def test_each_message_is_counted_apart_and_a_lookup_that_worked_ends_the_count() -> None:
    lookups = Lookups()
    assert not any(
        [lookups.failed("a", START), lookups.failed("b", START), lookups.failed("a", START), lookups.failed("b", START)]
    )
    lookups.worked("a")
    assert (lookups.failed("a", START), lookups.failed("b", START)) == (False, True)


def test_what_is_never_asked_for_again_is_forgotten() -> None:
    lookups = Lookups()
    for n in range(100):
        lookups.failed(f"{n}", START)
    lookups.failed("new", START + timedelta(days=2))
    assert len(lookups._failed) == 1
