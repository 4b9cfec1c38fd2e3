"""Clocks and wakers."""

import asyncio
from datetime import UTC, timedelta

from services.runtime.clock import Clock, ManualClock
from services.runtime.wake import Waker
from tests.builders import NOW


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_machines_clock_is_in_utc_and_moves() -> None:
    clock = Clock()
    before = clock.now(), clock.monotonic()
    await clock.sleep(0.001)
    assert before[0].tzinfo is UTC
    assert (clock.now(), clock.monotonic()) > before


async def test_a_stopped_clock_moves_only_by_hand() -> None:
    clock = ManualClock(NOW)
    assert (clock.now(), clock.now()) == (NOW, NOW)
    began = clock.monotonic()
    clock.advance(timedelta(hours=1))
    assert (clock.now(), clock.monotonic() - began) == (NOW + timedelta(hours=1), 3600)


async def test_sleepers_wake_when_their_time_has_come() -> None:
    clock = ManualClock(NOW)
    short, long = asyncio.create_task(clock.sleep(10)), asyncio.create_task(clock.sleep(20))
    await settle()
    clock.advance(timedelta(seconds=9))
    await settle()
    assert not short.done()
    clock.advance(timedelta(seconds=1))
    await settle()
    assert (short.done(), long.done()) == (True, False)
    clock.advance(timedelta(days=1))
    await asyncio.wait_for(long, 1)


async def test_a_sleep_counts_from_the_call() -> None:
    clock = ManualClock(NOW)
    sleeper = asyncio.create_task(clock.sleep(10))
    clock.advance(timedelta(seconds=10))
    await asyncio.wait_for(sleeper, 1)


async def test_no_sleep_at_all_needs_no_hand() -> None:
    await asyncio.wait_for(ManualClock(NOW).sleep(0), 1)
    await asyncio.wait_for(ManualClock(NOW).sleep(-5), 1)


async def test_a_waker_wakes() -> None:
    waker = Waker()
    sleeper = asyncio.create_task(waker.sleep(60))
    await settle()
    assert not sleeper.done()
    waker.wake()
    await asyncio.wait_for(sleeper, 1)


async def test_a_call_that_comes_before_the_sleep_is_not_lost_and_counts_once() -> None:
    waker = Waker()
    waker.wake()
    waker.wake()
    await asyncio.wait_for(waker.sleep(60), 1)
    again = asyncio.create_task(waker.sleep(60))
    await settle()
    assert not again.done()
    again.cancel()


async def test_a_waker_does_not_sleep_for_ever() -> None:
    await asyncio.wait_for(Waker().sleep(0.001), 1)
    await asyncio.wait_for(Waker().sleep(-1), 1)
