"""Time. The only place that asks the machine what time it is; everything else is handed a `Clock` or a `now`."""

import asyncio
import time
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any


class Clock:
    """The machine's clock: `now` in UTC, `monotonic` in seconds, `sleep` in seconds."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock(Clock):
    """A stopped clock for tests and the demonstration: only `advance` moves it."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._moved = asyncio.Event()

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._now.timestamp()

    def sleep(self, seconds: float) -> Coroutine[Any, Any, None]:
        """Counts from the call, not from the first time that somebody awaits it: the clock may be moved in between."""
        return self._until(self._now + timedelta(seconds=seconds))

    async def _until(self, moment: datetime) -> None:
        while self._now < moment:
            await self._moved.wait()

    def advance(self, step: timedelta) -> None:
        self._now += step
        self._moved.set()
        self._moved = asyncio.Event()
