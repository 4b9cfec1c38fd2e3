"""Alertmanager, asked for all alerts that are not over and for what mutes them. What goes wrong is a value in words.

All peers of a cluster are asked at once. They do not tell each other of alerts, only of silences; an alert is there if any of
them lists it. A list may hold 100,000 alerts: it is read piece by piece, and of what nobody asked for only names are kept.
"""

import asyncio
import ssl
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from pydantic import ValidationError

from schemas.vocabulary import FiringState
from services.orchestrator.adapters.alertmanager_words import Listed, Silence, Status, name_of, seen
from services.orchestrator.adapters.credentials import credentials
from services.orchestrator.adapters.jsonlist import JsonList
from services.orchestrator.domain.alerts.labels import one_line
from services.orchestrator.domain.alerts.reconcile import Answer, Reply, Seen
from services.orchestrator.domain.evidence.evidence import NoAnswer

MEGABYTE = 1024 * 1024
LARGEST_LIST, LARGEST_STATUS = 256 * MEGABYTE, 4 * MEGABYTE
"""Bytes. The status repeats Alertmanager's whole configuration."""

ALERTS = "/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true"
SILENCES = "/api/v2/silences"
STATUS = "/api/v2/status"

T = TypeVar("T")
Item = dict[str, Any]


class Refused(Exception):
    """The peer answered, but not what was asked for; says what, in words."""


@dataclass(frozen=True)
class Cluster:
    """Where all its peers are, how long an answer may take, and what to show them. The files hold their secret in the first
    line."""

    urls: tuple[str, ...]
    timeout: timedelta = timedelta(seconds=10)
    token_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None


@dataclass
class Peer:
    """What one of them said: since when it runs, the `wanted` alerts, the names of all, the silences that matter."""

    wanted: Collection[str]
    up_since: datetime | None = None
    listed: list[Listed] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    silences: dict[str, Silence] = field(default_factory=dict)
    unread: int = 0

    @property
    def trouble(self) -> str | None:
        return f"{self.unread} of its alerts cannot be read" if self.unread else None

    @property
    def silencing(self) -> set[str]:
        return {name for alert in self.listed for name in alert.silenced_by}

    def take(self, item: Item) -> None:
        """An alert of the list."""
        fingerprint = item.get("fingerprint")
        if not isinstance(fingerprint, str):
            self.unread += 1
            return
        self.names[fingerprint] = name_of(item)
        if fingerprint in self.wanted:
            try:
                self.listed.append(Listed.model_validate(item))
            except ValidationError:
                self.unread += 1


async def ask(cluster: Cluster, wanted: Collection[str], at: datetime) -> Reply:
    """What all peers, asked now, at `at`, say of the alerts with these fingerprints."""
    told = await _each(cluster, lambda http, url: _peer(http, url, wanted))
    words = {url: one.trouble if isinstance(one, Peer) else one for url, one in told.items()}
    troubles = {url: trouble for url, trouble in words.items() if trouble is not None}
    peers = [one for one in told.values() if isinstance(one, Peer)]
    starts = [peer.up_since for peer in peers if peer.up_since is not None]
    up_since = max(starts) if starts and len(starts) == len(peers) else None
    return Reply(Answer(at, complete=not troubles, alerts=_together(peers), up_since=up_since), troubles)


async def statuses(cluster: Cluster) -> dict[str, Status | str]:
    """By address what each peer says of itself, or in words what is wrong."""
    return await _each(cluster, _status)


Ask = Callable[[httpx2.AsyncClient, str], Coroutine[Any, Any, T]]


async def _each(cluster: Cluster, question: Ask[T]) -> dict[str, T | str]:
    """The answer of each peer; where there is none, in words why, without our secrets should it repeat them."""
    shown = credentials(cluster.token_file, cluster.username, cluster.password_file)
    if isinstance(shown, NoAnswer):
        return dict.fromkeys(cluster.urls, shown.sentence)
    seconds = cluster.timeout.total_seconds()
    # No redirects: the credentials go where the configuration says. No compression: sizes are what they seem.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", **shown.header}
    async with httpx2.AsyncClient(headers=headers, verify=_authorities(), trust_env=False, timeout=None) as http:
        told = await asyncio.gather(*(_attempt(question(http, url.rstrip("/")), seconds) for url in cluster.urls))
    safe = [shown.hidden(one) if isinstance(one, str) else one for one in told]
    return dict(zip(cluster.urls, safe, strict=True))


@cache
def _authorities() -> ssl.SSLContext:
    """The machine's own: an Alertmanager inside often has a certificate of the house."""
    return ssl.create_default_context()


async def _attempt(question: Coroutine[Any, Any, T], seconds: float) -> T | str:
    try:
        async with asyncio.timeout(seconds):
            return await question
    except TimeoutError:
        return f"did not answer within {seconds:g} s"
    except Refused as error:
        return str(error)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return f"cannot be asked: {one_line(str(error), 200) or type(error).__name__}"


async def _peer(http: httpx2.AsyncClient, url: str, wanted: Collection[str]) -> Peer:
    """The status comes last: one that has just started must not lend its empty list the age of the one before it."""
    peer = Peer(wanted)
    await _items(http, url + ALERTS, peer.take)
    if peer.silencing:
        peer.silences = await _silences(http, url, peer.silencing)
    peer.up_since = (await _status(http, url)).uptime
    return peer


async def _silences(http: httpx2.AsyncClient, url: str, needed: Collection[str]) -> dict[str, Silence]:
    """Those that are needed. Without them it is still known that an alert is silenced, only not by whom."""
    found: dict[str, Silence] = {}

    def take(item: Item) -> None:
        name = item.get("id")
        if isinstance(name, str) and name in needed:
            found[name] = Silence.model_validate(item)

    try:
        await _items(http, url + SILENCES, take)
    except Refused:
        return found
    return found


async def _status(http: httpx2.AsyncClient, url: str) -> Status:
    body = bytearray()
    await _read(http, url + STATUS, LARGEST_STATUS, body.extend)
    try:
        status = Status.model_validate_json(bytes(body))
    except ValidationError:
        status = Status()
    if status.uptime is None:
        raise Refused("its status is none of Alertmanager's: is the address right?")
    return status


async def _items(http: httpx2.AsyncClient, url: str, take: Callable[[Item], None]) -> None:
    """Every item of a list, as it arrives."""
    items = JsonList()

    def more(piece: bytes) -> None:
        for item in items.feed(piece):
            take(item)

    try:
        await _read(http, url, LARGEST_LIST, more)
        items.end()
    except ValueError as error:
        raise Refused(f"its answer is no list: {error}; is the address right?") from None


async def _read(http: httpx2.AsyncClient, url: str, most: int, take: Callable[[bytes], None]) -> None:
    async with http.stream("GET", url) as answer:
        _check(answer)
        size = 0
        async for piece in answer.aiter_raw():
            size += len(piece)
            if size > most:
                raise Refused(f"its answer is larger than {most // MEGABYTE} MB")
            take(piece)


def _check(answer: httpx2.Response) -> None:
    status = answer.status_code
    if answer.is_redirect:
        raise Refused(f"redirects to {one_line(answer.headers.get('location', ''), 200)}: expected the final address")
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise Refused(f"refuses us ({status}): expected token_file, or username and password_file, that it knows")
    if status == HTTPStatus.NOT_FOUND:
        raise Refused("has no API version 2 there (404): is the address right?")
    if status != HTTPStatus.OK:
        raise Refused(f"answers {status}")
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise Refused("answers compressed, which was not asked for")


def _together(peers: Sequence[Peer]) -> dict[str, Seen]:
    found: dict[str, Seen] = {}
    for peer in peers:
        for alert in peer.listed:
            one = seen(alert, peer.silences, peer.names)
            other = found.get(alert.fingerprint)
            found[alert.fingerprint] = one if other is None else _both(other, one)
    return found


def _both(one: Seen, other: Seen) -> Seen:
    """Where they disagree somebody will be told that it fires, so it fires; it ends when the last of them says so."""
    ends = max((seen.ends_at for seen in (one, other) if seen.ends_at is not None), default=None)
    return replace(other if other.state is FiringState.FIRING else one, ends_at=ends)
