"""Prometheus, asked for one number at a time. Each question is bounded in time and size, and each failure is a value.

Nothing that is said about a failure holds a secret.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httpx2

from services.orchestrator.adapters.credentials import credentials
from services.orchestrator.adapters.reading import read_latest, read_window
from services.orchestrator.domain.alerts.labels import one_line
from services.orchestrator.domain.evidence.evidence import Cause, NoAnswer, Sample

T = TypeVar("T")

PARALLEL = 4
"""Questions under way at once; the others wait for their turn, which does not count as their time."""
LARGEST = 1024 * 1024
"""Bytes of an answer; one number has about 200."""


@dataclass(frozen=True)
class Target:
    """Where Prometheus is, how long an answer may take, and what to show it. The files hold their secret in the first line."""

    url: str
    timeout: timedelta = timedelta(seconds=5)
    token_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None


@asynccontextmanager
async def prometheus(target: Target) -> AsyncIterator["Prometheus"]:
    """A Prometheus to ask for a while. Secrets are read anew each time, so they may change without a reload."""
    # No redirects: the credentials go where the configuration says. A proxy of the environment is not asked either.
    async with httpx2.AsyncClient(follow_redirects=False, trust_env=False, timeout=None, verify=_authorities()) as http:
        yield Prometheus(target, http)


class Prometheus:
    """Answers numbers, or in words why there is none."""

    def __init__(self, target: Target, http: httpx2.AsyncClient) -> None:
        self._http, self._url, self._where = http, target.url.rstrip("/"), _shown(target.url)
        self._timeout = target.timeout.total_seconds()
        self._credentials = credentials(target.token_file, target.username, target.password_file)
        self._turn = asyncio.Semaphore(PARALLEL)

    async def window(self, query: str, start: datetime, end: datetime, step: timedelta) -> Sequence[Sample] | NoAnswer:
        """The values from `start` to `end`, one each `step`, as far as there are any."""
        times = {"start": _stamp(start), "end": _stamp(end), "step": f"{step.total_seconds():.3f}"}
        answer = await self._ask("query_range", {"query": query, **times})
        return self._safe(answer if isinstance(answer, NoAnswer) else read_window(*answer))

    async def latest(self, query: str, at: datetime) -> Sample | NoAnswer:
        """The value at a moment."""
        answer = await self._ask("query", {"query": query, "time": _stamp(at)})
        return self._safe(answer if isinstance(answer, NoAnswer) else read_latest(*answer))

    async def _ask(self, what: str, form: Mapping[str, str]) -> tuple[int, bytes] | NoAnswer:
        if isinstance(self._credentials, NoAnswer):
            return self._credentials
        async with self._turn:
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._exchange(f"{self._url}/api/v1/{what}", form, self._credentials.header)
            except TimeoutError:
                return NoAnswer(Cause.TIMEOUT, f"no answer from {self._where} within {self._timeout:g} s")
            except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
                return NoAnswer(Cause.UNREACHABLE, f"{self._where} cannot be asked: {_why(error)}")

    async def _exchange(self, url: str, form: Mapping[str, str], credentials: Mapping[str, str]) -> tuple[int, bytes] | NoAnswer:
        # Uncompressed, and read as it is: what grows on being unpacked has no bound. Two series tell that there are several.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", **credentials}
        asked, body = {**form, "timeout": f"{self._timeout:.3f}", "limit": "2"}, bytearray()
        async with self._http.stream("POST", url, data=asked, headers=headers) as answer:
            async for piece in answer.aiter_raw():
                body += piece
                if len(body) > LARGEST:
                    hint = "does the query return many series? wrap it, e.g. sum(…)"
                    return NoAnswer(Cause.GARBAGE, f"expected one number, got more than {LARGEST:,} bytes; {hint}")
        return answer.status_code, bytes(body)

    def _safe(self, answer: T | NoAnswer) -> T | NoAnswer:
        """The answer without our secrets, should a server repeat them."""
        if not isinstance(answer, NoAnswer) or isinstance(self._credentials, NoAnswer):
            return answer
        return replace(answer, sentence=self._credentials.hidden(answer.sentence))


@cache
def _authorities() -> ssl.SSLContext:
    """The machine's own: a Prometheus inside often has a certificate of the house."""
    return ssl.create_default_context()


def _stamp(moment: datetime) -> str:
    return f"{moment.timestamp():.3f}"


def _shown(url: str) -> str:
    """The address without what may be secret in it."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    except ValueError:
        return "prometheus.url"


_WORDS = {
    httpx2.InvalidURL: "that is no address",
    httpx2.UnsupportedProtocol: "the address must begin with http:// or https://",
    httpx2.RemoteProtocolError: "the connection was closed, or HTTP is not spoken there",
    httpx2.NetworkError: "the connection broke",
}


def _why(error: Exception) -> str:
    """In words that cannot hold a header: only an error of connecting is quoted."""
    if isinstance(error, httpx2.ConnectError) and str(error):
        return one_line(str(error), 200)
    return next((words for kind, words in _WORDS.items() if isinstance(error, kind)), type(error).__name__)
