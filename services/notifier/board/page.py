"""The message board at `/`: one page without scripts, in which all text of others is text and nothing else."""

import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape

from services.notifier.domain.content import Mood
from services.notifier.ports import Board, Posted
from services.runtime.auth import Grants
from services.runtime.clock import Clock
from services.runtime.web import require

OVER = 20
"""How many incidents that are over are shown."""
REFRESH = 10
"""Seconds between two looks of the browser."""

_ORDER: dict[Mood, int] = {"open": 0, "calm": 1, "over": 2}
_NOW = 5
"""Seconds during which something has just happened."""
_MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}) UTC")


def board_routes(board: Board, grants: Grants, clock: Clock, base_url: str) -> APIRouter:
    """`GET /`."""
    router = APIRouter(include_in_schema=False)
    template = _environment().get_template("board.html.j2")

    @router.get("/", dependencies=[Depends(require(grants, "read"))])
    async def page() -> HTMLResponse:
        nonce, posted = secrets.token_urlsafe(16), in_order(await board.newest(OVER))
        html = await template.render_async(
            posted=posted, open=sum(each.content.mood != "over" for each in posted), now=clock.now(), nonce=nonce,
            refresh=REFRESH, base_url=base_url,
        )  # fmt: skip
        return HTMLResponse(html, headers=_headers(nonce))

    return router


def in_order(posted: Sequence[Posted]) -> list[Posted]:
    """What is open first, the worst of it first, the newest of the worst first; then what is mitigated, then what is over."""

    def rank(each: Posted) -> tuple[int, str, float]:
        severity = "" if each.content.mood == "over" else each.content.severity or "~"
        return _ORDER[each.content.mood], severity, -each.posted_at.timestamp()

    return sorted(posted, key=rank)


def web_link(url: str) -> bool:
    """Whether it may be clicked: http or https to a host, without a user or password that could hide where it leads."""
    try:
        parts = urlsplit(url.strip())
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return False


def ago(at: datetime, now: datetime) -> str:
    """`12 min ago`; a moment that is still to come is `now`."""
    seconds = int((now - at).total_seconds())
    if seconds < _NOW:
        return "now"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def times(text: str) -> Markup:
    """The text, escaped, with moments like `2026-03-01 03:12 UTC` marked as what they are."""
    marked = _MOMENT.sub(r'<time datetime="\1T\2Z">\1 \2 UTC</time>', str(escape(text)))
    return Markup(marked)  # noqa: S704 (all of it was escaped before the marks were set)


def _environment() -> Environment:
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(loader=loader, autoescape=True, enable_async=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"ago": ago, "stamp": stamp, "times": times}
    environment.tests |= {"web_link": web_link}
    return environment


def _headers(nonce: str) -> dict[str, str]:
    policy = f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
