"""A stand-in for Slack's Web API: a real HTTP server on 127.0.0.1 that keeps messages and refuses by Slack's own rules.

    async with SlackServer() as slack:
        channel = SlackChannel(slack.token, slack.url)

**Faults.** `slack.faults.append("429(3)")` spoils the next call; `"chat.update:429(3)"` the next of that method:

    ok · delay(seconds) · 429(retry_after) · ok_false(error) · garbage · html · huge · redirect
    500_before · 500_after · timeout_before · timeout_after · reset_before · reset_after

`*_after` means that the effect has happened, `delay` that it will, the others that it has not. `timeout` never answers.

As a process: `python -m tests.support.slack --port 0 [--rate 1] [--token …]` prints its address; others look at
`GET /_messages` and `GET /_calls` and spoil calls by `POST /_faults` with a JSON list.
"""

import argparse
import asyncio
import json
import re
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from aiohttp import web

from tests.support.slack_rules import Refused, check_message

Answer = dict[str, Any]
TOKEN = "xoxb-stand-in-7f3a91c4"
_FAULT = re.compile(r"(?:(?P<method>[\w.]+):)?(?P<name>\w+)(?:\((?P<value>[^()]*)\))?")
_FAULTS = {"ok", "delay", "429", "ok_false", "garbage", "html", "huge", "redirect"} | {
    f"{what}_{when}" for what in ("500", "timeout", "reset") for when in ("before", "after")
}


@dataclass(frozen=True)
class Fault:
    """How a call is spoiled; `value` is seconds, Retry-After or an error word."""

    name: str
    value: str = ""
    method: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises `ValueError` for what is not in the grammar above."""
        found = _FAULT.fullmatch(text)
        if found is None or found["name"] not in _FAULTS:
            raise ValueError(f"no such fault: {text}")
        return cls(found["name"], found["value"] or "", found["method"])


@dataclass(frozen=True)
class Call:
    """A call as it came. `outcome` is `ok`, Slack's error word, or the fault that spoiled it; times are seconds."""

    method: str
    args: dict[str, Any]
    outcome: str
    monotonic: float
    wall: float


@dataclass
class Room:
    """A Slack channel."""

    id: str
    name: str
    member: bool = True
    archived: bool = False
    messages: list[dict[str, Any]] = field(default_factory=list)
    """In the order of their ts."""
    last_post: float = float("-inf")

    def get(self, ts: str | None) -> dict[str, Any] | None:
        return next((message for message in self.messages if message["ts"] == ts), None)

    def thread(self, ts: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if ts in (message["ts"], message.get("thread_ts"))]

    def info(self) -> Answer:
        return {"id": self.id, "name": self.name, "is_member": self.member, "is_archived": self.archived}


class SlackServer:
    """See the module's docstring. `rate` is the seconds between two posts to a channel; 0 is no limit."""

    def __init__(self, token: str = TOKEN, rate: float = 0, port: int = 0) -> None:
        self.token, self.rate, self.port = token, rate, port
        self.rooms = [Room("C0INCIDENTS", "incidents"), Room("C0RANDOM", "random")]
        self.faults: list[str] = []
        self.calls: list[Call] = []
        self.unexpected: list[str] = []
        self._last_ts = 0
        self._changed, self._stopped = asyncio.Condition(), asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._methods: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "auth.test": self._auth_test,
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "conversations.history": self._history,
            "conversations.info": lambda args: {"channel": self.room(args.get("channel")).info()},
            "conversations.list": self._list,
            "conversations.replies": self._replies,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; an unset `port` becomes the one the system gave, so a stopped server starts again at its address."""
        app = web.Application(client_max_size=1024 * 1024)
        app.router.add_route("*", "/api/{method}", self._serve)
        app.router.add_get("/_messages", self._show_messages)
        app.router.add_get("/_calls", self._show_calls)
        app.router.add_post("/_faults", self._take_faults)
        self._stopped.clear()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Drop all connections, also those that wait for an answer that never comes. Messages are kept."""
        self._stopped.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def room(self, name: str | None, *, by_name: bool = False) -> Room:
        """By id, and where Slack allows it by name. Raises `Refused`."""
        for room in self.rooms:
            if room.id == name or (by_name and room.name == (name or "").removeprefix("#")):
                return room
        raise Refused("channel_not_found")

    def messages(self, name: str = "incidents") -> list[dict[str, Any]]:
        """What people see in a channel, oldest first, replies among them."""
        return self.room(name, by_name=True).messages

    async def wait_for(self, predicate: Callable[["SlackServer"], bool], timeout: float = 5) -> None:
        """Until it holds after some call; raises `TimeoutError` after `timeout` seconds."""
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(lambda: predicate(self))

    def assert_clean(self) -> None:
        """Raises `AssertionError` when somebody called a method that nobody expects, or a fault was misspelt."""
        assert not self.unexpected, f"unexpected calls: {self.unexpected}"

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        args = await _arguments(request)
        fault = self._next_fault(method)
        if fault.name == "delay":
            await self._wait(float(fault.value))
        answer, outcome = self._outcome(request, method, args, fault)
        self.calls.append(Call(method, args, outcome, time.monotonic(), time.time()))
        async with self._changed:
            self._changed.notify_all()
        return await self._answer(request, fault, answer)

    def _next_fault(self, method: str) -> Fault:
        for index, text in enumerate(self.faults):
            fault = self._parse(text)
            if fault.method in (None, method):
                del self.faults[index]
                return fault
        return Fault("ok")

    def _parse(self, text: str) -> Fault:
        try:
            return Fault.parse(text)
        except ValueError:
            self.unexpected.append(f"fault {text}")
            raise

    def _outcome(self, request: web.Request, method: str, args: dict[str, Any], fault: Fault) -> tuple[Answer, str]:
        if fault.name == "ok_false":
            return {"ok": False, "error": fault.value}, fault.value
        if fault.name not in ("ok", "delay") and not fault.name.endswith("_after"):
            return {}, fault.name
        try:
            answer = {"ok": True, **self._execute(request, method, args)}
        except Refused as refused:
            return {"ok": False, "error": refused.word}, refused.word
        return answer, "ok" if fault.name == "delay" else fault.name

    def _execute(self, request: web.Request, method: str, args: dict[str, Any]) -> Answer:
        if method not in self._methods:
            self.unexpected.append(method)
            raise Refused("unknown_method")
        given = request.headers.get("Authorization")
        if given != f"Bearer {self.token}":
            raise Refused("invalid_auth" if given else "not_authed")
        return self._methods[method](args)

    async def _answer(self, request: web.Request, fault: Fault, answer: Answer) -> web.StreamResponse:
        kind = fault.name.partition("_")[0]
        wait = fault.value or "1"
        if answer.get("error") == "ratelimited":
            kind = "429"
        match kind:
            case "timeout":
                await self._stopped.wait()
            case "reset":
                _reset(request)
            case "429":
                return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": wait})
        return _SPOILED.get(kind, lambda: web.json_response(answer))()

    async def _wait(self, seconds: float) -> None:
        """A pause of the server, cut short when it stops."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
        except TimeoutError:
            return

    def _auth_test(self, _args: dict[str, Any]) -> Answer:
        return {
            "url": "https://stand-in.slack.example/",
            "team_id": "T0STANDIN",
            "user_id": "U0TOCSIN",
            "bot_id": "B0TOCSIN",
        }

    def _post(self, args: dict[str, Any]) -> Answer:
        room = self.room(args.get("channel"), by_name=True)
        if room.archived or not room.member:
            raise Refused("is_archived" if room.archived else "not_in_channel")
        check_message(args)
        now = time.monotonic()
        if now - room.last_post < self.rate:
            raise Refused("ratelimited")
        room.last_post = now
        message = {"type": "message", "user": "U0TOCSIN", "bot_id": "B0TOCSIN", "ts": self._new_ts(), **_content(args)}
        if "thread_ts" in args:
            message["thread_ts"] = args["thread_ts"]
        room.messages.append(message)
        return {"channel": room.id, "ts": message["ts"], "message": message}

    def _update(self, args: dict[str, Any]) -> Answer:
        room = self.room(args.get("channel"))
        message = room.get(args.get("ts"))
        if message is None:
            raise Refused("message_not_found")
        check_message(args)
        message.update(_content(args), edited={"user": "U0TOCSIN", "ts": self._new_ts()})
        return {"channel": room.id, "ts": message["ts"], "text": message["text"]}

    def _history(self, args: dict[str, Any]) -> Answer:
        messages = self.room(args.get("channel")).messages
        roots = [message for message in messages if message.get("thread_ts") in (None, message["ts"])]
        recent = [message for message in reversed(roots) if float(message["ts"]) > float(args.get("oldest", 0))]
        return _page("messages", _with_metadata(recent, args), args)

    def _replies(self, args: dict[str, Any]) -> Answer:
        """The root always comes first, however old."""
        room, root = self.room(args.get("channel")), args.get("ts", "")
        if room.get(root) is None:
            raise Refused("thread_not_found")
        oldest = float(args.get("oldest", 0))
        recent = [each for each in room.thread(root) if each["ts"] == root or float(each["ts"]) > oldest]
        return _page("messages", _with_metadata(recent, args), args)

    def _list(self, args: dict[str, Any]) -> Answer:
        return _page("channels", [room.info() for room in self.rooms], args)

    def _new_ts(self) -> str:
        """Unix time in microseconds, unique and growing."""
        self._last_ts = max(self._last_ts + 1, time.time_ns() // 1000)
        return f"{self._last_ts // 10**6}.{self._last_ts % 10**6:06d}"

    async def _show_messages(self, _request: web.Request) -> web.Response:
        return web.json_response({room.name: room.messages for room in self.rooms})

    async def _show_calls(self, _request: web.Request) -> web.Response:
        return web.json_response({"calls": [asdict(call) for call in self.calls], "unexpected": self.unexpected})

    async def _take_faults(self, request: web.Request) -> web.Response:
        self.faults.extend(await request.json())
        return web.json_response({"faults": self.faults})


_SPOILED: dict[str, Callable[[], web.Response]] = {
    "500": lambda: web.Response(status=500, text="upstream broke"),
    "garbage": lambda: web.Response(body=b'{"ok": tr\xff', content_type="application/json"),
    "html": lambda: web.Response(text="<html>Sign in to the hotel's network</html>", content_type="text/html"),
    "huge": lambda: web.Response(body=b"[" * 8 * 1024 * 1024, content_type="application/json"),
    "redirect": lambda: web.Response(status=307, headers={"Location": "/api/auth.test"}),
}


async def _arguments(request: web.Request) -> dict[str, Any]:
    """From the query and a JSON or form body; in a form, Slack takes structures as JSON and booleans as 1 or true."""
    given: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        return {**given, **await request.json()}
    given.update({name: str(value) for name, value in (await request.post()).items()})
    return {name: json.loads(value) if value[:1] in {"[", "{"} else value for name, value in given.items()}


def _reset(request: web.Request) -> None:
    """End the connection by RST, not FIN."""
    if request.transport is None:
        return
    connection: socket.socket = request.transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()


def _content(args: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {name: args[name] for name in ("blocks", "metadata") if name in args}
    return {"text": args.get("text", ""), **kept}


def _with_metadata(messages: list[dict[str, Any]], args: dict[str, Any]) -> list[dict[str, Any]]:
    if str(args.get("include_all_metadata", "")).lower() in {"1", "true"}:
        return messages
    return [{name: value for name, value in message.items() if name != "metadata"} for message in messages]


def _page(name: str, items: list[dict[str, Any]], args: dict[str, Any]) -> Answer:
    begin, limit = int(args.get("cursor") or 0), int(args.get("limit", 100))
    end = begin + limit
    more = end < len(items)
    answer: Answer = {name: items[begin:end], "has_more": more}
    return answer | {"response_metadata": {"next_cursor": str(end) if more else ""}}


async def _run(port: int, rate: float, token: str) -> None:
    async with SlackServer(token, rate, port) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A stand-in for Slack's Web API")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rate", type=float, nargs="?", const=1.0, default=0.0, help="seconds between posts to a channel")
    parser.add_argument("--token", default=TOKEN)
    given = parser.parse_args()
    try:
        asyncio.run(_run(given.port, given.rate, given.token))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
