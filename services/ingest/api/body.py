"""Reading a body from a stranger: bounded in size and in time."""

import asyncio
from typing import Any

from starlette.types import Receive

from services.ingest.api.door import Headers, header
from services.runtime.clock import Clock
from services.runtime.web import Problem

MAX_BODY = 16 * 1024 * 1024
MAX_IN_FLIGHT = 64 * 1024 * 1024
"""Bytes of all bodies together that are being read or handled."""
PATIENCE = 10.0
"""Seconds for a whole body to arrive."""

_CLOSE = {"Connection": "close"}
"""Without it the server would go on reading what nobody wants."""


class Disconnected(Exception):
    """The client went away before its body was complete."""


class Memory:
    """What is left for bodies. A thousand connections with the largest body each would be more than any machine has."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def take(self, size: int) -> None:
        """Raises `Problem` 503 when so much is not left."""
        if size > self._left:
            detail = "Too many large bodies are being handled already."
            raise Problem(503, "unavailable", detail, headers=_CLOSE | {"Retry-After": "5"})
        self._left -= size

    def give_back(self, size: int) -> None:
        self._left += size


class Share:
    """What one body holds of the memory, until the end of the `with` block."""

    def __init__(self, memory: Memory) -> None:
        self._memory, self._held = memory, 0

    def __enter__(self) -> "Share":
        return self

    def __exit__(self, *_: object) -> None:
        self._memory.give_back(self._held)

    def hold(self, size: int) -> None:
        """So many bytes in all; raises `Problem` 503 when there is no room for them."""
        if size > self._held:
            self._memory.take(size - self._held)
            self._held = size


class Bodies:
    """Reads bodies. One look a second at all that are arriving (`watch`) costs a tenth of a timer for each."""

    def __init__(self, clock: Clock, *, limit: int = MAX_BODY, patience: float = PATIENCE) -> None:
        self._clock, self._limit, self._patience = clock, limit, patience
        self._memory = Memory(MAX_IN_FLIGHT)
        self._since: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()

    def share(self) -> Share:
        """To be held from before a body is read until it is handled."""
        return Share(self._memory)

    async def read(self, headers: Headers, receive: Receive, since: float, share: Share) -> bytes:
        """Raises `Problem` 413 or 503 (never 408: Alertmanager would give the alert up), or `Disconnected`."""
        declared = header(headers, b"content-length")
        if declared and declared.isdigit():
            if len(declared) > 15 or int(declared) > self._limit:
                raise self._too_large()
            share.hold(int(declared))
        task = asyncio.current_task()
        assert task is not None
        self._since[task] = since
        try:
            return await self._collect(receive, share)
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            task.uncancel()
            raise self._too_slow() from None
        finally:
            del self._since[task]
            self._late.discard(task)

    async def watch(self) -> None:
        """Give up the bodies that take too long; runs for ever."""
        while True:
            await self._clock.sleep(1.0)
            now = self._clock.monotonic()
            for task, since in self._since.items():
                if now - since >= self._patience and task not in self._late:
                    self._late.add(task)
                    task.cancel()

    async def _collect(self, receive: Receive, share: Share) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._limit:
                raise self._too_large()
            share.hold(size)
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)

    def _too_large(self) -> Problem:
        return Problem(413, "too_large", f"The body has more than {self._limit:,} bytes.", headers=_CLOSE)

    def _too_slow(self) -> Problem:
        detail = f"The body did not arrive within {self._patience:g} seconds."
        return Problem(503, "too_slow", detail, headers=_CLOSE | {"Retry-After": "5"})
