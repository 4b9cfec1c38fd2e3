"""What can be asked: reads that answer in the API's shapes."""

from typing import Any

from schemas.incidents import Incident
from services.orchestrator.handlers import shapes
from services.orchestrator.store import firings, incidents, notices
from services.runtime.db import Database


class Views:
    """Reads over the orchestrator's own tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def incident(self, name: str) -> Incident | None:
        async with self._database.read() as connection:
            return await incidents.get(connection, name)

    async def incidents(
        self, *, only_open: bool, state: str | None, severity: str | None, before: int | None, limit: int
    ) -> list[Incident]:
        async with self._database.read() as connection:
            return await incidents.page(
                connection, only_open=only_open, state=state, severity=severity, before=before, limit=limit
            )

    async def timeline(self, name: str, after: int, limit: int) -> tuple[list[dict[str, Any]], bool]:
        """Lines in the order of time, and whether there are more. Deliveries stand between the events they follow."""
        async with self._database.read() as connection:
            lines = await incidents.timeline(connection, name, after, limit + 1)
            beside = await notices.of(connection, name)
        more = len(lines) > limit
        begin = lines[0]["recorded_at"] if lines and after else None
        end = lines[limit]["recorded_at"] if more else None
        kept = [n for n in beside if (begin is None or n["recorded_at"] >= begin) and (end is None or n["recorded_at"] < end)]
        return sorted(lines[:limit] + kept, key=lambda line: line["recorded_at"]), more

    async def alerts(self, *, incident: str | None, state: str | None, before: int | None, limit: int) -> list[dict[str, Any]]:
        async with self._database.read() as connection:
            page = await firings.page(connection, incident=incident, state=state, before=before, limit=limit)
        return [shapes.alert(firing) for firing in page]
