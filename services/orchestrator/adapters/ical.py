"""Calendars, from an address or a file. Each answer is bounded in time and size, and each failure is a value.

Addresses of calendars are secrets: nothing that is said holds more of one than the host.
"""

import asyncio
import hashlib
import json
import ssl
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from functools import cache
from http import HTTPStatus
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

import httpx2

from services.orchestrator.domain.alerts.labels import one_line
from services.orchestrator.domain.duty.calendars import Entry, Fetched, NoFeed, Unchanged
from services.runtime.addresses import ForbiddenAddress, Resolve, permitted, resolve
from services.windows import moment_of

LARGEST = 5 * 1024 * 1024
"""Bytes of a calendar."""
PATIENCE = 15.0
"""Seconds that the source has."""
MOST_EVENTS = 5_000
COMPUTING = 8
"""Seconds that taking it apart may take."""
LONGEST_REASON = 200
_CHILD = Path(__file__).with_name("icalchild.py")
_MOST_ADDRESSES = 3


@dataclass(frozen=True)
class Place:
    """Where a calendar is: at an address, at the one that stands in the first line of a file, or in a file itself.

    `allowed` are hosts that may be asked though their addresses are not of the open internet.
    """

    url: str | None = field(default=None, repr=False)
    url_file: Path | None = None
    file: Path | None = None
    allowed: tuple[str, ...] = ()


class _Refused(Exception):
    """There is no calendar; says in words why."""


async def fetch(
    place: Place, tag: str | None, patience: float = PATIENCE, resolve: Resolve = resolve
) -> Fetched | Unchanged | NoFeed:
    """The calendar as it is now. `tag` is the one of the copy that we have."""
    try:
        if place.file is not None:
            return _known(await asyncio.to_thread(_read, place.file, LARGEST), tag)
        url = place.url if place.url_file is None else (await asyncio.to_thread(_read, place.url_file, 10_000)).decode()
        target = _target((url or "").partition("\n")[0].strip())
        async with asyncio.timeout(patience):
            return await _ask(target, await _addresses(target, place.allowed, resolve), tag)
    except TimeoutError:
        return NoFeed(f"no answer within {patience:g} s")
    except _Refused as error:
        return NoFeed(str(error))
    except ForbiddenAddress as error:
        return NoFeed(f"{error}, which is not asked; list the host under feeds.allow if it is meant")
    except UnicodeDecodeError:
        return NoFeed(f"{place.url_file} holds no address: it is not UTF-8")


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            body = file.read(most + 1)
    except OSError as error:
        raise _Refused(f"{path} cannot be read: {error.strerror}") from None
    if len(body) > most:
        raise _Refused(f"{path} has more than {most:,} bytes")
    return body


def _known(body: bytes, tag: str | None) -> Fetched | Unchanged:
    fresh = hashlib.sha256(body).hexdigest()
    return Unchanged() if fresh == tag else Fetched(body, fresh)


def _target(url: str) -> SplitResult:
    """The address with its host as the wire knows it."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").encode("idna").decode("ascii"), parts.port
    except ValueError:
        raise _Refused("its address is none; expected one like https://calendar.example/oncall.ics") from None
    if parts.scheme not in {"http", "https"} or not host or port == 0 or not url.isprintable():
        raise _Refused("its address is none; expected one that begins with https:// or http:// and has a host")
    if parts.username or parts.password:
        raise _Refused("its address has a user or a password in it; expected one without")
    return parts._replace(netloc=_netloc(host, port), fragment="")


def _netloc(host: str, port: int | None) -> str:
    return (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")


def _port(target: SplitResult) -> int:
    return target.port or (443 if target.scheme == "https" else 80)


async def _addresses(target: SplitResult, allowed: Collection[str], resolve: Resolve) -> Sequence[str]:
    try:
        return await permitted(str(target.hostname), _port(target), allowed, resolve)
    except (OSError, UnicodeError) as error:
        raise _Refused(f"{target.hostname} cannot be found: {getattr(error, 'strerror', None) or error}") from None


async def _ask(target: SplitResult, addresses: Sequence[str], tag: str | None) -> Fetched | Unchanged:
    """From the first address that takes the connection."""
    trouble = ""
    async with httpx2.AsyncClient(follow_redirects=False, trust_env=False, timeout=None, verify=_authorities()) as http:
        for address in addresses[:_MOST_ADDRESSES]:
            try:
                return await _exchange(http, target, address, tag)
            except httpx2.ConnectError as error:
                trouble = one_line(str(error), LONGEST_REASON) or "no connection"
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                raise _Refused(f"{target.hostname} cannot be asked: {type(error).__name__}") from None
    raise _Refused(f"{target.hostname} cannot be asked: {trouble}")


@cache
def _authorities() -> ssl.SSLContext:
    return ssl.create_default_context()


async def _exchange(http: httpx2.AsyncClient, target: SplitResult, address: str, tag: str | None) -> Fetched | Unchanged:
    """The connection goes to the address; the name is only said."""
    url = target._replace(netloc=_netloc(address, _port(target))).geturl()
    said = {"sni_hostname": str(target.hostname)} if target.scheme == "https" else {}
    async with http.stream("GET", url, headers=_headers(target, tag), extensions=said) as answer:
        if answer.status_code == HTTPStatus.NOT_MODIFIED and tag is not None:
            return Unchanged()
        _check(target, answer)
        body = bytearray()
        async for piece in answer.aiter_raw():
            body += piece
            if len(body) > LARGEST:
                raise _Refused(f"{target.hostname} answers with more than {LARGEST:,} bytes")
    return Fetched(bytes(body), _tag(target, answer.headers.get("etag", "")))


def _headers(target: SplitResult, tag: str | None) -> Mapping[str, str]:
    """Uncompressed: what grows on being unpacked has no bound."""
    headers = {"Host": target.netloc, "Accept": "text/calendar", "Accept-Encoding": "identity", "User-Agent": "tocsin"}
    mine = _tag(target, "")
    known = tag.removeprefix(mine) if tag is not None and tag.startswith(mine) else ""
    return headers | ({"If-None-Match": known} if known else {})


def _tag(target: SplitResult, etag: str) -> str:
    """An ETag says something about its own address only."""
    return f"{hashlib.sha256(target.geturl().encode()).hexdigest()[:16]} {etag if etag.isascii() and etag.isprintable() else ''}"


def _check(target: SplitResult, answer: httpx2.Response) -> None:
    host, status = target.hostname, answer.status_code
    if answer.is_redirect:
        raise _Refused(f"{host} redirects ({status}), which is not followed; expected the final address")
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        raise _Refused(f"{host} does not give it ({status}): is the address still the right one?")
    if status != HTTPStatus.OK:
        raise _Refused(f"{host} answers {status}")
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise _Refused(f"{host} answers compressed, which was not asked for")


async def expand(zone: ZoneInfo, body: bytes, start: datetime, end: datetime, seconds: int = COMPUTING) -> list[Entry] | NoFeed:
    """What stands in the calendar between the two moments. Dates, and times without a zone, are by the clocks of `zone`."""
    asked = {"start": start.isoformat(), "end": end.isoformat(), "most": MOST_EVENTS}
    command = [sys.executable, "-I", str(_CHILD), str(seconds)]
    child = subprocess.Popen(  # noqa: S603, ASYNC220  our own program; it is waited for in a thread
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}
    )
    try:
        output = await asyncio.to_thread(_answer, child, json.dumps(asked).encode() + b"\n" + body, seconds)
    finally:
        child.kill()
    if output is None:
        return NoFeed(f"its events take more than {seconds} s, or more memory than they may, to be worked out")
    return _entries(output, zone, start, end)


def _answer(child: "subprocess.Popen[bytes]", given: bytes, seconds: float) -> bytes | None:
    with child:
        try:
            output, _ = child.communicate(given, seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            return None
    return output if child.returncode == 0 else None


def _entries(output: bytes, zone: ZoneInfo, start: datetime, end: datetime) -> list[Entry] | NoFeed:
    answer = json.loads(output)
    if "refused" in answer:
        return NoFeed(one_line(str(answer["refused"]), LONGEST_REASON))
    found = [
        Entry(_moment(told["start"], zone), _moment(told["end"], zone), told["uid"], told["summary"], tuple(told["mails"]))
        for told in answer["events"]
    ]
    return [entry for entry in found if entry.start < end and entry.end > start]


def _moment(text: str, zone: ZoneInfo) -> datetime:
    moment = datetime.fromisoformat(text)
    if len(text) == len("2026-01-05"):
        moment = datetime.combine(moment.date(), time())
    return moment.astimezone(UTC) if moment.tzinfo else moment_of(moment, zone)
