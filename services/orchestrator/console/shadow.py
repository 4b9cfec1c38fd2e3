"""The page at `/shadow`: what a candidate would do otherwise."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse

from services.orchestrator.api.asking import before_cursor
from services.orchestrator.api.shadow import since_when
from services.orchestrator.domain.alerts.labels import one_line
from services.orchestrator.handlers.shadow_report import VERDICTS, ShadowReports
from services.runtime.auth import Grants
from services.runtime.clock import Clock
from services.runtime.pages import environment, headers
from services.runtime.web import require

PAGE = 50
"""Differences on one page."""
REFRESH = 30
"""Seconds between two looks of the browser."""
RANGES = {"24h": "24 hours", "7d": "7 days", "": "all of it"}
MOST, LONGEST = 12, 80
"""Labels of an alert, and characters of each, that are shown."""


def shadow_page(reports: ShadowReports, grants: Grants, clock: Clock) -> APIRouter:
    """`GET /shadow`, for the scope `read`."""
    router = APIRouter(include_in_schema=False)
    template = environment(Path(__file__).parent / "templates").get_template("shadow.html.j2")

    @router.get("/shadow", dependencies=[Depends(require(grants, "read"))])
    async def page(since: str = "", cursor: str | None = None) -> HTMLResponse:
        now, nonce = clock.now(), secrets.token_urlsafe(16)
        report = await reports.report(since_when(since, now), before_cursor(cursor), PAGE)
        html = await template.render_async(
            report=report, now=now, nonce=nonce, refresh=REFRESH, since=since, ranges=RANGES, cursor=cursor,
            older=_older(report, since), labels=_labels, verdicts=_verdicts,
        )  # fmt: skip
        return HTMLResponse(html, 200 if report else 404, headers=headers(nonce))

    return router


def _older(report: dict[str, Any] | None, since: str) -> str | None:
    """Where the next page is."""
    if report is None or report["next"] is None:
        return None
    query = {"since": since, "cursor": report["next"]}
    return "?" + urlencode({name: value for name, value in query.items() if value})


def _labels(labels: Mapping[str, str]) -> list[str]:
    """What tells the alert from others, as far as there is room."""
    told = [one_line(f"{name}={value}", LONGEST) for name, value in sorted(labels.items()) if name != "alertname"]
    return told if len(told) <= MOST else [*told[:MOST], f"and {len(told) - MOST} more"]


def _verdicts(incidents: Mapping[str, int]) -> str:
    """`2 would open, 1 would not open`."""
    return ", ".join(f"{incidents[kind]} {words}" for kind, words in VERDICTS.items() if incidents[kind])
