"""The one place where rules decide: fills the world from the database, decides, and stores what came of it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.alerts import AlertReceived
from schemas.incidents import Incident
from services.orchestrator.domain.alerts.firings import Firing
from services.orchestrator.domain.alerts.labels import service_of
from services.orchestrator.domain.alerts.maintenance import Maintenance
from services.orchestrator.domain.deciding.batch import Batch
from services.orchestrator.domain.deciding.ledger import Outcome, together
from services.orchestrator.domain.deciding.world import GUARD_KEY, UMBRELLA_KEY, World, pin_key
from services.orchestrator.domain.evidence.evidence import SloState
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.policy.severity import scopes
from services.orchestrator.handlers.archive import PolicyArchive
from services.orchestrator.handlers.journal import Journal
from services.orchestrator.store import firings, incidents, keys, turns
from services.runtime.clock import Clock


@dataclass(frozen=True)
class Surroundings:
    """What decisions look at besides alerts and incidents: the policy in force, maintenance that people planned,
    service levels."""

    policy: Callable[[], Policy]
    planned: Callable[[AsyncConnection], Awaitable[Sequence[Maintenance]]]
    slos: Callable[[], Mapping[str, SloState]]


class Decider:
    """Decides in the caller's serial transaction."""

    def __init__(self, journal: Journal, around: Surroundings, clock: Clock, archive: PolicyArchive | None = None) -> None:
        """Without an archive nobody will ever ask for the policy of then."""
        self._journal, self._around, self._clock, self._archive = journal, around, clock, archive

    async def decide(
        self, connection: AsyncConnection, alerts: Sequence[AlertReceived] = (), incidents: Collection[str] = ()
    ) -> Outcome:
        """Decide the alerts and whatever is due by now; of incidents, those that the alerts concern and the ones named."""
        policy, now = self._around.policy(), self._clock.now()
        if self._archive is not None:
            await self._archive.keep(connection, policy.version, now)
        world = await self._world(connection, policy, now, alerts, incidents)
        known, first = set(world.latest), world.next_decision
        outcomes = [outcome async for outcome in self._catch_up(connection, policy, world, now)]
        batch = Batch(policy, world, now)
        batch.decide(alerts)
        await self._adopt(connection, batch)
        outcome = together([*outcomes, batch.outcome()])
        await self._store(connection, policy, outcome, known, first)
        return outcome

    async def _catch_up(self, connection: AsyncConnection, policy: Policy, world: World, now: datetime) -> AsyncIterator[Outcome]:
        """What is due by now, each at its own moment."""
        while (moment := world.next_moment(policy.periods)) is not None and moment <= now:
            late = Batch(policy, world, moment, recorded_at=now)
            late.catch_up()
            await self._adopt(connection, late)
            yield late.outcome()

    async def _world(
        self,
        connection: AsyncConnection,
        policy: Policy,
        now: datetime,
        alerts: Sequence[AlertReceived],
        named: Collection[str],
    ) -> World:
        latest = await firings.latest(connection, {alert.fingerprint for alert in alerts}) if alerts else {}
        due = await firings.due(connection, now)
        for firing in due:
            latest.setdefault(firing.fingerprint, firing)
        wanted = _keys(policy, alerts, due)
        holders, groups = await keys.load(connection, wanted)
        next_decision, next_incident = await incidents.next_numbers(connection)
        concerned = {firing.incident for firing in latest.values() if firing.incident} | set(holders.values()) | set(named)
        world = World(
            next_decision=next_decision,
            next_incident=next_incident,
            latest=latest,
            holders=holders,
            groups=groups,
            due=due,
            closed=await self._closed(connection, policy, now),
            maintenance=(*policy.maintenance, *await self._around.planned(connection)),
            slos=self._around.slos(),
        )
        if _may_depend(policy, alerts, due):
            world.add(await incidents.open_ones(connection))
        world.add(await incidents.named(connection, concerned))
        await self._add_successors(connection, world)
        return world

    async def _add_successors(self, connection: AsyncConnection, world: World) -> None:
        """Who has the own key of an incident by now that is over and holds the key of another: after merges only."""
        over = [incident for name in set(world.holders.values()) if not (incident := world.incidents[name]).state.open]
        own = {incident.correlation_key for incident in over if incident.correlation_key} - world.holders.keys()
        if own:
            holders, _ = await keys.load(connection, own)
            world.holders |= holders
            world.add(await incidents.named(connection, set(holders.values()) - world.incidents.keys()))

    async def _closed(self, connection: AsyncConnection, policy: Policy, now: datetime) -> Sequence[Incident]:
        within = policy.history.repeat_within
        if within is None:
            return ()
        return await incidents.ended_since(connection, now - within - policy.history.stable_period)

    async def _adopt(self, connection: AsyncConnection, batch: Batch) -> None:
        """What fires without an incident under a key that now has one."""
        opened, after = batch.opened_keys, 0
        while opened:
            waiting = await firings.waiting(connection, opened, after)
            batch.adopt(waiting)
            if not waiting:
                return
            after = max(_number(firing) for firing in waiting)

    async def _store(
        self, connection: AsyncConnection, policy: Policy, outcome: Outcome, known: Collection[str], position: int
    ) -> None:
        await firings.change(connection, outcome.changed)
        await firings.add(connection, outcome.began, known=known)
        await turns.add(connection, outcome.turns)
        await keys.hold(connection, outcome.holders)
        await keys.keep(connection, outcome.groups)
        await self._journal.store(connection, outcome.events, policy.periods, position)
        moments = [firing.recheck_at for firing in (*outcome.began, *outcome.changed) if firing.recheck_at]
        if outcome.stirred:
            moments.append(self._clock.now())
            await firings.stir(connection, outcome.stirred, moments[-1])
        await self._journal.set_recheck(connection, min(moments, default=None))


def _number(firing: Firing) -> int:
    assert firing.decision is not None
    return firing.decision.seq


def _keys(policy: Policy, alerts: Sequence[AlertReceived], due: Sequence[Firing]) -> set[str]:
    alive = {policy.correlation_key(alert.labels) for alert in alerts} | {firing.key for firing in due}
    for labels in (*(alert.labels for alert in alerts), *(firing.labels for firing in due)):
        alive |= scopes(policy, labels)
    pins = {pin_key(alert.fingerprint) for alert in alerts} | {pin_key(firing.fingerprint) for firing in due}
    return alive | pins | {GUARD_KEY, UMBRELLA_KEY}


def _may_depend(policy: Policy, alerts: Sequence[AlertReceived], due: Sequence[Firing]) -> bool:
    """Whether some service of these has to do with another by a declared dependency."""
    if not policy.depends:
        return False
    services = {service_of(alert.labels) or "" for alert in alerts} | {service_of(firing.labels) or "" for firing in due}
    return any(policy.depends.of(service) or policy.depends.on(service) for service in services)
