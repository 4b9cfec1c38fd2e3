"""A server of calendars: a real one on 127.0.0.1 that answers each path with a calendar, or as it should not.

async with CalendarServer() as server:
    server.says["/oncall.ics"] = calendar("Ann", "20261123T090000Z", "20261130T090000Z")
    server.says["/broken.ics"] = "huge"
"""

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web


def calendar(*events: str) -> bytes:
    """A calendar of these events, each as `an_event` writes it."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN", *events, "END:VCALENDAR", ""]
    return "\r\n".join(lines).encode()


def an_event(summary: str, start: str, end: str, *more: str, uid: str = "1") -> str:
    """`start` and `end` are properties with their values: `:20261123T090000Z`, `;TZID=Europe/Berlin:20261123T090000`."""
    given = [f"UID:{uid}", f"SUMMARY:{summary}", f"DTSTART{start}", f"DTEND{end}", *more]
    return "\r\n".join(["BEGIN:VEVENT", *given, "END:VEVENT"])


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    path: str
    headers: dict[str, str]


@dataclass
class CalendarServer:
    """`says` maps a path to a calendar or to one of the words below; `etags` to what its answer is marked with."""

    says: dict[str, bytes | str] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    port: int = 0
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(Asked(request.path_qs, dict(request.headers)))
        said, etag = self.says.get(request.path), self.etags.get(request.path)
        if said is None:
            return web.Response(status=404)
        if isinstance(said, str):
            return await WORDS[said](request)
        if etag is not None and request.headers.get("If-None-Match") == etag:
            return web.Response(status=304)
        return web.Response(body=said, content_type="text/calendar", headers={"ETag": etag} if etag else {})


Word = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def _slow(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def _drip(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    while True:
        await answer.write(b" ")
        await asyncio.sleep(0.01)


async def _huge(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    while True:
        await answer.write(b" " * 65_536)


async def _reset(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def _canned(make: Callable[[], web.Response]) -> Word:
    async def word(_: web.Request) -> web.StreamResponse:
        return make()

    return word


_BOMB = gzip.compress(b" " * 10_000_000)
_METADATA = "http://169.254.169.254/latest/meta-data/?token=secret"

WORDS: dict[str, Word] = {
    "redirect": _canned(lambda: web.Response(status=302, headers={"Location": _METADATA})),
    "401": _canned(lambda: web.Response(status=401, text="go away")),
    "500": _canned(lambda: web.Response(status=500, text="<h1>oops</h1>")),
    "html": _canned(lambda: web.Response(text="<html>Welcome</html>", content_type="text/html")),
    "bomb": _canned(lambda: web.Response(body=_BOMB, headers={"Content-Encoding": "gzip"})),
    "304": _canned(lambda: web.Response(status=304)),
    "slow": _slow,
    "drip": _drip,
    "huge": _huge,
    "reset": _reset,
}
