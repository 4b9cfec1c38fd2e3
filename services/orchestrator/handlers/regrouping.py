"""Merging and splitting by hand: two incidents, their alerts, keys and timers, in one serial transaction."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.incidents import MAX_TEXT, Incident, IncidentEvent
from services.orchestrator.domain.alerts.firings import Firing
from services.orchestrator.domain.alerts.labels import one_line
from services.orchestrator.domain.deciding.ledger import Turn
from services.orchestrator.domain.deciding.merging import merge
from services.orchestrator.domain.deciding.splitting import Linked, Splitting, Wish, split
from services.orchestrator.domain.incident.happen import record
from services.orchestrator.domain.incident.incident import Because, Context, Refusal
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.handlers.commands import Answer, Commands, Request, naming
from services.orchestrator.handlers.journal import Journal
from services.orchestrator.store import firings, incidents, keys, turns


@dataclass(frozen=True)
class Side:
    """One of the two incidents: as it is, if it is there yet, what changes, and why."""

    name: str
    before: Incident | None
    changes: Sequence[Because]
    reason: str


@dataclass(frozen=True)
class Regrouping:
    """Carries out merges and splits; repeats are recognised as those of any other command."""

    commands: Commands
    journal: Journal
    policy: Callable[[], Policy]

    async def merge(self, name: str, into: str, request: Request) -> Answer | Refusal:
        """`name` ends, and `into` goes on with the alerts and keys of both. Answers with the one that goes on."""
        return await self.commands.once(request, 200, partial(self._merge, name, into, request))

    async def split(self, name: str, wish: Wish, request: Request) -> Answer | Refusal:
        """Alerts of an incident become one of their own. Answers with the new one."""
        return await self.commands.once(request, 201, partial(self._split, name, wish, request))

    async def _merge(
        self, name: str, into: str, request: Request, connection: AsyncConnection, now: datetime
    ) -> Answer | Refusal:
        found = {incident.id: incident for incident in await incidents.named(connection, {name, into})}
        source, target = found.get(name), found.get(into)
        if source is None or target is None:
            return _missing(name if source is None else into)
        merging = request.outdated(source) or merge(source, target, self._context(now))
        if isinstance(merging, Refusal):
            return merging
        await turns.moved(connection, name, into, now, _why(f"{name} was merged into {into}", request))
        await firings.hand_over(connection, name, into)
        await keys.hand_over(connection, name, into)
        ends = Side(name, source, merging.source, request.reason)
        return await self._record(connection, ends, Side(into, target, merging.target, request.reason), request, now)

    async def _split(
        self, name: str, wish: Wish, request: Request, connection: AsyncConnection, now: datetime
    ) -> Answer | Refusal:
        source = await incidents.get(connection, name)
        if source is None:
            return _missing(name)
        _, number = await incidents.next_numbers(connection)
        new, linked = naming(number, request, now), await _linked(connection, name, wish.alerts)
        splitting = request.outdated(source) or split(source, wish, linked, new, self._context(now))
        if isinstance(splitting, Refusal):
            return splitting
        await _move(connection, splitting, new.name, now, _why(f"split out of {name}", request))
        stays = Side(name, source, splitting.source, request.reason)
        begins = Side(new.name, None, splitting.new, f"split from {name}: {request.reason}")
        return await self._record(connection, stays, begins, request, now)

    def _context(self, now: datetime) -> Context:
        return Context(now=now, periods=self.policy().periods)

    async def _record(self, connection: AsyncConnection, one: Side, other: Side, request: Request, now: datetime) -> Answer:
        """Store what happens on both sides. The answer is the other one as it then is."""
        by, happened, after = request.actor, list[IncidentEvent](), None
        for side in (one, other):
            after, events = record(side.name, side.before, side.changes, actor=by, reason=side.reason, now=now, caused_at=now)
            happened += events
        position, _ = await incidents.next_numbers(connection)
        await self.journal.store(connection, happened, self.policy().periods, position)
        assert after is not None
        return Answer(after)


def _missing(name: str) -> Refusal:
    return Refusal("not_found", f"There is no incident {name}.")


def _why(what: str, request: Request) -> str:
    return one_line(f"{what} by {request.actor.name}: {request.reason}", MAX_TEXT)


async def _linked(connection: AsyncConnection, name: str, alerts: Collection[str]) -> Linked:
    named = await firings.latest(connection, alerts)
    others, worst, still = await firings.staying(connection, name, alerts)
    holders, _ = await keys.load(connection, {firing.key for firing in named.values()})
    return Linked(named, others, worst, still, holders)


async def _move(connection: AsyncConnection, splitting: Splitting, to: str, now: datetime, why: str) -> None:
    await turns.add(connection, [Turn(_number(firing), now, "moved", to, why) for firing in splitting.moved])
    await firings.move(connection, [firing.fingerprint for firing in splitting.moved], to)
    await keys.hold(connection, dict.fromkeys(splitting.keys, to))


def _number(firing: Firing) -> int:
    assert firing.decision is not None
    return firing.decision.seq
