"""Time. The only place that asks the machine what time it is; everything else is handed a `Clock` or a `now`."""

import asyncio
import time
from datetime import UTC, datetime, timedelta


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

    async def sleep(self, seconds: float) -> None:
        until = self._now + timedelta(seconds=seconds)
        while self._now < until:
            await self._moved.wait()

    def advance(self, step: timedelta) -> None:
        self._now += step
        self._moved.set()
        self._moved = asyncio.Event()
