"""Why: decisions explained, and the policies behind them."""

from typing import Any

from fastapi import APIRouter, Depends

from services.orchestrator.api.asking import canonical
from services.orchestrator.handlers.explaining import Explanations
from services.runtime.auth import Grants
from services.runtime.web import Problem, require


def routes(explanations: Explanations, grants: Grants) -> APIRouter:
    """Each needs the scope `read`."""
    router = APIRouter(prefix="/api/v1", tags=["reads"], dependencies=[Depends(require(grants, "read"))])

    @router.get("/alerts/{fingerprint}/explain")
    async def alert(fingerprint: str) -> dict[str, Any]:
        found = await explanations.alert(fingerprint) if fingerprint.isprintable() else None
        return found or _nothing(f"Nothing has been decided about the alert {fingerprint[:100]!r}.")

    @router.get("/incidents/{name}/explain")
    async def incident(name: str) -> dict[str, Any]:
        found = await explanations.incident(canonical(name))
        return found or _nothing(f"There is no incident {name[:100]!r}.")

    @router.get("/policies/{hash}")
    async def policy(hash: str) -> dict[str, Any]:
        found = await explanations.policy(hash) if hash.isprintable() else None
        return found or _nothing(f"No policy {hash[:100]!r} has decided anything; expected a hash like sha256:0f….")

    return router


def _nothing(detail: str) -> dict[str, Any]:
    raise Problem(404, "not_found", detail)
