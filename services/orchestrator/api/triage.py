"""Are we having one?"""

from typing import Any

from fastapi import APIRouter, Depends

from services.orchestrator.handlers.triage import Triage
from services.runtime.auth import Grants
from services.runtime.web import require


def routes(triage: Triage, grants: Grants) -> APIRouter:
    """It needs the scope `read`."""
    router = APIRouter(prefix="/api/v1", tags=["reads"], dependencies=[Depends(require(grants, "read"))])

    @router.get("/triage")
    async def look() -> dict[str, Any]:
        return await triage.look()

    return router
