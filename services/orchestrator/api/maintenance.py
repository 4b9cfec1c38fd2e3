"""Maintenance: planned, ended and looked at."""

import re
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from pydantic_core import to_jsonable_python

from services.matching import MatcherError, Selector, selector
from services.orchestrator.api.asking import Caller, before_cursor, caller, listing, refused
from services.orchestrator.api.bodies import MaintenanceBody, Reason
from services.orchestrator.api.reads import Limit
from services.orchestrator.domain.alerts.maintenance import maintenance_id
from services.orchestrator.domain.incident.incident import Refusal
from services.orchestrator.handlers.maintenance import FILE, Answer, Planner, shown
from services.runtime.auth import Grants
from services.runtime.clock import Clock
from services.runtime.web import Problem, require
from services.windows import Window, WindowError

_NAME = re.compile(r"(?:MW-)?0*([1-9][0-9]{0,11})", re.IGNORECASE)


def routes(planner: Planner, grants: Grants, clock: Clock) -> APIRouter:
    """Looking needs the scope `read`, everything else `respond`."""
    router = APIRouter(prefix="/api/v1/maintenance", tags=["maintenance"])
    enter = caller(require(grants, "respond"))

    @router.get("", dependencies=[Depends(require(grants, "read"))])
    async def maintenance(
        limit: Limit = 100,
        cursor: str | None = None,
        active: bool = False,
        everything: Annotated[bool, Query(alias="all")] = False,
    ) -> dict[str, Any]:
        """What holds now or will; `active`: what holds now; `all`: also what is over. The configuration's comes first."""
        before = before_cursor(cursor)
        planned = await planner.planned(active=active, everything=everything, before=before, limit=limit + 1)
        page = listing(planned, limit, lambda item: item["id"].removeprefix("MW-"))
        of_file = planner.configured(active=active, everything=everything) if before is None else []
        return page | {"items": of_file + page["items"]}

    @router.post("", status_code=201)
    async def add(body: MaintenanceBody, by: Annotated[Caller, Depends(enter)]) -> JSONResponse:
        now = clock.now()
        chosen, window = _understood(body, now)
        return _respond(await planner.add(by.wish(body, body.reason), body.name, chosen, window), now, 201)

    @router.post("/{name}/end")
    async def end(name: str, body: Reason, by: Annotated[Caller, Depends(enter)]) -> JSONResponse:
        return _respond(await planner.end(by.wish(body, body.reason), _canonical(name)), clock.now())

    return router


def _understood(body: MaintenanceBody, now: datetime) -> tuple[Selector, Window]:
    """What is meant; everything that is wrong with it is told at once."""
    errors: list[dict[str, Any]] = []
    chosen, window = Selector(), None
    try:
        chosen = selector(body.match)
        if not chosen.matchers:
            errors.append({"pointer": "/match", "message": "it would cover every alert; expected at least one matcher"})
    except MatcherError as error:
        errors.append({"pointer": f"/match/{error.index}", "message": f"{error} (character {error.offset + 1})"})
    try:
        window = Window.parse(starts=body.starts or now, duration=body.duration, ends=body.ends, zone=body.zone, rrule=body.rrule)
        if window.over_at is not None and window.over_at <= now:
            over = f"{window.over_at:%Y-%m-%d %H:%M} UTC"
            errors.append({"pointer": "/starts", "message": f"it was over at {over}; expected a time that is still to come"})
    except WindowError as error:
        errors.append({"pointer": f"/{error.field}", "message": str(error)})
    if errors or window is None:
        raise Problem(400, "invalid", "This cannot be planned.", errors=errors)
    return chosen, window


def _canonical(name: str) -> str:
    """`mw-7`, `MW-7` or `7` as the id; 404 when it can be none. What stands in the configuration has its name in its id."""
    match = _NAME.fullmatch(name)
    if match:
        return maintenance_id(int(match[1]))
    if name.startswith(FILE):
        return name
    raise Problem(404, "not_found", f"{name[:100]!r} is no maintenance; expected one like MW-7.")


def _respond(answer: Answer | Refusal, now: datetime, status: int = 200) -> JSONResponse:
    if isinstance(answer, Refusal):
        raise refused(answer)
    headers = {"Idempotency-Replayed": "true"} if answer.repeated else {}
    return JSONResponse(to_jsonable_python(shown(answer.planned, now)), status, headers)
