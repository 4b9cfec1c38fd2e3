"""Tocsin under test: in this process, or as child processes with environments of their own; and a client that waits."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from schemas.alerts import AlertReceived
from services.process import Process, Settings, assemble
from services.runtime.clock import Clock
from tests.builders import webhook
from tests.support.processes import free_port

T = TypeVar("T")
TOKEN = "tocsin_test-administrator"
ROOT = Path(__file__).parents[2]


@dataclass
class Client:
    """Speaks HTTP with Tocsin as its administrator. The three services may listen at different addresses."""

    ingest: str
    orchestrator: str
    notifier: str
    http: httpx2.AsyncClient = field(
        default_factory=lambda: httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=15)
    )

    async def send(self, *alerts: AlertReceived, **more: Any) -> httpx2.Response:
        """Post a webhook as Alertmanager would."""
        return await self.http.post(f"{self.ingest}/webhooks/alertmanager", json=webhook(*alerts, **more))

    async def get(self, path: str, **query: Any) -> Any:
        """An answer of the orchestrator; raises when it is no 2xx."""
        return (await self.http.get(f"{self.orchestrator}/api/v1{path}", params=query)).raise_for_status().json()

    async def post(self, path: str, **body: Any) -> httpx2.Response:
        return await self.http.post(f"{self.orchestrator}/api/v1{path}", json=body)

    async def put(self, path: str, **body: Any) -> httpx2.Response:
        return await self.http.put(f"{self.orchestrator}/api/v1{path}", json=body)

    async def deliveries(self, **query: Any) -> list[dict[str, Any]]:
        answer = await self.http.get(f"{self.notifier}/api/v1/deliveries", params=query)
        items: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
        return items

    async def all(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """Every item of a list, page by page."""
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = await self.get(path, limit=500, **query, **({"cursor": cursor} if cursor else {}))
            items += page["items"]
            cursor = page["next"]
            if cursor is None:
                return items

    async def incident(self, name: str = "INC-1") -> dict[str, Any]:
        found: dict[str, Any] = await self.get(f"/incidents/{name}")
        return found

    async def close(self) -> None:
        await self.http.aclose()


async def eventually(
    look: Callable[[], Awaitable[T]], holds: Callable[[T], object], within: float = 20.0, *, every: float = 0.02
) -> T:
    """Look until it holds; fails with what was last seen. Only for what happens behind a process border."""
    deadline, seen = time.monotonic() + within, "nothing"
    while time.monotonic() < deadline:
        try:
            value = await look()
            if holds(value):
                return value
            seen = json.dumps(value, default=str)[:3000]
        except (httpx2.HTTPError, KeyError) as error:
            seen = repr(error)
        await asyncio.sleep(every)
    raise AssertionError(f"did not happen within {within} s; last seen: {seen}")


@asynccontextmanager
async def in_process(
    folder: Path, *, config: str = "", clock: Clock | None = None, **settings: Any
) -> AsyncIterator[tuple[Process, Client]]:
    """All three services in this process, embedded unless `kafka` and `database` are given."""
    file = folder / "tocsin.yaml"
    file.write_text(config)
    given = Settings(port=0, storage=folder / "data", config_file=file, admin_token=TOKEN, **settings)
    process = assemble(given, clock or Clock())
    async with process.run():
        client = Client(process.url, process.url, process.url)
        try:
            yield process, client
        finally:
            await client.close()


@dataclass
class Child:
    """One `tocsin serve` as a child process with an environment of its own."""

    target: str
    folder: Path
    environment: Mapping[str, str]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.target}.log"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = os.environ["PATH"]
        environment = {"PATH": path, "TOCSIN_ADMIN_TOKEN": TOKEN, "PYTHONPATH": str(ROOT), **self.environment}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "services", "serve", self.target, "--web.listen-address", f"127.0.0.1:{self.port}",
                    "--storage.path", str(self.folder / "data"), "--log.format", "logfmt",
                ],
                env=environment, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    async def ready(self, within: float = 30.0) -> None:
        """Wait for `/-/ready`; fails with the end of the log when the process ended instead."""
        deadline = time.monotonic() + within
        async with httpx2.AsyncClient() as http:
            while time.monotonic() < deadline:
                assert self.process is not None
                assert self.process.poll() is None, self.log.read_text()[-3000:]
                try:
                    if (await http.get(f"{self.url}/-/ready")).status_code == 200:
                        return
                except httpx2.HTTPError:
                    pass
                await asyncio.sleep(0.02)
        raise AssertionError(f"{self.target} was not ready within {within} s: {self.log.read_text()[-3000:]}")

    def kill(self) -> None:
        """kill -9, and wait for it to be gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    async def terminate(self, within: float = 10.0) -> int:
        """SIGTERM; the exit code. Fails when it takes longer."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, within)

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None


@asynccontextmanager
async def children(
    folder: Path, targets: Sequence[str], environment: Mapping[str, str]
) -> AsyncIterator[tuple[dict[str, Child], Client]]:
    """Child processes, started and ready, killed at the end; `all` is one process, else one each with a folder of its own."""
    started = {target: Child(target, folder / target, environment) for target in targets}
    try:
        for child in started.values():
            child.start()
        for child in started.values():
            await child.ready()
        client = _client(started)
        yield started, client
        await client.close()
    finally:
        for child in started.values():
            if child.alive():
                child.kill()


def _client(started: Mapping[str, Child]) -> Client:
    ingest, orchestrator, notifier = (started.get(name, started.get("all")) for name in ("ingest", "orchestrator", "notifier"))
    assert ingest and orchestrator and notifier
    return Client(ingest.url, orchestrator.url, notifier.url)
