"""Not stopping in the middle."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

LAST_CHANCE = 3.0
"""Seconds that something begun has to come to its end after a cancellation."""


async def finish(begun: Coroutine[Any, Any, T]) -> T:
    """Run something to its end although we are cancelled meanwhile, within `LAST_CHANCE` seconds; then be cancelled.

    A statement that is cancelled half-way costs its database connection, and leaves what it did in doubt.
    """
    task = asyncio.create_task(begun)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=LAST_CHANCE)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
