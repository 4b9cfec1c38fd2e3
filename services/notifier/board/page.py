"""The message board at `/`: one page without scripts, in which all text of others is text and nothing else."""

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse

from services.notifier.domain.content import Mood
from services.notifier.ports import Board, Posted
from services.runtime.auth import Grants
from services.runtime.clock import Clock
from services.runtime.pages import environment, headers
from services.runtime.web import require

OVER = 20
"""How many incidents that are over are shown."""
REFRESH = 10
"""Seconds between two looks of the browser."""

_ORDER: dict[Mood, int] = {"open": 0, "calm": 1, "over": 2}


def board_routes(board: Board, grants: Grants, clock: Clock, base_url: str, shadowed: Callable[[], bool]) -> APIRouter:
    """`GET /`. `shadowed` tells whether a candidate runs beside the policy; its page is linked then."""
    router = APIRouter(include_in_schema=False)
    template = environment(Path(__file__).parent / "templates").get_template("board.html.j2")

    @router.get("/", dependencies=[Depends(require(grants, "read"))])
    async def page() -> HTMLResponse:
        nonce, posted = secrets.token_urlsafe(16), in_order(await board.newest(OVER))
        html = await template.render_async(
            posted=posted, open=sum(each.content.mood != "over" for each in posted), now=clock.now(), nonce=nonce,
            refresh=REFRESH, base_url=base_url, shadowed=shadowed(),
        )  # fmt: skip
        return HTMLResponse(html, headers=headers(nonce))

    return router


def in_order(posted: Sequence[Posted]) -> list[Posted]:
    """What is open first, the worst of it first, the newest of the worst first; then what is mitigated, then what is over."""

    def rank(each: Posted) -> tuple[int, str, float]:
        severity = "" if each.content.mood == "over" else each.content.severity or "~"
        return _ORDER[each.content.mood], severity, -each.posted_at.timestamp()

    return sorted(posted, key=rank)
