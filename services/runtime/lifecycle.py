"""The life of a process: start its parts, serve, and give everything back in reverse order within a bounded time."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import structlog
import uvicorn
from fastapi import APIRouter
from starlette.types import ASGIApp, Receive, Scope, Send

from services.runtime.errors import AddressTaken, Unavailable
from services.runtime.metrics import RuntimeMetrics
from services.runtime.web import unavailable

log = structlog.get_logger(__name__)

DRAIN = 5.0
"""Seconds that open requests have to end after SIGTERM."""
STOP, LOOPS = 4.0, 3.3
"""Seconds that loops and parts then have together, and the loops alone: the whole stop stays below 10, whatever is dead."""

Loop = Callable[[], Awaitable[None]]


async def _nothing() -> None:
    return None


def _ready() -> list[str]:
    return []


@dataclass
class Part:
    """What a service brings into a process.

    `loops` run from start to stop and are started again after an unexpected error. `hot` maps path prefixes to plain ASGI
    applications that answer before the web framework is asked. `readiness` says in words what keeps the part from being ready.
    """

    name: str
    start: Callable[[], Awaitable[None]] = _nothing
    stop: Callable[[], Awaitable[None]] = _nothing
    loops: Mapping[str, Loop] = field(default_factory=dict)
    routers: Sequence[APIRouter] = ()
    hot: Mapping[str, ASGIApp] = field(default_factory=dict)
    readiness: Callable[[], list[str]] = _ready


class Dispatch:
    """One application: the hot paths first, everything else to `web`. Until `open` only the operator's endpoints answer."""

    def __init__(self, hot: Mapping[str, ASGIApp], web: ASGIApp) -> None:
        self._hot, self._web, self.open = tuple(hot.items()), web, False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._choose(scope)(scope, receive, send)

    def _choose(self, scope: Scope) -> ASGIApp:
        if scope["type"] != "http":
            return self._web
        path: str = scope["path"]
        if not self.open and not path.startswith(("/-/", "/metrics")):
            return unavailable("Tocsin is starting.").response()
        return next((application for prefix, application in self._hot if path.startswith(prefix)), self._web)


@asynccontextmanager
async def running(parts: Sequence[Part], metrics: RuntimeMetrics) -> AsyncIterator[None]:
    """All parts started, their loops running; stopped in reverse order at the end, whatever happened."""
    started: list[Part] = []
    tasks: list[asyncio.Task[None]] = []
    try:
        for part in parts:
            started.append(part)
            await _start(part)
        for part in parts:
            for name, loop in part.loops.items():
                full = f"{part.name}.{name}"
                tasks.append(asyncio.create_task(_forever(full, loop, metrics), name=full))
        yield
    finally:
        await _stop(tasks, started)


async def _start(part: Part) -> None:
    """A part that stands on something away waits for it; the process answers 503 meanwhile."""
    while True:
        try:
            await part.start()
            return
        except Unavailable as error:
            log.warning("start_waits", part=part.name, reason=error.detail)
            await asyncio.sleep(1.0)


async def _stop(tasks: Sequence[asyncio.Task[None]], started: Sequence[Part]) -> None:
    """By one deadline: what has not ended by then is left to the end of the process."""
    begun = asyncio.get_running_loop().time()
    for task in tasks:
        task.cancel()
    await _ended({task.get_name(): task for task in tasks}, begun + LOOPS)
    for part in reversed(started):
        # One part that cannot stop must not keep the others, so each gets at least a moment.
        await _ended({part.name: asyncio.ensure_future(part.stop())}, begun + STOP)


async def _ended(what: Mapping[str, asyncio.Future[None]], deadline: float) -> None:
    if what:
        await asyncio.wait(what.values(), timeout=max(0.05, deadline - asyncio.get_running_loop().time()))
    for name, future in what.items():
        if not future.done():
            log.error("stop_given_up", what=name)
            future.add_done_callback(_forget)
            future.cancel()
        elif not future.cancelled() and (error := future.exception()):
            log.error("stop_failed", what=name, exc_info=error)


def _forget(future: asyncio.Future[None]) -> None:
    """Whatever becomes of it, nobody wants to hear of it any more."""
    if not future.cancelled():
        future.exception()


async def _forever(name: str, loop: Loop, metrics: RuntimeMetrics) -> None:
    metrics.loop_failures.labels(name)
    task = asyncio.current_task()
    # A loop may swallow its cancellation, as some libraries do; it must not be started again then.
    while task is not None and not task.cancelling():
        try:
            await loop()
        except Exception:  # the edge of the loop: counted, logged, started again
            log.exception("loop_failed", loop=name)
            metrics.loop_failures.labels(name).inc()
            await asyncio.sleep(1.0)


def bind(host: str, port: int) -> socket.socket:
    """A socket at this address (0 asks for a free port), not yet listening; raises `AddressTaken`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise AddressTaken(f"cannot listen on {host}:{port}: {error.strerror}") from None
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a socket can be reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """uvicorn without its signal handling, which knows no SIGHUP; ours is in `signals`."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class WebServer:
    """Serves one application until told to stop."""

    def __init__(self, application: ASGIApp, listener: socket.socket, *, limit: int = 1000) -> None:
        config = uvicorn.Config(
            application,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=65,
            timeout_graceful_shutdown=int(DRAIN),
            limit_concurrency=limit,
            lifespan="off",
        )
        self._server, self._listener = _Server(config), listener
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when requests are answered."""
        self._task = asyncio.create_task(self._server.serve([self._listener]), name="web")
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise OSError("the web server ended at once")
            await asyncio.sleep(0.005)

    def close(self) -> None:
        """Give the address back."""
        self._listener.close()

    async def stop(self) -> None:
        """Refuse new connections, let open requests end within `DRAIN` seconds."""
        self._server.should_exit = True
        task, self._task = self._task, None
        if task:
            await asyncio.wait([task], timeout=DRAIN + 0.5)


@contextmanager
def signals(stop: Callable[[], None], reload: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT stop, SIGHUP reloads."""
    loop = asyncio.get_running_loop()
    actions = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}
    for number, action in actions.items():
        loop.add_signal_handler(number, action)
    try:
        yield
    finally:
        for number in actions:
            loop.remove_signal_handler(number)
