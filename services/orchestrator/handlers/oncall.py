"""Who is on call: the rotations of the configuration, with what calendars say and who stands in."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.vocabulary import Role
from services.orchestrator.domain.duty.calendars import Calendar, calendar_of
from services.orchestrator.domain.duty.roster import Duty, Roster
from services.orchestrator.domain.duty.rotation import Override, Rotation
from services.orchestrator.domain.duty.spans import FAR
from services.orchestrator.handlers.feeds import Feed
from services.orchestrator.store import feeds, overrides
from services.orchestrator.store.feeds import Copy
from services.runtime.db import Database


@dataclass(frozen=True)
class Contact:
    """Somebody who can be named."""

    name: str
    email: str | None = None


@dataclass(frozen=True)
class Plan:
    """What the configuration says of being on call; `version` changes with it."""

    version: str = ""
    rotations: tuple[Rotation, ...] = ()
    feeds: Mapping[str, Feed] = field(default_factory=dict)
    people: Mapping[str, Contact] = field(default_factory=dict)


@dataclass
class OnCall:
    """Asked for who is on call. What calendars say is kept until they change."""

    database: Database
    plan: Callable[[], Plan]
    _key: object = field(default=None, init=False)
    _copies: Mapping[str, Copy] = field(default_factory=dict, init=False)
    _calendars: Mapping[str, Calendar] = field(default_factory=dict, init=False)

    async def now(self, role: Role, services: Collection[str], at: datetime) -> Duty:
        """Who has the role for these services at a moment, and why."""
        async with self.database.read() as connection:
            roster = await self.roster(connection, at, at)
        return roster.duty(role, services, at)

    async def roster(self, connection: AsyncConnection, start: datetime, end: datetime) -> Roster:
        """What can be asked about any moment from `start` until `end`."""
        plan = self.plan()
        await self._load(connection, plan)
        rotations = [replace(each, calendar=self._calendars.get(each.name)) for each in plan.rotations]
        standing = await overrides.between(connection, start - FAR, end + FAR)
        return Roster(rotations, standing_in(standing, plan))

    async def copies(self, connection: AsyncConnection) -> Mapping[str, Copy]:
        """The copies of the calendars that the configuration names, by rotation."""
        await self._load(connection, self.plan())
        return self._copies

    def calendar(self, rotation: str) -> Calendar | None:
        """As it was when it was last looked at."""
        return self._calendars.get(rotation)

    async def _load(self, connection: AsyncConnection, plan: Plan) -> None:
        if not plan.feeds:
            self._key, self._copies, self._calendars = None, {}, {}
            return
        key = plan.version, await feeds.revisions(connection)
        if key != self._key:
            found = await feeds.load(connection)
            mine = {name: found[name] for name, feed in plan.feeds.items() if name in found and found[name].source == feed.source}
            self._calendars = {name: calendar_of(copy.entries, plan.feeds[name].whom) for name, copy in mine.items()}
            self._key, self._copies = key, mine


def standing_in(standing: Collection[Override], plan: Plan) -> Mapping[str, list[Override]]:
    """Those that mean something by this configuration, by rotation."""
    roles = {rotation.name: rotation.role for rotation in plan.rotations}
    found: dict[str, list[Override]] = {}
    for override in standing:
        if roles.get(override.rotation) is override.role and override.person in plan.people:
            found.setdefault(override.rotation, []).append(override)
    return found
