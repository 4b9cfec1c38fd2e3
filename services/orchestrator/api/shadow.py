"""What a candidate that runs beside the policy would have done otherwise."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from services.orchestrator.api.asking import before_cursor
from services.orchestrator.handlers.shadow_report import ShadowReports
from services.runtime.auth import Grants
from services.runtime.clock import Clock
from services.runtime.durations import parse_duration
from services.runtime.web import Problem, require

NO_CANDIDATE = "There is no candidate: `shadow.file` of the configuration names none."


def routes(reports: ShadowReports, grants: Grants, clock: Clock) -> APIRouter:
    """Needs the scope `read`."""
    router = APIRouter(prefix="/api/v1", tags=["reads"], dependencies=[Depends(require(grants, "read"))])

    @router.get("/shadow")
    async def shadow(
        since: str | None = None, limit: Annotated[int, Query(ge=1, le=500)] = 100, cursor: str | None = None
    ) -> dict[str, Any]:
        """Decisions compared since a moment (`2026-11-01T00:00:00Z`) or for a time (`7d`), and incidents that differ, newest
        first."""
        found = await reports.report(since_when(since, clock.now()), before_cursor(cursor), limit)
        if found is None:
            raise Problem(404, "not_found", NO_CANDIDATE)
        return found

    return router


def since_when(text: str | None, now: datetime) -> datetime | None:
    """The moment, given as such or as a time that has passed since."""
    if not text:
        return None
    try:
        return now - parse_duration(text)
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Problem(400, "invalid", "since: expected a moment like 2026-11-01T00:00:00Z or a time like 7d.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
