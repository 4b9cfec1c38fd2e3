"""HTTP: what became of deliveries."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query

from services.notifier.domain.delivery import State
from services.notifier.ports import Desk
from services.runtime.auth import Grants
from services.runtime.clock import Clock
from services.runtime.web import Problem, require
from services.runtime.work import Worker

_TEXT = r"^[^\x00]*$"
"""PostgreSQL knows no NUL in a text, not even to say that there is no such thing."""


def delivery_routes(desk: Desk, grants: Grants, clock: Clock, worker: Worker) -> APIRouter:
    """`GET /api/v1/deliveries` and `POST /api/v1/deliveries/{id}/retry`."""
    router = APIRouter(prefix="/api/v1/deliveries", tags=["deliveries"])

    @router.get("", dependencies=[Depends(require(grants, "read"))])
    async def deliveries(
        incident: Annotated[str | None, Query(pattern=_TEXT)] = None,
        state: State | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,18}$")] = None,
    ) -> dict[str, Any]:
        """Newest first; `next` is the cursor of the next page, null at the end."""
        before = int(cursor) if cursor else None
        items, following = await desk.page(incident=incident, state=state, limit=limit, before=before)
        return {"items": items, "next": None if following is None else str(following)}

    @router.post("/{id}/retry", dependencies=[Depends(require(grants, "respond"))])
    async def retry(id: Annotated[str, Path(pattern=_TEXT)]) -> dict[str, Any]:
        """Try a failed delivery, or one whose outcome is unknown, again now and for another 24 hours."""
        answer = await desk.retry(id, clock.now())
        if answer is None:
            raise Problem(404, "not_found", f"There is no delivery {id!r}.")
        if isinstance(answer, str):
            raise Problem(409, "not_retryable", answer)
        worker.wake()
        return answer

    return router
