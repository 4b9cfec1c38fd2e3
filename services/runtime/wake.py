"""Waking a loop that sleeps."""

import asyncio


class Waker:
    """Wakes one sleeping loop; a call that comes while it works is not lost."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def wake(self) -> None:
        self._event.set()

    async def sleep(self, seconds: float) -> None:
        """Until somebody wakes us or `seconds` have passed."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._event.wait()
        except TimeoutError:
            pass
        self._event.clear()
