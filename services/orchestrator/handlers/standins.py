"""Standing in for somebody who is on call: wanted, swapped, ended and looked at by people."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.vocabulary import Role
from services.orchestrator.domain.duty.moments import minute
from services.orchestrator.domain.duty.overriding import (
    LONGEST,
    Asked,
    Invalid,
    Swap,
    chosen,
    known_person,
    overlap,
    override_id,
    swapped,
    wanted_time,
)
from services.orchestrator.domain.duty.rotation import Override, Rotation
from services.orchestrator.domain.duty.spans import FAR
from services.orchestrator.domain.incident.incident import Refusal
from services.orchestrator.handlers.commands import Request
from services.orchestrator.handlers.oncall import OnCall
from services.orchestrator.metrics import OrchestratorMetrics
from services.orchestrator.store import answers
from services.orchestrator.store import overrides as store
from services.runtime.clock import Clock


@dataclass(frozen=True)
class Answer:
    """The overrides as they now are. `changed` unless there was one just like it; `repeated` when the wish had been carried out
    before under the same key."""

    overrides: Sequence[Override]
    changed: bool = True
    repeated: bool = False


Answered = Answer | Refusal | Invalid
CarryOut = Callable[[AsyncConnection, datetime], Awaitable[Answered]]


@dataclass(frozen=True)
class StandIns:
    """Carries wishes out, one transaction each."""

    oncall: OnCall
    clock: Clock
    metrics: OrchestratorMetrics

    async def add(self, request: Request, role: Role, asked: Asked) -> Answered:
        """Somebody stands in for a time."""

        async def carry_out(connection: AsyncConnection, now: datetime) -> Answered:
            plan = self.oncall.plan()
            rotation = chosen(plan.rotations, role, asked.rotation)
            if not isinstance(rotation, Rotation):
                return rotation
            time = wanted_time(asked, rotation, now)
            errors = known_person("/person", asked.person, plan.people)
            if errors or isinstance(time, Invalid):
                return Invalid((*errors, *(time.errors if isinstance(time, Invalid) else ())))
            return await self._add(connection, request, rotation, [(asked.person, *time)], now)

        return await self._once(request, 201, carry_out)

    async def swap(self, request: Request, role: Role, swap: Swap) -> Answered:
        """Two people change shifts."""

        async def carry_out(connection: AsyncConnection, now: datetime) -> Answered:
            plan = self.oncall.plan()
            rotation = chosen(plan.rotations, role, swap.rotation)
            if not isinstance(rotation, Rotation):
                return rotation
            named = (("/person", swap.person), ("/with", swap.other))
            errors = [wrong for pointer, person in named for wrong in known_person(pointer, person, plan.people)]
            return Invalid(tuple(errors)) if errors else await self._swap(connection, request, rotation, swap, now)

        return await self._once(request, 201, carry_out)

    async def end(self, request: Request, name: str) -> Answered:
        """Nobody stands in any more, from now on."""

        async def carry_out(connection: AsyncConnection, now: datetime) -> Answered:
            return await self._end(connection, request, name, now)

        return await self._once(request, 200, carry_out)

    async def _once(self, request: Request, status: int, carry_out: CarryOut) -> Answered:
        """Carry a wish out in one serial transaction, unless it was carried out before under the same key."""
        async with self.oncall.database.transaction(serial=True) as connection:
            answer = await self._answered(connection, request)
            if answer is None:
                now = self.clock.now()
                answer = await carry_out(connection, now)
                await self._remember(connection, request, answer, status, now)
        return self._told(answer)

    async def listed(self, *, everything: bool, before: int | None, limit: int) -> list[dict[str, Any]]:
        """Newest first, in the API's shape; without `everything` only what is not over."""
        now = self.clock.now()
        async with self.oncall.database.read() as connection:
            found = await store.page(connection, live_at=None if everything else now, before=before, limit=limit)
        return [shown(override, now) for override in found]

    async def _add(
        self,
        connection: AsyncConnection,
        request: Request,
        rotation: Rotation,
        wanted: Sequence[tuple[str, datetime, datetime]],
        now: datetime,
    ) -> Answer | Refusal:
        """All of them or none: each is looked at before any is stored."""
        for person, starts, ends in wanted:
            there = [each for each in await store.between(connection, starts, ends) if each.rotation == rotation.name]
            same = [each for each in there if (each.person, each.starts, each.end) == (person, starts, ends)]
            if same and len(wanted) == 1:
                return Answer(same, changed=False)
            if refusal := overlap(there, starts, ends):
                return refusal
        first, by = await store.next_number(connection), request.actor.name
        fresh = [
            Override(override_id(number), number, rotation.name, rotation.role, *time, request.reason, by, now)
            for number, time in enumerate(wanted, first)
        ]
        for override in fresh:
            await store.add(connection, override)
        return Answer(fresh)

    async def _swap(
        self, connection: AsyncConnection, request: Request, rotation: Rotation, swap: Swap, now: datetime
    ) -> Answered:
        roster = await self.oncall.roster(connection, now - FAR, now + FAR)
        mine = next(each for each in roster.rotations if each.name == rotation.name)
        shifts = swapped(swap, roster, mine, now)
        if not isinstance(shifts, tuple):
            return shifts
        begun = now.replace(microsecond=0)
        wanted = [
            (person, max(begun, shift.start), shift.end) for person, shift in zip((swap.other, swap.person), shifts, strict=True)
        ]
        if any(ends - starts > LONGEST for _, starts, ends in wanted):
            return Refusal("too_long", f"One of these shifts lasts longer than {LONGEST.days} days; change the rotation instead.")
        return await self._add(connection, request, rotation, wanted, now)

    async def _end(self, connection: AsyncConnection, request: Request, name: str, now: datetime) -> Answer | Refusal:
        found = await store.get(connection, [name])
        if not found:
            return Refusal("not_found", f"There is no override {name}.")
        if over := _over(found[0], now):
            return Refusal("illegal_transition", over)
        ended = replace(found[0], ended_at=now, ended_by=request.actor.name, end_reason=request.reason)
        await store.end(connection, ended)
        return Answer([ended])

    async def _answered(self, connection: AsyncConnection, request: Request) -> Answered | None:
        earlier = await answers.find(connection, request.actor.name, request.key) if request.key is not None else None
        if earlier is None:
            return None
        if earlier.request != request.digest:
            return Refusal("key_reused", "This Idempotency-Key was used for another request.")
        return Answer(await store.get(connection, earlier.incident.split(",")), repeated=True)

    async def _remember(
        self, connection: AsyncConnection, request: Request, answer: Answered, status: int, now: datetime
    ) -> None:
        if request.key is None or not isinstance(answer, Answer):
            return
        await answers.keep(
            connection,
            actor=request.actor.name,
            key=request.key,
            request=request.digest,
            status=status if answer.changed else 200,
            incident=",".join(override.id for override in answer.overrides),
            now=now,
        )

    def _told(self, answer: Answered) -> Answered:
        changed = isinstance(answer, Answer) and answer.changed
        outcome = "done" if changed else "unchanged" if isinstance(answer, Answer) else "refused"
        self.metrics.commands.labels(outcome).inc()
        return answer


def _over(override: Override, now: datetime) -> str | None:
    """Why there is nothing to end."""
    if override.ended_at is not None:
        return f"{override.id} was ended by {override.ended_by} at {minute(override.ended_at)}: {override.end_reason}"
    return f"{override.id} has been over since {minute(override.ends)}." if override.ends <= now else None


def shown(override: Override, now: datetime) -> dict[str, Any]:
    """In the API's shape."""
    ended = override.ended_at is not None
    state = "ended" if ended else "over" if override.ends <= now else "active" if override.starts <= now else "coming"
    return {
        "id": override.id,
        "state": state,
        "role": override.role,
        "rotation": override.rotation,
        "person": override.person,
        "starts": override.starts,
        "ends": override.ends,
        "reason": override.reason,
        "by": override.by,
        "created_at": override.created_at,
        "ended_at": override.ended_at,
        "ended_by": override.ended_by,
        "end_reason": override.end_reason,
    }
