"""A whole Tocsin on a free port, with a temporary folder that is removed afterwards, and how the story asks it."""

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from services.cli.webhook import PATH, Alert, body
from services.process import Process, Settings, assemble
from services.runtime.auth import new_token, token_hash
from services.runtime.clock import Clock
from services.runtime.lifecycle import signals

PATIENCE = 10.0
"""Seconds within which each step must have happened."""
QUIET = 2
"""Seconds of quiet after which mitigation is proposed; five minutes by default."""

_CONFIG = """\
timers: {{quiet_period: {quiet}s}}
people: [{{id: ann, name: Ann}}]
access:
  tokens:
    - {{name: alertmanager, sha256: "{sender}", scopes: [alerts]}}
    - {{name: ann-cli, sha256: "{person}", scopes: [read, respond], person: ann}}
"""

T = TypeVar("T")
Json = dict[str, Any]


class Missed(Exception):
    """Something that should have happened did not."""


class Stage:
    """Alertmanager's and Ann's hands on a running Tocsin."""

    def __init__(self, process: Process, http: httpx2.AsyncClient, sender: str, person: str) -> None:
        self.url, self.person = process.url, person
        self._process, self._http, self._sender = process, http, sender
        self._clock, self._seen = Clock(), 0
        self._started: dict[str, datetime] = {}

    def now(self) -> datetime:
        return self._clock.now()

    async def fire(self, labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
        """Alertmanager notifies that an alert fires; returns its fingerprint."""
        alert = Alert(labels, annotations, starts_at=self.now())
        self._started[alert.fingerprint] = alert.starts_at
        await self._ask("POST", PATH, self._sender, body([alert]))
        return alert.fingerprint

    async def end(self, labels: Mapping[str, str], annotations: Mapping[str, str]) -> None:
        """Alertmanager notifies that the alert is over."""
        started = self._started[Alert(labels, starts_at=self.now()).fingerprint]
        alert = Alert(labels, annotations, starts_at=started, ends_at=self.now())
        await self._ask("POST", PATH, self._sender, body([alert]))

    async def act(self, path: str, **said: str) -> Json:
        """Ann does something to the incident."""
        return await self._ask("POST", f"/api/v1/incidents/{path}", self.person, said)

    async def get(self, path: str) -> Json:
        """Ann asks."""
        return await self._ask("GET", path, self.person)

    async def decision(self, fingerprint: str) -> Json:
        """What was decided about an alert, once it is."""

        async def look() -> Json | None:
            answer = await self._http.get(f"/api/v1/alerts/{fingerprint}/explain", headers=_bearer(self.person))
            firings: Sequence[Json] = answer.json()["firings"] if answer.is_success else ()
            return firings[0]["decision"] if firings else None

        return await self.until("the decision about the alert", look)

    async def event(self, incident: str, kind: str) -> Json:
        """The next line of that kind in the incident's timeline."""

        async def look() -> Json | None:
            timeline = await self.get(f"/api/v1/incidents/{incident}/timeline")
            wanted = f"tocsin.incident.{kind}.v1"
            return next((line for line in timeline["items"] if line["type"] == wanted and line["seq"] > self._seen), None)

        line = await self.until(f"“{kind}” in the timeline of {incident}", look)
        self._seen = line["seq"]
        return line

    async def until(self, what: str, look: Callable[[], Awaitable[T | None]]) -> T:
        """What `look` finds, as soon as it finds it; raises `Missed` after some seconds."""
        end = self._clock.monotonic() + PATIENCE
        while (found := await look()) is None:
            if self._clock.monotonic() > end:
                raise Missed(f"waited {PATIENCE:g} s in vain for {what}")
            await self._clock.sleep(0.05)
        return found

    async def ready(self) -> None:
        """Wait until every part works."""

        async def look() -> bool | None:
            return (await self._http.get("/-/ready")).is_success or None

        await self.until("Tocsin to be ready", look)

    async def _ask(self, method: str, path: str, token: str, said: object = None) -> Json:
        answer = await self._http.request(method, path, json=said, headers=_bearer(token))
        if not answer.is_success:
            raise Missed(f"{method} {path} was answered {answer.status_code}: {answer.text[:500]}")
        found: Json = answer.json()
        return found


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Tocsin runs inside, and is gone afterwards with all it stored."""
    with tempfile.TemporaryDirectory(prefix="tocsin-demo-") as name:
        folder, sender, person = Path(name), new_token(), new_token()
        file = folder / "tocsin.yaml"
        file.write_text(_CONFIG.format(quiet=QUIET, sender=token_hash(sender), person=token_hash(person)))
        # Known before the start, since the messages link to it.
        settings = Settings(port=_free_port(), storage=folder / "data", config_file=file)
        process = assemble(settings, Clock())
        async with process.run(), _client(process.url) as http:
            scene = Stage(process, http, sender, person)
            await scene.ready()
            yield scene


def _client(url: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def interrupted() -> None:
    """Return when the person has seen enough (Ctrl-C or SIGTERM)."""
    enough = asyncio.Event()
    with signals(enough.set, lambda: None):
        await enough.wait()
