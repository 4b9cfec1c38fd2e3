"""What follows a try that failed."""

from datetime import timedelta

import pytest

from services.notifier.domain.outcome import Again, Failed, after
from services.notifier.domain.trouble import ChannelError, Trouble
from tests.unit.notifier.events import START

LATER = START + timedelta(hours=24)


def step(error: ChannelError, attempt: int = 1, dice: float = 0.5) -> Again | Failed:
    return after(error, attempt=attempt, now=START, give_up_at=LATER, dice=dice)


def wait(error: ChannelError, attempt: int = 1, dice: float = 0.5) -> float:
    found = step(error, attempt, dice)
    assert isinstance(found, Again)
    return (found.at - START).total_seconds()


def broken(trouble: Trouble = Trouble.SERVER_ERROR, **given: float | bool | None) -> ChannelError:
    return ChannelError(trouble, "it broke", **{"retry": True, **given})  # type: ignore[arg-type]


def test_waits_grow_from_a_second_to_five_minutes() -> None:
    assert [wait(broken(), attempt) for attempt in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert wait(broken(), 1000) == 300


def test_waits_are_spread() -> None:
    assert (wait(broken(), dice=0), wait(broken(), dice=1)) == (0.8, 1.2)


@pytest.mark.parametrize("dice", [0.0, 1.0])
def test_a_wait_that_is_asked_for_is_kept_exactly(dice: float) -> None:
    assert wait(broken(Trouble.RATE_LIMITED, retry_after=37.0), 5, dice) == 37.0


def test_a_refused_token_is_tried_slowly() -> None:
    assert wait(broken(Trouble.AUTH_ERROR)) == 60


def test_what_cannot_help_has_failed_at_once() -> None:
    assert Failed("it broke", doubt=False) == step(broken(retry=False))


def test_doubt_means_that_the_message_may_be_there() -> None:
    unknown, refused = step(broken(happened=None)), step(broken(happened=False))
    assert (unknown.doubt, refused.doubt) == (True, False)
    assert step(broken(retry=False, happened=None)).doubt


def test_after_a_day_it_has_failed_with_the_last_reason() -> None:
    error = broken()
    found = after(error, attempt=290, now=LATER, give_up_at=LATER, dice=0.5)
    assert Failed("gave up after 290 attempts; the last: it broke", doubt=False) == found
