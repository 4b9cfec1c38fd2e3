"""A stand-in for Prometheus' HTTP API: a real server on 127.0.0.1 that answers each query with a number, or as it should not.

    async with NumberServer() as server:
        server.says["errors"] = 0.034
        server.says["broken"] = "huge"

The words are the keys of `WORDS` below: what Prometheus may say, and what may stand in its place.
"""

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

Series = list[dict[str, Any]]


@dataclass(frozen=True)
class Asked:
    """A question as it came."""

    path: str
    form: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass
class NumberServer:
    """`says` maps a query to a number or to one of the words below; any other query is refused as Prometheus refuses."""

    says: dict[str, float | str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    _came: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_post("/prefix/api/v1/{what}", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/prefix"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def asked_for(self, times: int) -> None:
        """Returns when so many questions have come."""
        while len(self.asked) < times:
            self._came.clear()
            await self._came.wait()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append(Asked(request.match_info["what"], form, dict(request.headers)))
        self._came.set()
        said = self.says.get(form["query"])
        if said is None:
            return _error(400, "bad_data", f'unknown query "{form["query"]}"')
        if isinstance(said, str):
            return await WORDS[said](request, form)
        return _data(*_number(form, f"{said!r}"))


def _moments(form: Mapping[str, str]) -> list[float]:
    if "time" in form:
        return [float(form["time"])]
    start, end, step = (float(form[name]) for name in ("start", "end", "step"))
    return [start + step * index for index in range(int((end - start) / step + 1.001))]


def _number(form: Mapping[str, str], *values: str) -> tuple[str, Series]:
    """One series for each value."""
    moments = _moments(form)
    if "time" in form:
        return "vector", [{"metric": {}, "value": [moments[0], value]} for value in values]
    return "matrix", [{"metric": {}, "values": [[at, value] for at in moments]} for value in values]


def _data(kind: str, result: object) -> web.Response:
    return web.json_response({"status": "success", "data": {"resultType": kind, "result": result}})


def _error(status: int, kind: str, error: str) -> web.Response:
    return web.json_response({"status": "error", "errorType": kind, "error": error}, status=status)


Word = Callable[[web.Request, Mapping[str, str]], Awaitable[web.StreamResponse]]


async def _matrix(_: web.Request, form: Mapping[str, str]) -> web.StreamResponse:
    if "time" in form:
        return _data("matrix", [{"metric": {}, "values": [[1, "1"]]}])
    return _error(400, "bad_data", 'invalid expression type "range vector" for range query, must be Scalar or instant Vector')


async def _empty(_: web.Request, form: Mapping[str, str]) -> web.StreamResponse:
    return _data(*_number(form))


async def _gap(_: web.Request, form: Mapping[str, str]) -> web.StreamResponse:
    kind, series = _number(form, "0.5")
    del series[0]["values"][2]
    return _data(kind, series)


async def _slow(_: web.Request, __: Mapping[str, str]) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def _drip(request: web.Request, _: Mapping[str, str]) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    while True:
        await answer.write(b" ")
        await asyncio.sleep(0.01)


async def _huge(request: web.Request, _: Mapping[str, str]) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    while True:
        await answer.write(b" " * 65_536)


async def _bomb(_: web.Request, __: Mapping[str, str]) -> web.StreamResponse:
    return web.Response(body=_BOMB, headers={"Content-Encoding": "gzip"})


async def _reset(request: web.Request, _: Mapping[str, str]) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _half(request: web.Request, _: Mapping[str, str]) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Length": "1000"})
    await answer.prepare(request)
    await answer.write(b'{"status":')
    return await _reset(request, {})


async def _echo(request: web.Request, _: Mapping[str, str]) -> web.StreamResponse:
    return _error(400, "bad_data", f"refused: {dict(request.headers)}")


def _canned(make: Callable[[Mapping[str, str]], web.Response]) -> Word:
    async def word(_: web.Request, form: Mapping[str, str]) -> web.StreamResponse:
        return make(form)

    return word


_BOMB = gzip.compress(b" " * 10_000_000)

WORDS: dict[str, Word] = {
    "matrix": _matrix,
    "empty": _empty,
    "gap": _gap,
    "nan": _canned(lambda form: _data(*_number(form, "NaN"))),
    "inf": _canned(lambda form: _data(*_number(form, "+Inf"))),
    "series": _canned(lambda form: _data(*_number(form, "1", "2"))),
    "string": _canned(lambda _: _data("string", [1, "a"])),
    "histogram": _canned(lambda _: _data("vector", [{"metric": {}, "histogram": [1, {"count": "1"}]}])),
    "scalar": _canned(lambda _: _data("scalar", [1])),
    "stamp": _canned(lambda form: _data(_number(form)[0], [{"metric": {}, "value": [1e99, "1"], "values": [[1e99, "1"]]}])),
    "html": _canned(lambda _: web.Response(text="<html><h1>Welcome</h1></html>", content_type="text/html")),
    "json": _canned(lambda _: web.json_response({"hello": "world"})),
    "deep": _canned(lambda _: web.Response(text="[" * 500_000)),
    "302": _canned(lambda _: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/login?secret"})),
    "401": _canned(lambda _: web.Response(status=401, text="go away")),
    "500": _canned(lambda _: web.Response(status=500, text="<h1>oops</h1>")),
    "503": _canned(lambda _: _error(503, "timeout", "query timed out in expression evaluation")),
    "internal": _canned(lambda _: _error(500, "internal", "storage is broken")),
    "execution": _canned(lambda _: _error(422, "execution", "many-to-many matching not allowed")),
    "slow": _slow,
    "drip": _drip,
    "huge": _huge,
    "bomb": _bomb,
    "reset": _reset,
    "half": _half,
    "echo": _echo,
}
