"""Standing in for somebody who is on call: wanted, swapped, ended and looked at."""

import re
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from pydantic_core import to_jsonable_python

from schemas.vocabulary import Role
from services.orchestrator.api.asking import Caller, before_cursor, caller, listing, refused
from services.orchestrator.api.bodies import OverrideBody, Reason, SwapBody
from services.orchestrator.api.reads import Limit
from services.orchestrator.domain.duty.overriding import Asked, Invalid, Swap, override_id
from services.orchestrator.domain.incident.incident import Refusal
from services.orchestrator.handlers.standins import Answered, StandIns, shown
from services.runtime.auth import Grants
from services.runtime.web import Problem, require

_NAME = re.compile(r"(?:OV-)?0*([1-9][0-9]{0,11})", re.IGNORECASE)


def routes(standins: StandIns, grants: Grants) -> APIRouter:
    """Looking needs the scope `read`, everything else `respond`."""
    router = APIRouter(prefix="/api/v1/oncall", tags=["on call"])
    enter = caller(require(grants, "respond"))
    clock = standins.clock

    @router.get("/overrides", dependencies=[Depends(require(grants, "read"))])
    async def overrides(
        limit: Limit = 100, cursor: str | None = None, everything: Annotated[bool, Query(alias="all")] = False
    ) -> JSONResponse:
        """Who stands in now or will, newest first; `all`: also what is over."""
        items = await standins.listed(everything=everything, before=before_cursor(cursor), limit=limit + 1)
        return JSONResponse(to_jsonable_python(listing(items, limit, lambda item: item["id"].removeprefix("OV-"))))

    @router.put("/{role}/override")
    async def override(role: str, body: OverrideBody, by: Annotated[Caller, Depends(enter)]) -> JSONResponse:
        """201, or 200 when there is one just like it."""
        asked = Asked(body.person, body.starts, body.ends, body.lasts, body.rotation)
        answer = await standins.add(by.wish(body, body.reason), _role(role), asked)
        return _respond(answer, clock.now(), 201, several=False)

    @router.post("/{role}/swap", status_code=201)
    async def swap(role: str, body: SwapBody, by: Annotated[Caller, Depends(enter)]) -> JSONResponse:
        """Two overrides: each has the other's shift."""
        wanted = Swap(body.person, body.other, body.at, body.other_at, body.rotation)
        answer = await standins.swap(by.wish(body, body.reason), _role(role), wanted)
        return _respond(answer, clock.now(), 201, several=True)

    @router.delete("/overrides/{name}")
    async def end(name: str, by: Annotated[Caller, Depends(enter)], body: Reason | None = None) -> JSONResponse:
        """It counts no more from now on; what it was stays."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise Problem(404, "not_found", f"{name[:100]!r} is no override; expected one like OV-7.")
        body = body or Reason(reason="ended by hand")
        answer = await standins.end(by.wish(body, body.reason), override_id(int(match[1])))
        return _respond(answer, clock.now(), 200, several=False)

    return router


def _role(word: str) -> Role:
    try:
        return Role(word.lower())
    except ValueError:
        raise Problem(404, "not_found", f"{word[:100]!r} is no role; expected {', '.join(Role)}.") from None


def _respond(answer: Answered, now: datetime, status: int, *, several: bool) -> JSONResponse:
    if isinstance(answer, Refusal):
        raise refused(answer)
    if isinstance(answer, Invalid):
        errors = [{"pointer": each.pointer, "message": each.message} for each in answer.errors]
        raise Problem(400, "invalid", "This cannot be done as it was asked for.", errors=errors)
    headers = {"Idempotency-Replayed": "true"} if answer.repeated else {}
    items = [shown(override, now) for override in answer.overrides]
    told: Any = {"items": items, "next": None} if several else items[0]
    return JSONResponse(to_jsonable_python(told), status if answer.changed else 200, headers)
