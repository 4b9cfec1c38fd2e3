"""Everything that can be asked."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse

from schemas.ids import incident_number
from schemas.vocabulary import FiringState, IncidentState, Severity
from services.orchestrator.api.asking import before_cursor, canonical, listing
from services.orchestrator.handlers.commands import etag
from services.orchestrator.handlers.views import Views
from services.runtime.auth import Grants
from services.runtime.web import Problem, require

Limit = Annotated[int, Query(ge=1, le=500)]


def routes(views: Views, grants: Grants) -> APIRouter:
    """Each needs the scope `read`; lists come newest first with a cursor."""
    router = APIRouter(prefix="/api/v1", tags=["reads"], dependencies=[Depends(require(grants, "read"))])

    @router.get("/incidents")
    async def incidents(
        limit: Limit = 50,
        cursor: str | None = None,
        state: IncidentState | None = None,
        severity: Severity | None = None,
        only_open: Annotated[bool, Query(alias="open")] = False,
    ) -> dict[str, Any]:
        found = await views.incidents(
            only_open=only_open, state=state, severity=severity, before=before_cursor(cursor), limit=limit + 1
        )
        items = [incident.model_dump(mode="json") for incident in found]
        return listing(items, limit, lambda item: incident_number(item["id"]))

    @router.get("/incidents/{name}")
    async def incident(name: str) -> JSONResponse:
        found = await views.incident(canonical(name))
        if found is None:
            raise _no_incident(name)
        return JSONResponse(found.model_dump(mode="json"), headers={"ETag": etag(found)})

    @router.get("/incidents/{name}/timeline")
    async def timeline(name: str, limit: Limit = 200, cursor: str | None = None) -> dict[str, Any]:
        await incident(name)
        lines, more = await views.timeline(canonical(name), before_cursor(cursor) or 0, limit)
        last = max((line["seq"] for line in lines if line["seq"] is not None), default=None)
        return {"items": lines, "next": str(last) if more else None}

    @router.get("/incidents/{name}/alerts")
    async def incident_alerts(
        name: str, limit: Limit = 100, cursor: str | None = None, state: FiringState | None = None
    ) -> dict[str, Any]:
        await incident(name)
        items = await views.alerts(incident=canonical(name), state=state, before=before_cursor(cursor), limit=limit + 1)
        return listing(items, limit, lambda item: item["decision"]["seq"])

    @router.get("/alerts")
    async def alerts(limit: Limit = 100, cursor: str | None = None, state: FiringState | None = None) -> dict[str, Any]:
        items = await views.alerts(incident=None, state=state, before=before_cursor(cursor), limit=limit + 1)
        return listing(items, limit, lambda item: item["decision"]["seq"])

    return router


def _no_incident(name: str) -> Problem:
    return Problem(404, "not_found", f"There is no incident {name[:100]!r}.")
