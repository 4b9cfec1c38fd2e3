"""Waking a loop that sleeps."""

import asyncio


class Waker:
    """Wakes one sleeping loop; a call that comes while it works is not lost."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def wake(self) -> None:
        self._event.set()

    async def sleep(self, seconds: float) -> bool:
        """Until somebody wakes us or `seconds` have passed; whether somebody did."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._event.wait()
        except TimeoutError:
            pass
        woken = self._event.is_set()
        self._event.clear()
        return woken
