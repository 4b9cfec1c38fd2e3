"""What the tests of the command line share: the command line itself, and a real Tocsin for it to ask."""

import asyncio
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvloop
from typer.testing import CliRunner

from services.cli.__main__ import build
from services.process import Process, Settings, assemble, storage_lock
from services.runtime.clock import Clock


@dataclass(frozen=True)
class Outcome:
    """What a command said and how it ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Tocsin = Callable[..., Outcome]


def invoke(*args: str, **env: str) -> Outcome:
    """Run `tocsin …`."""
    result = CliRunner().invoke(build(), list(args), env=env, catch_exceptions=False)
    return Outcome(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def tocsin() -> Tocsin:
    """The command line."""
    return invoke


@dataclass(frozen=True)
class Running:
    """A Tocsin that runs, and the command line with its address and the administrator's token."""

    url: str
    storage: Path

    def __call__(self, *args: str, **env: str) -> Outcome:
        return invoke(*args, **{"TOCSIN_URL": self.url, "TOCSIN_STORAGE_PATH": str(self.storage)} | env)

    def done(self, *args: str) -> Any:
        """The JSON answer of a command that must succeed."""
        outcome = self(*args, "-o", "json")
        assert (outcome.status, outcome.err) == (0, "")
        return outcome.json


async def _serve(process: Process, up: threading.Event, stop: asyncio.Event) -> None:
    async with process.run():
        up.set()
        await stop.wait()


def _wait_ready(url: str) -> None:
    deadline = time.monotonic() + 20
    while not httpx2.get(f"{url}/-/ready").is_success:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """All of Tocsin in a thread, with its own storage."""
    storage, up = tmp_path_factory.mktemp("data"), threading.Event()
    with storage_lock(storage), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        loop, stop = runner.get_loop(), asyncio.Event()
        process = assemble(Settings(port=0, storage=storage), Clock())
        thread = threading.Thread(target=loop.run_until_complete, args=(_serve(process, up, stop),))
        thread.start()
        assert up.wait(20)
        _wait_ready(process.url)
        yield Running(process.url, storage)
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)


@contextmanager
def answering(
    status: int, body: str, date: str | None = None, heard: list[tuple[str, str, object]] | None = None
) -> Iterator[str]:
    """A server that always answers the same; yields its address. What it was sent is put into `heard`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            if heard is not None:
                heard.append((self.command, self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.do_GET()

        def do_POST(self) -> None:
            self.do_PUT()

        def do_DELETE(self) -> None:
            self.do_PUT()

        def do_GET(self) -> None:
            self.send_response_only(status)
            if date:
                self.send_header("Date", date)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
