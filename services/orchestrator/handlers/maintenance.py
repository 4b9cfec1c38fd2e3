"""Maintenance: planned, ended and looked at by people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.matching import Selector
from services.orchestrator.domain.alerts.maintenance import Maintenance, Planned, maintenance_id
from services.orchestrator.domain.incident.incident import Refusal
from services.orchestrator.domain.spoken import written
from services.orchestrator.handlers.commands import Request
from services.orchestrator.handlers.journal import Journal
from services.orchestrator.metrics import OrchestratorMetrics
from services.orchestrator.store import answers, firings
from services.orchestrator.store import maintenance as store
from services.runtime.clock import Clock
from services.runtime.db import Database
from services.windows import Window

FILE = "file:"
"""With this begins the id of a maintenance that stands in the configuration; its name follows."""


@dataclass(frozen=True)
class Answer:
    """The maintenance as it now is. `repeated` when the wish had been carried out before under the same key."""

    planned: Planned
    repeated: bool = False


@dataclass(frozen=True)
class Planner:
    """Carries wishes out, one transaction each, and shows what there is."""

    database: Database
    journal: Journal
    of_file: Callable[[], Sequence[Maintenance]]
    clock: Clock
    metrics: OrchestratorMetrics

    async def add(self, request: Request, name: str, selector: Selector, window: Window) -> Answer | Refusal:
        """Plan a maintenance."""
        async with self.database.transaction(serial=True) as connection:
            earlier = await self._answered(connection, request)
            if earlier is not None:
                return earlier
            number, now = await store.next_number(connection), self.clock.now()
            plan = Maintenance(maintenance_id(number), name, selector, window, request.reason, request.actor.name)
            planned = Planned(plan, number, now)
            await store.add(connection, planned)
            await self._remember(connection, request, planned, 201)
        return self._told(Answer(planned))

    async def end(self, request: Request, name: str) -> Answer | Refusal:
        """End a maintenance now. What fires in it is decided anew at once."""
        if name.startswith(FILE):
            return self._told(self._in_file(name))
        async with self.database.transaction(serial=True) as connection:
            earlier = await self._answered(connection, request)
            if earlier is not None:
                return earlier
            planned, now = await store.get(connection, name), self.clock.now()
            if planned is None:
                return self._told(Refusal("not_found", f"There is no maintenance {name}."))
            if over := _over(planned, now):
                return self._told(Refusal("illegal_transition", over))
            planned = replace(planned, ended_at=now, ended_by=request.actor.name, end_reason=request.reason)
            await store.end(connection, planned)
            await self._look_again(connection, planned.maintenance.selector, now)
            await self._remember(connection, request, planned, 200)
        return self._told(Answer(planned))

    async def planned(self, *, active: bool, everything: bool, before: int | None, limit: int) -> list[dict[str, Any]]:
        """What people planned, newest first, in the API's shape; without `everything` only what is not over."""
        now = self.clock.now()
        async with self.database.read() as connection:
            if not active:
                page = await store.page(connection, live_at=None if everything else now, before=before, limit=limit)
                return [shown(planned, now) for planned in page]
            found = await store.live(connection, now)
        below = [planned for planned in found if before is None or planned.number < before]
        return [shown(planned, now) for planned in below if planned.maintenance.window.until(now)][:limit]

    def configured(self, *, active: bool, everything: bool) -> list[dict[str, Any]]:
        """What stands in the configuration, likewise."""
        now = self.clock.now()
        items = [_item(plan, plan.window.over_at, now) for plan in self.of_file()]
        wanted = {"active"} if active else {"active", "coming", "over"} if everything else {"active", "coming"}
        return [item for item in items if item["state"] in wanted]

    def _in_file(self, name: str) -> Refusal:
        if not any(plan.id == name for plan in self.of_file()):
            return Refusal("not_found", f"The configuration has no maintenance {name.removeprefix(FILE)[:100]!r}.")
        where = f"{name.removeprefix(FILE)} stands in the configuration; take it out there and load the configuration again."
        return Refusal("illegal_transition", where)

    async def _look_again(self, connection: AsyncConnection, selector: Selector, now: datetime) -> None:
        alive = await firings.open_labels(connection)
        await firings.recheck(connection, [seq for seq, labels in alive if selector.matches(labels)], now)
        await self.journal.set_recheck(connection, await firings.next_due(connection))

    async def _answered(self, connection: AsyncConnection, request: Request) -> Answer | Refusal | None:
        earlier = await answers.find(connection, request.actor.name, request.key) if request.key is not None else None
        if earlier is None:
            return None
        if earlier.request != request.digest:
            return Refusal("key_reused", "This Idempotency-Key was used for another request.")
        planned = await store.get(connection, earlier.incident)
        return Answer(planned, repeated=True) if planned else None

    async def _remember(self, connection: AsyncConnection, request: Request, planned: Planned, status: int) -> None:
        if request.key is None:
            return
        await answers.keep(
            connection,
            actor=request.actor.name,
            key=request.key,
            request=request.digest,
            status=status,
            incident=planned.maintenance.id,
            now=self.clock.now(),
        )

    def _told(self, answer: Answer | Refusal) -> Answer | Refusal:
        refused = isinstance(answer, Refusal)
        self.metrics.commands.labels("refused" if refused else "done").inc()
        if not refused:
            self.journal.wake()
        return answer


def _over(planned: Planned, now: datetime) -> str | None:
    """Why there is nothing to end."""
    name, over_at = planned.maintenance.id, planned.over_at()
    if planned.ended_at is not None:
        return f"{name} was ended by {planned.ended_by} at {planned.ended_at:%Y-%m-%d %H:%M} UTC: {planned.end_reason}"
    return f"{name} has been over since {over_at:%Y-%m-%d %H:%M} UTC." if over_at and over_at <= now else None


def shown(planned: Planned, now: datetime) -> dict[str, Any]:
    """In the API's shape."""
    ended = {"ended_at": planned.ended_at, "ended_by": planned.ended_by, "end_reason": planned.end_reason}
    return _item(planned.maintenance, planned.over_at(), now) | {"created_at": planned.created_at} | ended


def _item(plan: Maintenance, over_at: datetime | None, now: datetime) -> dict[str, Any]:
    window, over = plan.window, over_at is not None and over_at <= now
    until, following = (None, None) if over else (window.until(now), window.next(now))
    return {
        "id": plan.id,
        "name": plan.name,
        "state": "active" if until else "coming" if following else "over",
        "match": [str(matcher) for matcher in plan.selector.matchers],
        "starts": window.starts.isoformat(),
        "duration": written(window.duration),
        "zone": window.zone,
        "rrule": window.rrule,
        "reason": plan.reason,
        "by": plan.by,
        "active_until": until,
        "next": following,
        "over_at": over_at,
        "created_at": None,
        "ended_at": None,
        "ended_by": None,
        "end_reason": None,
    }
