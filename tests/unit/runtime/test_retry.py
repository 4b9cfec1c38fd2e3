"""When to try again."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.retry import Backoff


class Still(Random):
    """Dice that always show the same."""

    def __init__(self, shown: float) -> None:
        super().__init__()
        self._shown = shown

    def random(self) -> float:
        return self._shown


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 0.5), (2, 1), (3, 2), (7, 32), (8, 60), (9, 60), (1_000_000, 60)])
def test_waits_double_up_to_a_minute(attempt: int, seconds: float) -> None:
    assert Backoff().wait(attempt, Still(0.5)) == pytest.approx(seconds)


@given(
    attempt=st.integers(1, 10**9),
    first=st.floats(0.001, 10),
    most=st.floats(10, 10**6),
    factor=st.floats(1, 10),
    spread=st.floats(0, 1),
    seed=st.integers(),
)
def test_no_wait_leaves_its_bounds(attempt: int, first: float, most: float, factor: float, spread: float, seed: int) -> None:
    wait = Backoff(first, most, factor, spread).wait(attempt, Random(seed))
    assert first * (1 - spread) * 0.999 <= wait <= most * (1 + spread) * 1.001


def test_waits_are_spread() -> None:
    dice = Random(1)
    waits = {Backoff().wait(1, dice) for _ in range(100)}
    assert len(waits) > 90
    assert min(waits) < 0.45
    assert max(waits) > 0.55


def test_the_dice_reach_both_ends() -> None:
    assert (Backoff().wait(1, Still(0)), Backoff().wait(1, Still(1))) == pytest.approx((0.4, 0.6))
