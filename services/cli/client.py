"""A running Tocsin, asked over HTTP. Whatever goes wrong ends the command in words."""

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from services.cli.options import DATA, secret
from services.cli.show import fail

PATIENCE = 15.0
PAGE = 100


class Server:
    """One process of Tocsin."""

    def __init__(self, url: str, http: httpx2.Client) -> None:
        self.url, self._http = url, http

    def get(self, path: str, **query: object) -> dict[str, Any]:
        """The answer to a question; what is None or False is not asked for."""
        asked = {name: str(value).lower() if value is True else str(value) for name, value in query.items() if value}
        return self._ask("GET", path, params=asked)

    def send(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The answer to a request to change something."""
        return self._ask(method, path, json=body)

    def items(self, path: str, limit: int, **query: object) -> list[dict[str, Any]]:
        """The first `limit` items of a list, however many pages that takes."""
        found: list[dict[str, Any]] = []
        cursor = None
        while len(found) < limit:
            page = self.get(path, limit=min(PAGE, limit - len(found)), cursor=cursor, **query)
            found += page.get("items", [])
            cursor = page.get("next")
            if not cursor:
                break
        return found

    def _ask(self, method: str, path: str, **how: Any) -> dict[str, Any]:
        try:
            response = self._http.request(method, path, **how)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            fail(f"{self.url} does not answer: {reason}", "Does `tocsin serve` run there? TOCSIN_URL or --url says where to ask.")
        answer = _object(response)
        if response.is_success and answer is not None:
            return answer
        _refuse(self.url, response, answer)
        raise AssertionError


def _object(response: httpx2.Response) -> dict[str, Any] | None:
    try:
        answer = response.json()
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _refuse(url: str, response: httpx2.Response, problem: dict[str, Any] | None) -> None:
    if problem is None or "detail" not in problem:
        fail(f"{url} answered {response.status_code} with something that is not Tocsin's; is the address right?")
    lines = [_place(error) for error in problem.get("errors") or []]
    if response.status_code == 401:
        lines.append("Put a token into TOCSIN_TOKEN; the administrator's is in the file admin-token of the storage folder.")
    fail(str(problem["detail"]), *lines)


def _place(error: dict[str, Any]) -> str:
    message, expected = str(error.get("message", "")), str(error.get("expected") or "")
    more = f" (expected {expected})" if expected not in message else ""
    return f"{error.get('pointer') or '/'}: {message}{more}"


def is_local(url: str) -> bool:
    """Whether the address is this machine's own."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_address(url: str) -> bool:
    """Whether it can be asked at all."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def token_for(url: str, storage: Path) -> str | None:
    """TOCSIN_TOKEN, else the administrator's token of the storage folder, which is never sent to another machine."""
    given = secret("TOCSIN_TOKEN")
    if given or not is_local(url):
        return given
    try:
        return (storage / "admin-token").read_text().strip() or None
    except OSError:
        return None


@contextmanager
def connect(url: str) -> Iterator[Server]:
    """Ask the process at `url` with the caller's token."""
    if not is_address(url):
        fail(f"{url!r} is no address of Tocsin; expected one like http://127.0.0.1:8080")
    token = token_for(url, Path(secret("TOCSIN_STORAGE_PATH") or DATA))
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    # A proxy of the environment is not asked for this machine's own address.
    with httpx2.Client(base_url=url, headers=headers, timeout=PATIENCE, trust_env=not is_local(url)) as http:
        yield Server(url, http)
