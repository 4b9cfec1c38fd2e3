"""Who is on call: asked by programs and people, and as a calendar."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response
from pydantic_core import to_jsonable_python

from services.orchestrator.domain.duty.moments import read_moment
from services.orchestrator.domain.duty.rotation import Rotation, Shift
from services.orchestrator.handlers.oncall import Contact
from services.orchestrator.handlers.rota import Rota
from services.runtime.auth import Grants
from services.runtime.web import Problem, require

LONGEST = timedelta(days=366)
"""So much can be asked for at once."""

Export = Callable[[Rotation, Iterable[Shift], Mapping[str, Contact], datetime], bytes]
"""A rotation with its shifts in iCalendar format, as of a moment."""


def routes(rota: Rota, grants: Grants, export: Export) -> APIRouter:
    """Each needs the scope `read`."""
    router = APIRouter(prefix="/api/v1/oncall", tags=["on call"], dependencies=[Depends(require(grants, "read"))])

    @router.get("")
    async def oncall(at: str | None = None, until: str | None = None) -> JSONResponse:
        """Who it is `at` a moment (now without one), who is next, gaps and double bookings of the four weeks after that.

        With `until` every shift up to then. A moment is like `2026-12-24T20:00Z`, in UTC when it has no offset.
        """
        begin = rota.clock.now() if at is None else _moment("at", at)
        end = None if until is None else _moment("until", until)
        if end is not None and not begin < end <= begin + LONGEST:
            raise Problem(400, "invalid", f"until: expected a moment after `at`, at most {LONGEST.days} days later.")
        return JSONResponse(to_jsonable_python(await rota.view(begin, end)))

    @router.get("/{name}.ics")
    async def calendar(name: str) -> Response:
        """The shifts of a rotation, from four weeks ago until half a year ahead, for calendar programs."""
        found = await rota.exported(name)
        if found is None:
            raise Problem(404, "not_found", f"There is no rotation {name[:100]!r}.")
        body = export(*found, rota.oncall.plan().people, rota.clock.now())
        return Response(body, media_type="text/calendar; charset=utf-8")

    return router


def _moment(name: str, text: str) -> datetime:
    """A plus sign that was not escaped has become a space."""
    try:
        return read_moment(text.replace(" ", "+") if "T" in text else text, UTC)
    except ValueError as error:
        raise Problem(400, "invalid", f"{name}: {error}.") from None
