"""Two incidents that are one, and one that is two."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from services.orchestrator.api import bodies
from services.orchestrator.api.asking import Caller, caller, canonical, respond
from services.orchestrator.domain.deciding.splitting import Wish
from services.orchestrator.handlers.regrouping import Regrouping
from services.runtime.auth import Grants
from services.runtime.web import require


def routes(regrouping: Regrouping, grants: Grants) -> APIRouter:
    """Each needs the scope `respond`. A merge answers with the incident that goes on, a split with the new one."""
    router = APIRouter(prefix="/api/v1/incidents", tags=["overrides"])
    enter = caller(require(grants, "respond"))

    @router.post("/{name}/merge")
    async def merge(name: str, body: bodies.MergeBody, by: Annotated[Caller, Depends(enter)]) -> JSONResponse:
        wish = by.wish(body, body.reason)
        return respond(await regrouping.merge(canonical(name), canonical(body.into), wish))

    @router.post("/{name}/split", status_code=201)
    async def split(name: str, body: bodies.SplitBody, by: Annotated[Caller, Depends(enter)]) -> JSONResponse:
        wish = Wish(tuple(dict.fromkeys(body.alerts)), body.title, body.severity)
        return respond(await regrouping.split(canonical(name), wish, by.wish(body, body.reason)), 201)

    return router
