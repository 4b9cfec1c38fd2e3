"""Commands of people: load, decide, store, answer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.ids import digest, incident_id
from schemas.incidents import Actor, Incident
from services.orchestrator.domain.deciding.splitting import New
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.happen import record
from services.orchestrator.domain.incident.incident import Context, Refusal, decide
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.handlers.journal import Journal
from services.orchestrator.metrics import OrchestratorMetrics
from services.orchestrator.store import answers, incidents, keys
from services.runtime.clock import Clock
from services.runtime.db import Database


@dataclass(frozen=True)
class Request:
    """Somebody's wish. `key` and `digest` make a repeat of it recognisable; `if_match` is the state they looked at."""

    actor: Actor
    reason: str
    key: str | None = None
    digest: str = ""
    if_match: str | None = None

    def outdated(self, incident: Incident) -> Refusal | None:
        """A refusal if they looked at another state than the present one; those who did not say may do it."""
        if self.if_match is None or not {"*", etag(incident)}.isdisjoint(map(str.strip, self.if_match.split(","))):
            return None
        now = f"it is {incident.state}, {incident.severity}"
        return Refusal("precondition_failed", f"{incident.id} has changed since you looked: {now}.")


@dataclass(frozen=True)
class Answer:
    """The incident as it now is. `changed` unless all was as it was wished for; `repeated` when the wish had been carried out
    before under the same key."""

    incident: Incident
    changed: bool = True
    repeated: bool = False


def etag(incident: Incident) -> str:
    """Changes with what people set, not with every alert, so that a storm does not spoil a careful edit."""
    roles = {role: holder.model_dump_json() if holder else "" for role, holder in sorted(incident.roles.items())}
    parts = (incident.state, incident.severity, str(incident.severity_pinned), incident.public_state, str(roles))
    return f'"{digest("etag", incident.uuid, *parts)}"'


CarryOut = Callable[[AsyncConnection, datetime], Awaitable[Answer | Refusal]]


def naming(number: int, request: Request, now: datetime) -> New:
    """What an incident is known by that a person begins."""
    name = incident_id(number)
    return New(name, digest("incident", name, request.actor.name, now.isoformat()))


class Commands:
    """Carries wishes out, one transaction each."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        policy: Callable[[], Policy],
        clock: Clock,
        metrics: OrchestratorMetrics,
    ) -> None:
        self._database, self._journal, self._policy = database, journal, policy
        self._clock, self._metrics = clock, metrics

    async def declare(self, request: Request, command: Callable[[str, str], ask.Open]) -> Answer | Refusal:
        """Begin an incident by hand; `command` is given the id and the uuid."""

        async def begin(connection: AsyncConnection, now: datetime) -> Answer | Refusal:
            _, number = await incidents.next_numbers(connection)
            new = naming(number, request, now)
            return await self._carry_out(connection, new.name, None, command(new.name, new.uuid), request, now)

        return await self.once(request, 201, begin)

    async def execute(self, name: str, command: ask.Command, request: Request) -> Answer | Refusal:
        """Change an incident."""

        async def change(connection: AsyncConnection, now: datetime) -> Answer | Refusal:
            incident = await incidents.get(connection, name)
            outdated = request.outdated(incident) if incident is not None else None
            return outdated or await self._carry_out(connection, name, incident, command, request, now)

        return await self.once(request, 200, change)

    async def once(self, request: Request, status: int, carry_out: CarryOut) -> Answer | Refusal:
        """Carry a wish out in one serial transaction, unless it was carried out before under the same key."""
        async with self._database.transaction(serial=True) as connection:
            earlier = await self._answered(connection, request)
            if earlier is not None:
                return earlier
            now = self._clock.now()
            answer = await carry_out(connection, now)
            await self._remember(connection, request, answer, status, now)
        return self._told(answer)

    async def _carry_out(
        self,
        connection: AsyncConnection,
        name: str,
        incident: Incident | None,
        command: ask.Command,
        request: Request,
        now: datetime,
    ) -> Answer | Refusal:
        policy = self._policy()
        holder = await keys.open_holder(connection, incident.correlation_key) if incident else None
        changes = decide(incident, command, Context(now=now, periods=policy.periods, key_holder=holder))
        if isinstance(changes, Refusal):
            return changes
        after, events = record(name, incident, changes, actor=request.actor, reason=request.reason, now=now, caused_at=now)
        position, _ = await incidents.next_numbers(connection)
        await self._journal.store(connection, events, policy.periods, position)
        if command == ask.Move(Step.REOPEN) and incident is not None and incident.correlation_key is not None:
            await keys.hold(connection, {incident.correlation_key: name})
        assert after is not None
        return Answer(after, changed=bool(events))

    async def _answered(self, connection: AsyncConnection, request: Request) -> Answer | Refusal | None:
        if request.key is None:
            return None
        earlier = await answers.find(connection, request.actor.name, request.key)
        if earlier is None:
            return None
        if earlier.request != request.digest:
            return Refusal("key_reused", "This Idempotency-Key was used for another request.")
        incident = await incidents.get(connection, earlier.incident)
        return Answer(incident, repeated=True) if incident else None

    async def _remember(
        self, connection: AsyncConnection, request: Request, answer: Answer | Refusal, status: int, now: datetime
    ) -> None:
        if request.key is None or isinstance(answer, Refusal):
            return
        await answers.keep(
            connection,
            actor=request.actor.name,
            key=request.key,
            request=request.digest,
            status=status,
            incident=answer.incident.id,
            now=now,
        )

    def _told(self, answer: Answer | Refusal) -> Answer | Refusal:
        if isinstance(answer, Refusal):
            self._metrics.commands.labels("refused").inc()
        else:
            self._metrics.commands.labels("done" if answer.changed else "unchanged").inc()
            self._journal.wake()
        return answer
